package jobstream

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

const (
	// heldCallsMax is how many watches and waits one connection gets before another is opened. Servers allow about a
	// thousand calls at a time on each, and short ones must not queue behind those that are held open.
	heldCallsMax = 900
	// connectionsMax is how many connections there are at most; beyond it watches and waits queue.
	connectionsMax = 64
	// comeBackWait is how long a try waits for a connection that is being opened again: without it, it would fail with
	// the error of the last one.
	comeBackWait = 250 * time.Millisecond
)

// connections are those to one server: one for every call, more when many calls are held open, each replaced when it is
// no longer trusted. Each reconnects by itself when it breaks.
type connections struct {
	dial func() (*grpc.ClientConn, error)

	mu       sync.Mutex
	links    []*link
	isClosed bool
}

// link is a connection, for as long as held calls use it.
type link struct {
	conn      *grpc.ClientConn
	users     int
	isRetired bool
}

func newConnections(dial func() (*grpc.ClientConn, error)) (*connections, error) {
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	return &connections{dial: dial, links: []*link{{conn: conn}}}, nil
}

// Invoke and NewStream make generated stubs work on connections that are replaced.

func (c *connections) Invoke(ctx context.Context, method string, args, reply any, options ...grpc.CallOption) error {
	return c.first().Invoke(ctx, method, args, reply, options...)
}

func (c *connections) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return c.first().NewStream(ctx, desc, method, options...)
}

func (c *connections) first() *grpc.ClientConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.links[0].conn
}

// hold is for a call that is held open; release is to follow.
func (c *connections) hold() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	chosen := c.withRoom()
	chosen.users++
	return chosen
}

func (c *connections) withRoom() *link {
	for _, link := range c.links {
		if link.users < heldCallsMax {
			return link
		}
	}
	if len(c.links) < connectionsMax && !c.isClosed {
		// The first one was dialled in the same way, lazily, so this cannot fail.
		if conn, err := c.dial(); err == nil {
			c.links = append(c.links, &link{conn: conn})
			return c.links[len(c.links)-1]
		}
	}
	return c.links[rand.IntN(len(c.links))]
}

func (c *connections) release(used *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	used.users--
	used.closeIfUnused()
}

// replace gives up a connection that is open and silent: the next call opens another. Held calls on the old one go on.
func (c *connections) replace(silent *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, known := range c.links {
		if known != silent || c.isClosed {
			continue
		}
		if conn, err := c.dial(); err == nil {
			c.links[i] = &link{conn: conn}
			silent.isRetired = true
			silent.closeIfUnused()
		}
	}
}

func (l *link) closeIfUnused() {
	if l.isRetired && l.users == 0 {
		_ = l.conn.Close() // It fails only if it was closed before.
	}
}

// comeBack has a connection that could not be opened tried again at once, and waits a little for it.
func comeBack(ctx context.Context, conn *grpc.ClientConn) {
	if conn.GetState() != connectivity.TransientFailure {
		return
	}
	conn.ResetConnectBackoff()
	ctx, cancel := context.WithTimeout(ctx, comeBackWait)
	defer cancel()
	conn.WaitForStateChange(ctx, connectivity.TransientFailure)
}

func (c *connections) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isClosed
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isClosed = true
	for _, link := range c.links {
		_ = link.conn.Close() // Closing twice is fine.
	}
}
