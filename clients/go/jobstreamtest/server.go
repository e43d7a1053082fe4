// Package jobstreamtest supports tests of programs that use jobstream: it starts a real server and runs handlers
// without a server.
package jobstreamtest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jobstream/jobstream/clients/go"
)

// startTimeout is the time for a server to print its address.
const startTimeout = 20 * time.Second

var listening = regexp.MustCompile(`^\s+gRPC\s+(\S+:\d+)\b`)

// TestServer is a real server in memory mode. It is stopped at the end of the test.
type TestServer struct {
	// Address is the address of the server, such as http://127.0.0.1:41234; https if it has a certificate (--tls-cert).
	Address string

	t       testing.TB
	command *exec.Cmd
	log     *tail
}

// Server starts `jobstream dev` on a free port of the loopback interface with these flags. The binary is JOBSTREAM_BIN,
// else jobstream in PATH; without one the test fails.
func Server(t testing.TB, flags ...string) *TestServer {
	t.Helper()
	s := &TestServer{t: t}
	s.start("127.0.0.1:0", flags)
	t.Cleanup(s.Stop)
	return s
}

// Client creates a client of the server. It is closed at the end of the test.
func (s *TestServer) Client(options ...jobstream.Option) *jobstream.Client {
	s.t.Helper()
	client, err := jobstream.New(s.Address, options...)
	if err != nil {
		s.t.Fatalf("jobstreamtest: %v", err)
	}
	s.t.Cleanup(func() { _ = client.Close() })
	return client
}

// Stop kills the server. It may be called twice.
func (s *TestServer) Stop() {
	if s.command == nil {
		return
	}
	_ = s.command.Process.Kill() // The process may have ended by itself.
	_ = s.command.Wait()         // A killed process returns an error.
	s.command = nil
	if s.t.Failed() {
		s.t.Logf("end of the server log:\n%s", s.log)
	}
}

// Restart kills the server and starts another one at the same address. It has no job of the first.
func (s *TestServer) Restart(flags ...string) {
	s.t.Helper()
	s.Stop()
	_, listen, _ := strings.Cut(s.Address, "://")
	s.start(listen, flags)
}

func (s *TestServer) start(listen string, flags []string) {
	s.t.Helper()
	binary := os.Getenv("JOBSTREAM_BIN")
	if binary == "" {
		binary = "jobstream"
	}
	s.log = &tail{}
	s.command = exec.Command(binary, append([]string{"dev", "--listen", listen}, flags...)...)
	s.command.Env = append(os.Environ(), "JOBSTREAM_DEMO=false")
	s.command.Stderr = s.log
	stdout, err := s.command.StdoutPipe()
	if err == nil {
		err = s.command.Start()
	}
	if err != nil {
		s.command = nil
		s.t.Fatalf("jobstreamtest: server not started: %v: set JOBSTREAM_BIN to its binary or install jobstream", err)
	}
	address := make(chan string, 1)
	go readAddress(stdout, address)
	select {
	case listen, isOpen := <-address:
		if !isOpen {
			s.Stop()
			s.t.Fatalf("jobstreamtest: the server ended before it printed its address:\n%s", s.log)
		}
		s.Address = listen
		if !strings.Contains(listen, "://") {
			s.Address = "http://" + listen
		}
	case <-time.After(startTimeout):
		s.Stop()
		s.t.Fatalf("jobstreamtest: the server printed no address within %v:\n%s", startTimeout, s.log)
	}
}

// readAddress sends the address that the server prints, and reads all output so that the server never blocks on a full
// pipe.
func readAddress(stdout io.Reader, address chan<- string) {
	defer close(address)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			select {
			case address <- found[1]:
			default: // The address was sent before.
			}
		}
	}
}
