package jobstream_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
)

var firstToken, secondToken, expiredToken = newTokenText("a"), newTokenText("b"), newTokenText("c")

func newTokenText(letter string) string { return "jst_" + strings.Repeat(letter, 43) }

// tokensFile writes a file of static tokens with one token.
func tokensFile(t *testing.T, token string, more ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens.toml")
	content := fmt.Sprintf("[[token]]\nname = \"caller\"\nsha256 = \"%x\"\ngrants = [\"all\"]\n%s\n",
		sha256.Sum256([]byte(token)), strings.Join(more, "\n"))
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRefusedTokenEndsCallsWatchesAndWorkers(t *testing.T) {
	expired := "expires = " + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	server := jobstreamtest.Server(t, "--auth-tokens", tokensFile(t, expiredToken, expired))
	for reason, options := range map[string][]jobstream.Option{
		"CREDENTIAL_REQUIRED": nil,
		"CREDENTIAL_INVALID":  {jobstream.WithToken(secondToken)},
		"CREDENTIAL_EXPIRED":  {jobstream.WithToken(expiredToken)},
	} {
		client := server.Client(options...)
		_, call := client.Queues(within(t))
		_, run := jobstream.Run[any](within(t), client, "any", nil)
		var watch error
		for _, err := range client.Job("0190c0de-0000-7000-8000-000000000000").Watch(within(t)) {
			watch = err
		}
		for _, err := range []error{call, run, watch, runWorker(t, client)} {
			var refused *jobstream.Unauthenticated
			if !errors.As(err, &refused) || refused.Reason != reason {
				t.Errorf("%s: %T %v", reason, err, err)
			}
		}
	}
}

func TestMissingGrantIsPermissionDenied(t *testing.T) {
	path := tokensFile(t, firstToken)
	content, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.Replace(content, []byte(`"all"`), []byte(`"read"`), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	client := jobstreamtest.Server(t, "--auth-tokens", path).Client(jobstream.WithToken(firstToken))
	_, call := jobstream.Submit[any](within(t), client, "any", nil)
	_, run := jobstream.Run[any](within(t), client, "any", nil)
	for _, err := range []error{call, run, runWorker(t, client)} {
		var denied *jobstream.PermissionDenied
		if !errors.As(err, &denied) || denied.Reason != "GRANT_MISSING" {
			t.Errorf("%T %v", err, err)
		}
	}
}

func TestWatchAndWorkerResumeAfterTheirCredentialHasExpired(t *testing.T) {
	second, err := os.ReadFile(tokensFile(t, secondToken))
	if err != nil {
		t.Fatal(err)
	}
	expires := "expires = " + time.Now().Add(4*time.Second).UTC().Format(time.RFC3339)
	server := jobstreamtest.Server(t, "--auth-tokens", tokensFile(t, firstToken, expires, string(second)))
	var current atomic.Value
	current.Store(firstToken)
	client := server.Client(jobstream.WithTokenFunc(func(context.Context) (string, error) {
		return current.Load().(string), nil
	}))
	connected := make(chan string, 8)
	worker := jobstream.NewWorker(client, "tokens", jobstream.WithOnConnect(func(id string) { connected <- id }))
	jobstream.Handle(worker, "hold", newHeld().handle)
	ended := begin(t, worker)
	<-connected
	job := submit[any](t, client, "unserved", nil)
	for _, err := range job.Watch(within(t)) {
		if err != nil {
			t.Fatal(err)
		}
		if current.Swap(secondToken) == secondToken {
			continue
		}
		select {
		case <-connected: // The first stream has expired.
		case err := <-ended:
			t.Fatal(err)
		}
		if _, err := job.Cancel(within(t), ""); err != nil {
			t.Fatal(err)
		}
	}
}

// watchAndWork starts a worker and a job that waits. The channels receive the state that ends a watch of the job, and
// its error.
func watchAndWork(t *testing.T, client *jobstream.Client) (job *jobstream.Job[any], last <-chan jobstream.State, watched, worked <-chan error) {
	t.Helper()
	connected := make(chan string, 8)
	worker := jobstream.NewWorker(client, "tokens", jobstream.WithOnConnect(func(id string) { connected <- id }))
	jobstream.Handle(worker, "double", func(_ context.Context, _ *jobstream.Task, in int) (int, error) { return 2 * in, nil })
	worked = begin(t, worker)
	<-connected
	job = submit[any](t, client, "unserved", nil)
	states, errs, begun := make(chan jobstream.State, 1), make(chan error, 1), make(chan struct{}, 8)
	go func() {
		var state jobstream.State
		for event, err := range job.Watch(within(t)) {
			if err != nil {
				errs <- err
				return
			}
			state = event.(*jobstream.StateChange).State
			begun <- struct{}{}
		}
		states <- state
	}()
	<-begun
	return job, states, errs, worked
}

// restartWithSecondToken restarts the server. Its jobs are in the log.
func restartWithSecondToken(t *testing.T, server *jobstreamtest.TestServer, data string) {
	t.Helper()
	server.Restart("--data", data, "--auth-tokens", tokensFile(t, secondToken))
}

func TestWatchAndWorkerReconnectWithAnotherToken(t *testing.T) {
	data := t.TempDir()
	server := jobstreamtest.Server(t, "--data", data, "--auth-tokens", tokensFile(t, firstToken))
	var current atomic.Value
	current.Store(firstToken)
	client := server.Client(jobstream.WithTokenFunc(func(context.Context) (string, error) {
		return current.Load().(string), nil
	}))
	job, last, watched, _ := watchAndWork(t, client)
	current.Store(secondToken)
	restartWithSecondToken(t, server, data)
	if result, err := jobstream.Run[int](within(t), client, "double", 21); result != 42 || err != nil {
		t.Error(result, err)
	}
	if _, err := job.Cancel(within(t), ""); err != nil {
		t.Error(err)
	}
	select {
	case state := <-last:
		if state != jobstream.StateCancelled {
			t.Error(state)
		}
	case err := <-watched:
		t.Error(err)
	}
}

func TestWatchAndWorkerEndAfterTheirStaticTokenWasRemoved(t *testing.T) {
	data := t.TempDir()
	server := jobstreamtest.Server(t, "--data", data, "--auth-tokens", tokensFile(t, firstToken))
	_, _, watched, worked := watchAndWork(t, server.Client(jobstream.WithToken(firstToken)))
	restartWithSecondToken(t, server, data)
	for _, ended := range []<-chan error{watched, worked} {
		if err := <-ended; !errors.As(err, new(*jobstream.Unauthenticated)) {
			t.Errorf("%T %v", err, err)
		}
	}
}
