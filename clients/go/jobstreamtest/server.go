// Package jobstreamtest is for the tests of programs that use jobstream: a real server in one line, and handlers without
// a server.
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

// startTimeout is how long a server may take to say where it listens.
const startTimeout = 20 * time.Second

var listening = regexp.MustCompile(`^\s+gRPC\s+(\S+:\d+)\b`)

// TestServer is a real server of the test, in memory. It ends with the test.
type TestServer struct {
	// Address is where it listens: http://127.0.0.1:41234.
	Address string

	t       testing.TB
	command *exec.Cmd
	log     *tail
}

// Server starts a server on a free port of the loopback interface, with the flags of `jobstream dev` if any are given.
// The binary is that of JOBSTREAM_BIN, else jobstream on the PATH; without one the test fails.
func Server(t testing.TB, flags ...string) *TestServer {
	t.Helper()
	s := &TestServer{t: t}
	s.start("127.0.0.1:0", flags)
	t.Cleanup(s.Stop)
	return s
}

// Client makes a client of the server, which is closed with the test.
func (s *TestServer) Client(options ...jobstream.Option) *jobstream.Client {
	s.t.Helper()
	client, err := jobstream.New(s.Address, options...)
	if err != nil {
		s.t.Fatalf("jobstreamtest: %v", err)
	}
	s.t.Cleanup(func() { _ = client.Close() })
	return client
}

// Stop ends the server at once, as a crash would. It may be called twice.
func (s *TestServer) Stop() {
	if s.command == nil {
		return
	}
	_ = s.command.Process.Kill() // It may have ended by itself.
	_ = s.command.Wait()         // A killed process ends with an error.
	s.command = nil
	if s.t.Failed() {
		s.t.Logf("the last of the server's log:\n%s", s.log)
	}
}

// Restart ends the server and starts another one at the same address, which knows no job of the first.
func (s *TestServer) Restart(flags ...string) {
	s.t.Helper()
	s.Stop()
	s.start(strings.TrimPrefix(s.Address, "http://"), flags)
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
		s.t.Fatalf("jobstreamtest: no server: %v: name its binary in JOBSTREAM_BIN, or install jobstream", err)
	}
	address := make(chan string, 1)
	go readAddress(stdout, address)
	select {
	case told, isTold := <-address:
		if !isTold {
			s.Stop()
			s.t.Fatalf("jobstreamtest: the server ended before it told where it listens:\n%s", s.log)
		}
		s.Address = "http://" + told
	case <-time.After(startTimeout):
		s.Stop()
		s.t.Fatalf("jobstreamtest: the server did not tell within %v where it listens:\n%s", startTimeout, s.log)
	}
}

// readAddress tells what the server's banner says, and reads on so that the server never waits for a reader.
func readAddress(stdout io.Reader, address chan<- string) {
	defer close(address)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			select {
			case address <- found[1]:
			default: // Told before.
			}
		}
	}
}
