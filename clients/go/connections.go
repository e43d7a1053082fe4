package jobstream

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

const (
	// longCallsMax is the number of watches and long polls per connection. Servers limit concurrent streams to about a
	// thousand per connection, and short calls must not queue behind long ones.
	longCallsMax = 900
	// connectionsMax is the largest number of connections. Above it watches and long polls queue.
	connectionsMax = 64
	// reconnectWait is the longest wait of a call for a connection that is reconnecting. Without it the call would fail
	// with the error of the last connection.
	reconnectWait = 250 * time.Millisecond
)

// connections pools the connections to one server: one for all calls, more for many long calls. A connection that is
// idle for too long is replaced. Each reconnects by itself.
type connections struct {
	dial func() (*grpc.ClientConn, error)

	mu    sync.Mutex
	links []*link
	// replaced are the replaced connections with long calls on them.
	replaced map[*link]bool
	isClosed bool
}

// link is a connection with the number of long calls on it.
type link struct {
	conn  *grpc.ClientConn
	users int
}

func newConnections(dial func() (*grpc.ClientConn, error)) (*connections, error) {
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	return &connections{dial: dial, links: []*link{{conn: conn}}, replaced: map[*link]bool{}}, nil
}

// Invoke and NewStream implement grpc.ClientConnInterface, so that generated stubs follow replaced connections.

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

// acquire returns a connection for a long call. The caller releases it.
func (c *connections) acquire() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	chosen := c.pick()
	chosen.users++
	return chosen
}

func (c *connections) pick() *link {
	for _, link := range c.links {
		if link.users < longCallsMax {
			return link
		}
	}
	if len(c.links) < connectionsMax && !c.isClosed {
		// The first connection was created the same way without an error, so this cannot fail.
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
	if c.replaced[used] && used.users == 0 {
		delete(c.replaced, used)
		_ = used.conn.Close() // Close fails only if it was closed before.
	}
}

// replace replaces a connection that is open but does not respond. The caller holds it. Long calls on it continue.
func (c *connections) replace(idle *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, known := range c.links {
		if known != idle || c.isClosed {
			continue
		}
		if conn, err := c.dial(); err == nil {
			c.links[i] = &link{conn: conn}
			c.replaced[idle] = true
		}
	}
}

// awaitReconnect makes a failed connection reconnect immediately and waits briefly for it.
func awaitReconnect(ctx context.Context, conn *grpc.ClientConn) {
	if conn.GetState() != connectivity.TransientFailure {
		return
	}
	conn.ResetConnectBackoff()
	ctx, cancel := context.WithTimeout(ctx, reconnectWait)
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
	for _, link := range slices.AppendSeq(c.links, maps.Keys(c.replaced)) {
		_ = link.conn.Close() // Closing twice is harmless.
	}
}
