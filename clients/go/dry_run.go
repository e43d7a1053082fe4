package jobstream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// dryRunAttemptTimeout is the default attempt timeout of the server.
var dryRunAttemptTimeout = durationpb.New(time.Hour)

// DryRunResult is the outcome and the events of one attempt that ran without a server.
type DryRunResult struct {
	// Result is the result of the handler.
	Result Payload
	// Err is a [JobFailed] or [JobCancelled] as a caller would receive it; nil if the handler succeeded.
	Err error
	// Events are the [*Progress], [*Output] and [*Log] events of the handler, in order and complete.
	Events []Event
}

// DryRun runs one attempt of the handler of a kind without a server, for tests; jobstreamtest.Run is shorter. The input
// is encoded and decoded as if it was sent. The options are those of [Submit]. Interceptors do not run. OnSettled
// callbacks are called without an error. The end of the context cancels the job.
//
// The error is an [InvalidRequest] if the worker has no handler for the kind or the input cannot be encoded. The
// failure of the handler is [DryRunResult.Err].
func (w *Worker) DryRun(ctx context.Context, kind string, input any, options ...SubmitOption) (*DryRunResult, error) {
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
		Headers: spec.Headers, Labels: spec.Labels, TraceContext: spec.TraceContext, TimeLeft: spec.AttemptTimeout,
	}
	if assignment.TimeLeft == nil {
		assignment.TimeLeft = dryRunAttemptTimeout
	}
	if assignment.Queue == "" {
		assignment.Queue = defaultQueue
	}
	return w.dryRun(ctx, handle, assignment), nil
}

func (w *Worker) dryRun(ctx context.Context, run HandlerNext, assignment *jobstreamv1.Assignment) *DryRunResult {
	recorded := &recorder{}
	task := newTask(assignment, recorded)
	running, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(ErrCancelled) })()
	running, stop := context.WithDeadline(running, task.Deadline)
	defer stop()
	ended := make(chan *jobstreamv1.AttemptReport, 1)
	// On a goroutine of its own, as in a worker, because a handler may end its goroutine.
	go runHandler(running, run, task, func(end *jobstreamv1.AttemptReport) {
		callSettled(recorded.takeSettled(), nil, w.logSettledPanic)
		ended <- end
	})
	end := <-ended
	recorded.mu.Lock()
	defer recorded.mu.Unlock()
	result := &DryRunResult{Events: recorded.events}
	outcome := &jobstreamv1.Outcome{}
	switch report := end.News.(type) {
	case *jobstreamv1.AttemptReport_Complete:
		outcome.End = &jobstreamv1.Outcome_Result{Result: report.Complete.Result}
	case *jobstreamv1.AttemptReport_Fail:
		report.Fail.Failure.Attempt = assignment.Attempt
		outcome.End = &jobstreamv1.Outcome_Failure{Failure: report.Fail.Failure}
	default:
		outcome.End = &jobstreamv1.Outcome_Cancellation{Cancellation: &jobstreamv1.Cancellation{}}
	}
	result.Result, result.Err = (&handle{id: assignment.JobId}).readOutcome(outcome)
	return result
}

// recorder records the events of an attempt.
type recorder struct {
	mu      sync.Mutex
	events  []Event
	settled []func(error)
}

func (r *recorder) progress(_ string, progress *jobstreamv1.Progress) {
	r.record(&jobstreamv1.JobEvent{Event: &jobstreamv1.JobEvent_Progress{Progress: progress}})
}

func (r *recorder) output(_ context.Context, _ string, output *jobstreamv1.Output) error {
	r.record(&jobstreamv1.JobEvent{Event: &jobstreamv1.JobEvent_Output{Output: output}})
	return nil
}

func (r *recorder) log(_ string, log *jobstreamv1.Log) {
	r.record(&jobstreamv1.JobEvent{Event: &jobstreamv1.JobEvent_Log{Log: log}})
}

func (r *recorder) onSettled(_ *attempt, settled func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled = append(r.settled, settled)
}

// takeSettled returns the OnSettled callbacks. Later ones are not called.
func (r *recorder) takeSettled() []func(error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settled
}

func (r *recorder) record(event *jobstreamv1.JobEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	event.Sequence = uint32(len(r.events) + 1)
	event.Attempt = 1
	r.events = append(r.events, readEvent(event))
}
