// Package examples runs the example programs.
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
	if printed, err := exec.Command("go", "build", "-o", binary, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	command := exec.CommandContext(t.Context(), binary)
	command.Env = append(os.Environ(), "JOBSTREAM_ADDRESS="+server.Address)
	command.Stderr = os.Stderr
	return command
}

func run(t *testing.T, name string) string {
	t.Helper()
	printed, err := sample(t, jobstreamtest.Server(t, "--demo=true"), name).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	return string(printed)
}

func TestSubmitAndWaitPrintsAnExactResult(t *testing.T) {
	printed := run(t, "submit_and_wait")
	if !strings.HasSuffix(printed, "result {Name:Ada Times:18446744073709551615}\n") {
		t.Error(printed)
	}
}

func TestTourPrintsEventsAndTheResult(t *testing.T) {
	printed := run(t, "tour")
	if !strings.Contains(printed, "decoding") || !strings.HasSuffix(printed, "resized to 640\n") {
		t.Error(printed)
	}
}

func TestWatchWithResumePrintsEveryEventOnce(t *testing.T) {
	printed := run(t, "watch_with_resume")
	before, after, hasStopped := strings.Cut(printed, "stopped after event 4\n")
	if !hasStopped || !strings.HasPrefix(before, "1 QUEUED\n2 RUNNING\n3 1 of 5 numbers\n4 ") {
		t.Error(printed)
	}
	sequences := regexp.MustCompile(`(?m)^\d+`).FindAllString(after, -1)
	if strings.Join(sequences, " ") != "5 6 7 8" || !strings.HasSuffix(after, "8 SUCCEEDED\n") {
		t.Error(printed)
	}
}

func TestStreamingOutputRecitesItsPrompt(t *testing.T) {
	printed := run(t, "streaming_output")
	if printed != "a job is a small numbered stream of events that ends in one outcome\n14 words\n" {
		t.Error(printed)
	}
}

func TestWorkerRunsUntilASignal(t *testing.T) {
	server := jobstreamtest.Server(t)
	command := sample(t, server, "worker")
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	printed := bufio.NewScanner(stdout)
	if !printed.Scan() || printed.Text() != "connected as w1" {
		t.Fatal(printed.Text())
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
	if !printed.Scan() || printed.Text() != "drained" {
		t.Error(printed.Text())
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}
