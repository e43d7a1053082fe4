package jobstream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// rehearsalAttemptTimeout is the server's default.
var rehearsalAttemptTimeout = durationpb.New(time.Hour)

// Rehearsal is what one attempt told, and how it ended, without a server.
type Rehearsal struct {
	// Result is what the handler answered.
	Result Payload
	// Err is a [JobFailed] or [JobCancelled] as a caller would get it; nil if the handler succeeded.
	Err error
	// Events are the [*Progress], [*Output] and [*Log] that it told, in order; nothing is left out.
	Events []Event
}

// Rehearse runs one attempt of the handler of a kind without any server, for tests; jobstreamtest.Run is shorter. The
// input is encoded and decoded as on its way over a server, and the options are those of [Submit]. A context that ends
// is a job that is cancelled.
//
// The error is an [InvalidRequest] if the worker has no handler for the kind or the input cannot be sent. A handler that
// fails is no error: see [Rehearsal.Err].
func (w *Worker) Rehearse(ctx context.Context, kind string, input any, options ...SubmitOption) (*Rehearsal, error) {
	w.mu.Lock()
	handle := w.handlers[kind]
	w.mu.Unlock()
	if handle == nil {
		return nil, invalid("kind", fmt.Sprintf("the worker has no handler for kind %q", kind))
	}
	spec, err := newSpec(kind, input, options)
	if err != nil {
		return nil, err
	}
	assignment := &jobstreamv1.Assignment{
		JobId: spec.JobId, Attempt: 1, Kind: spec.Kind, Queue: spec.Queue, Payload: spec.Payload,
		Headers: spec.Headers, Labels: spec.Labels, TimeLeft: spec.AttemptTimeout,
	}
	if assignment.TimeLeft == nil {
		assignment.TimeLeft = rehearsalAttemptTimeout
	}
	if assignment.Queue == "" {
		assignment.Queue = "default"
	}
	return rehearse(ctx, handle, assignment), nil
}

func rehearse(ctx context.Context, run handlerFunc, assignment *jobstreamv1.Assignment) *Rehearsal {
	told := &recorder{}
	task := newTask(assignment, told)
	running, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(ErrCancelled) })()
	running, stop := context.WithDeadline(running, task.Deadline)
	defer stop()
	ended := make(chan *jobstreamv1.AttemptReport, 1)
	// On a goroutine of its own, as in a worker: a handler may take it with it.
	go runHandler(running, run, task, func(end *jobstreamv1.AttemptReport) { ended <- end })
	end := <-ended
	told.mu.Lock()
	defer told.mu.Unlock()
	rehearsal := &Rehearsal{Events: told.events}
	outcome := &jobstreamv1.Outcome{}
	switch news := end.News.(type) {
	case *jobstreamv1.AttemptReport_Complete:
		outcome.End = &jobstreamv1.Outcome_Result{Result: news.Complete.Result}
	case *jobstreamv1.AttemptReport_Fail:
		news.Fail.Failure.Attempt = assignment.Attempt
		outcome.End = &jobstreamv1.Outcome_Failure{Failure: news.Fail.Failure}
	default:
		outcome.End = &jobstreamv1.Outcome_Cancellation{Cancellation: &jobstreamv1.Cancellation{}}
	}
	rehearsal.Result, rehearsal.Err = (&handle{id: assignment.JobId}).readOutcome(outcome)
	return rehearsal
}

// recorder keeps what an attempt tells.
type recorder struct {
	mu     sync.Mutex
	events []Event
}

func (r *recorder) progress(_ string, news *jobstreamv1.Progress) {
	r.record(&jobstreamv1.JobEvent{Event: &jobstreamv1.JobEvent_Progress{Progress: news}})
}

func (r *recorder) output(_ context.Context, _ string, news *jobstreamv1.Output) error {
	r.record(&jobstreamv1.JobEvent{Event: &jobstreamv1.JobEvent_Output{Output: news}})
	return nil
}

func (r *recorder) log(_ string, news *jobstreamv1.Log) {
	r.record(&jobstreamv1.JobEvent{Event: &jobstreamv1.JobEvent_Log{Log: news}})
}

func (r *recorder) record(event *jobstreamv1.JobEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	event.Sequence = uint32(len(r.events) + 1)
	event.Attempt = 1
	r.events = append(r.events, readEvent(event))
}
