package jobstream

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// Job is a handle on a job whose result is read as an Out. It is safe for any number of goroutines, and letting go of it
// changes nothing for the job.
type Job[Out any] struct{ handle *handle }

// handle is the part of a Job that does not know the type of its result.
type handle struct {
	client *Client
	id     string
	// had is the boot of the server that was known to have the job.
	had atomic.Pointer[boot]
}

// Attach is the handle of a job known by its id, whose result is read as an Out. It does not call the server.
func Attach[Out any](client *Client, id string) *Job[Out] {
	return &Job[Out]{&handle{client: client, id: id}}
}

// seen notes that the present server has the job.
func (h *handle) seen() {
	if h.had.Load() == nil {
		h.had.Store(h.client.boots.current())
	}
}

// explain tells a job that is gone with its server from one that never was.
func (h *handle) explain(err error) error {
	return h.client.boots.explain(err, h.id, h.had.Load(), h.client.Address())
}

// ID is the job's id.
func (j *Job[Out]) ID() string { return j.handle.id }

// Result is what the job's handler answered, once it has. It waits by long polls, across lost connections, until the
// context ends or the server was away for all of [WithPatience].
//
// JSON is decoded, plain text fits a string, and []byte takes any content as it is; where Out is any, it is what the
// content type says: a decoded value, a string or a []byte. [Payload] takes everything as it came.
//
// The error is [JobFailed], [JobCancelled], [ResultMismatch] if the result does not fit, [NotFinished] if the context
// ended, which never cancels the job, [JobNotFound], [ServerRestarted], [ResultExpired] or [Unavailable].
func (j *Job[Out]) Result(ctx context.Context) (Out, error) {
	payload, err := j.Payload(ctx)
	if err != nil {
		var none Out
		return none, err
	}
	return readResult[Out](j.ID(), payload)
}

func readResult[Out any](jobID string, payload Payload) (result Out, err error) {
	if err := decode(payload, &result); err != nil {
		message := fmt.Sprintf("the result of job %s is no %T: %v", jobID, result, err)
		return result, &ResultMismatch{&Error{Code: codes.Unknown, Message: message}}
	}
	return result, nil
}

// Payload is the result as it came, as [Job.Result].
func (j *Job[Out]) Payload(ctx context.Context) (Payload, error) {
	return j.handle.result(ctx)
}

// Watch tells every event of the job once, in order: first those that are kept, then live. It opens with the loop, goes
// on by itself after the last event seen when a connection breaks or falls silent, and ends after the event that ends
// the job. A slow reader misses progress and old output, told as a [Gap], never the end.
//
//	for event, err := range job.Watch(ctx) {
//		if err != nil { return err }
//		switch event := event.(type) {
//		case *jobstream.Progress: …
//		case *jobstream.Output: …
//		}
//	}
//
// An error is the last item: [NotFinished] if the context ended, otherwise as of [Job.Result]. That a job failed is no
// error here but its last event.
func (j *Job[Out]) Watch(ctx context.Context, options ...WatchOption) iter.Seq2[Event, error] {
	return j.handle.watch(ctx, options)
}

// State is where the job is now.
func (j *Job[Out]) State(ctx context.Context) (State, error) {
	answer, err := call(ctx, j.handle.client, &jobstreamv1.GetResultRequest{JobId: j.ID()}, j.handle.client.jobs.GetResult)
	if err != nil {
		return "", j.handle.explain(err)
	}
	j.handle.seen()
	return readState(answer.State), nil
}

// CancelOption changes how a job is cancelled.
type CancelOption func(*jobstreamv1.CancelRequest)

// WithGrace is how long a running handler may take to stop before its attempt is ended by force. Default 10 s; 0 is at
// once; at most 1 h.
func WithGrace(grace time.Duration) CancelOption {
	return func(request *jobstreamv1.CancelRequest) { request.Grace = durationpb.New(grace) }
}

// Cancel ends the job: at once if it waits, else its handler is told to stop. It answers CANCELLED, or RUNNING while the
// handler is stopping. Cancelling a cancelled job is fine. The reason is for people, at most 1 KiB, and kept.
//
// The error is [IllegalState] if the job ended otherwise, [JobNotFound], [ServerRestarted] or [ResultExpired], or one
// that any call may have.
func (j *Job[Out]) Cancel(ctx context.Context, reason string, options ...CancelOption) (State, error) {
	request := &jobstreamv1.CancelRequest{JobId: j.ID(), Reason: reason}
	for _, option := range options {
		option(request)
	}
	answer, err := call(ctx, j.handle.client, request, j.handle.client.jobs.Cancel)
	if err != nil {
		return "", j.handle.explain(err)
	}
	return readState(answer.State), nil
}
