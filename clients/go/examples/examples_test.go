// Package examples runs the samples as their readers would.
package examples

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
)

func sample(t *testing.T, server *jobstreamtest.TestServer, name string) *exec.Cmd {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name)
	if said, err := exec.Command("go", "build", "-o", binary, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	command := exec.CommandContext(t.Context(), binary)
	command.Env = append(os.Environ(), "JOBSTREAM_ADDRESS="+server.Address)
	command.Stderr = os.Stderr
	return command
}

func run(t *testing.T, name string) string {
	t.Helper()
	said, err := sample(t, jobstreamtest.Server(t, "--demo=true"), name).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return string(said)
}

func TestSubmitAndWaitPrintsAnExactResult(t *testing.T) {
	said := run(t, "submit_and_wait")
	if !strings.HasSuffix(said, "result {Name:Ada Times:18446744073709551615}\n") {
		t.Error(said)
	}
}

func TestTourPrintsEventsAndTheResult(t *testing.T) {
	said := run(t, "tour")
	if !strings.Contains(said, "decoding") || !strings.HasSuffix(said, "resized to 640\n") {
		t.Error(said)
	}
}

func TestWatchWithResumeTellsEveryEventOnce(t *testing.T) {
	said := run(t, "watch_with_resume")
	before, after, isLeft := strings.Cut(said, "left after event 4\n")
	if !isLeft || !strings.HasPrefix(before, "1 QUEUED\n2 RUNNING\n3 1 of 5 numbers\n4 ") {
		t.Error(said)
	}
	sequences := regexp.MustCompile(`(?m)^\d+`).FindAllString(after, -1)
	if strings.Join(sequences, " ") != "5 6 7 8" || !strings.HasSuffix(after, "8 SUCCEEDED\n") {
		t.Error(said)
	}
}

func TestStreamingOutputRecitesItsPrompt(t *testing.T) {
	said := run(t, "streaming_output")
	if said != "a job is a small numbered stream of events that ends in one outcome\n14 words\n" {
		t.Error(said)
	}
}

func TestWorkerServesUntilItIsToldToEnd(t *testing.T) {
	server := jobstreamtest.Server(t)
	command := sample(t, server, "worker")
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(stdout)
	if !said.Scan() || said.Text() != "connected as w1" {
		t.Fatal(said.Text())
	}
	type thumbnail struct{ Width, Height int }
	job, err := jobstream.Submit[thumbnail](t.Context(), server.Client(), "resize", map[string]int{"width": 64})
	if err != nil {
		t.Fatal(err)
	}
	if result, err := job.Result(t.Context()); err != nil || result != (thumbnail{64, 48}) {
		t.Error(result, err)
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !said.Scan() || said.Text() != "drained" {
		t.Error(said.Text())
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}
