package jobstream

import (
	"testing"

	"google.golang.org/grpc/connectivity"
)

func testConnections(t *testing.T) *connections {
	t.Helper()
	settings := defaultSettings()
	dial, err := dialer(address{host: "127.0.0.1:1"}, &settings)
	if err != nil {
		t.Fatal(err)
	}
	links, err := newConnections(dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(links.close)
	return links
}

func TestLongCallsUseFurtherConnectionsAndReleaseThem(t *testing.T) {
	links := testConnections(t)
	var held []*link
	for range longCallsMax {
		held = append(held, links.acquire())
	}
	if len(links.links) != 1 {
		t.Error(len(links.links))
	}
	second := links.acquire()
	if len(links.links) != 2 || second == held[0] {
		t.Error(len(links.links))
	}
	links.release(held[0])
	if again := links.acquire(); again != held[0] || len(links.links) != 2 {
		t.Error("the released connection was not reused")
	}
}

func TestIdleConnectionIsReplacedOnceAndClosedAfterItsLastCall(t *testing.T) {
	links := testConnections(t)
	idle, other := links.acquire(), links.acquire()
	links.replace(idle)
	fresh := links.links[0]
	links.replace(other)
	if fresh == idle || links.links[0] != fresh || len(links.links) != 1 {
		t.Error("the connection was not replaced exactly once")
	}
	links.release(idle)
	if idle.conn.GetState() == connectivity.Shutdown {
		t.Error("the connection was closed during a call")
	}
	links.release(other)
	if idle.conn.GetState() != connectivity.Shutdown {
		t.Error("the connection was not closed")
	}
}

func TestCloseAlsoClosesReplacedConnections(t *testing.T) {
	links := testConnections(t)
	idle := links.acquire()
	links.acquire() // A call that continues on the replaced connection.
	links.replace(idle)
	links.release(idle)
	links.close()
	if idle.conn.GetState() != connectivity.Shutdown {
		t.Error("the connection is still open")
	}
}
