package jobstreamtest

import (
	"context"
	"testing"

	"github.com/jobstream/jobstream/clients/go"
)

// Outcome is the result or failure of a handler, and its events.
type Outcome[Out any] struct {
	// Value is the decoded result.
	Value Out
	// Err is a *jobstream.JobFailed or *jobstream.JobCancelled; nil if it succeeded.
	Err error
	// Events are the progress, output and log lines of the handler, in order and complete.
	Events []jobstream.Event
}

// Run runs a handler once without a server. Input and output are encoded and decoded as if they were sent. The options
// are those of jobstream.Submit, such as headers. The context is that of the test.
func Run[In, Out any](
	t testing.TB, handle func(context.Context, *jobstream.Task, In) (Out, error), in any, options ...jobstream.SubmitOption,
) Outcome[Out] {
	t.Helper()
	const kind = "test"
	worker := jobstream.NewWorker(nil, "test")
	jobstream.Handle(worker, kind, handle)
	dryRun, err := worker.DryRun(t.Context(), kind, in, options...)
	if err != nil {
		t.Fatalf("jobstreamtest: %v", err)
	}
	outcome := Outcome[Out]{Err: dryRun.Err, Events: dryRun.Events}
	if outcome.Err == nil {
		if err := dryRun.Result.Decode(&outcome.Value); err != nil {
			t.Fatalf("jobstreamtest: the result cannot be decoded as %T: %v", outcome.Value, err)
		}
	}
	return outcome
}
