package jobstream_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// proxy forwards connections to a server and cuts them on demand.
type proxy struct {
	target   string
	listener net.Listener

	mu    sync.Mutex
	conns []net.Conn
	cuts  int
}

func newProxy(t *testing.T, address string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: strings.TrimPrefix(address, "http://"), listener: listener}
	go p.serve()
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		go forward(client, server)
		go forward(server, client)
	}
}

func forward(to, from net.Conn) {
	_, _ = io.Copy(to, from) // The copy ends when either side closes.
	_ = to.Close()
}

// cut breaks every connection, as a network failure does.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	p.conns = nil
	p.cuts++
}
