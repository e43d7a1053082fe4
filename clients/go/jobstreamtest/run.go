package jobstreamtest

import (
	"context"
	"testing"

	"github.com/jobstream/jobstream/clients/go"
)

// Outcome is what a handler answered or how it failed, and what it told on the way.
type Outcome[Out any] struct {
	// Value is what it answered, as a caller would read it.
	Value Out
	// Err is a *jobstream.JobFailed or *jobstream.JobCancelled; nil if it succeeded.
	Err error
	// Events are the progress, output and log lines that it told, in order; nothing is left out.
	Events []jobstream.Event
}

// Run runs a handler once, without a server. Input and output are encoded and decoded as on their way over one; options
// are those of jobstream.Submit, such as headers. The context is the test's.
func Run[In, Out any](
	t testing.TB, handle func(context.Context, *jobstream.Task, In) (Out, error), in any, options ...jobstream.SubmitOption,
) Outcome[Out] {
	t.Helper()
	const kind = "test"
	worker := jobstream.NewWorker(nil, "test")
	jobstream.Handle(worker, kind, handle)
	rehearsal, err := worker.Rehearse(t.Context(), kind, in, options...)
	if err != nil {
		t.Fatalf("jobstreamtest: %v", err)
	}
	outcome := Outcome[Out]{Err: rehearsal.Err, Events: rehearsal.Events}
	if outcome.Err == nil {
		if err := rehearsal.Result.Decode(&outcome.Value); err != nil {
			t.Fatalf("jobstreamtest: the result is no %T: %v", outcome.Value, err)
		}
	}
	return outcome
}
