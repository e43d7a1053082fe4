package jobstream_test

import (
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/jobstream/jobstream/clients/go"
)

// fakeServer serves registered services on a free port. It returns a client that retries at once.
func fakeServer(t *testing.T, register func(*grpc.Server)) *jobstream.Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	register(server)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return impatient(t, listener.Addr().String())
}

// impatient returns a client that retries at once, at most three times.
func impatient(t *testing.T, address string) *jobstream.Client {
	t.Helper()
	tries := jobstream.Tries{Max: 3, FirstPause: time.Millisecond, LongestPause: time.Millisecond}
	client, err := jobstream.New(address, jobstream.WithTries(tries))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}
