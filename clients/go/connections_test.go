package jobstream

import (
	"testing"

	"google.golang.org/grpc/connectivity"
)

func testConnections(t *testing.T) *connections {
	t.Helper()
	settings := defaultSettings()
	links, err := newConnections(dialer(address{host: "127.0.0.1:1"}, &settings))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(links.close)
	return links
}

func TestHeldCallsSpreadOverConnectionsAndFreeTheirPlaces(t *testing.T) {
	links := testConnections(t)
	var held []*link
	for range heldCallsMax {
		held = append(held, links.hold())
	}
	if len(links.links) != 1 {
		t.Error(len(links.links))
	}
	second := links.hold()
	if len(links.links) != 2 || second == held[0] {
		t.Error(len(links.links))
	}
	links.release(held[0])
	if again := links.hold(); again != held[0] || len(links.links) != 2 {
		t.Error("the place that became free was not taken")
	}
}

func TestSilentConnectionIsReplacedOnceAndEndsWithItsLastCall(t *testing.T) {
	links := testConnections(t)
	silent, other := links.hold(), links.hold()
	links.replace(silent)
	fresh := links.links[0]
	links.replace(other)
	if fresh == silent || links.links[0] != fresh || len(links.links) != 1 {
		t.Error("it was replaced twice or never")
	}
	links.release(silent)
	if silent.conn.GetState() == connectivity.Shutdown {
		t.Error("it was closed under a call")
	}
	links.release(other)
	if silent.conn.GetState() != connectivity.Shutdown {
		t.Error("nobody closed it")
	}
}
