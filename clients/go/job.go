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

// Job is a handle of a job whose result has the type Out. It is safe for concurrent use. Dropping it does not change
// the job.
type Job[Out any] struct{ handle *handle }

// handle is the part of a Job that does not depend on the type of the result.
type handle struct {
	client     *Client
	id         string
	waitReason string
	// acceptedBy is the boot of the server that had the job.
	acceptedBy atomic.Pointer[boot]
}

// Attach returns a handle of the job with this id, whose result has the type Out. It does not call the server. The calls
// of a handle return an [InvalidRequest] if the id is not a UUID.
func Attach[Out any](client *Client, id string) *Job[Out] {
	return &Job[Out]{&handle{client: client, id: id}}
}

// check returns an InvalidRequest if the id is not a UUID.
func (h *handle) check() error { return checkJobID("job_id", h.id) }

// recordBoot records that the current boot of the server has the job.
func (h *handle) recordBoot() {
	if h.acceptedBy.Load() == nil {
		h.acceptedBy.Store(h.client.boots.current())
	}
}

// detectRestart converts JobNotFound to ServerRestarted if a restart of the server lost the job.
func (h *handle) detectRestart(err error) error {
	return h.client.boots.detectRestart(err, h.id, h.acceptedBy.Load(), h.client.Address())
}

// ID returns the job id.
func (j *Job[Out]) ID() string { return j.handle.id }

// WaitReason returns why the job waited when it was submitted: NO_WORKER if no connected worker served its kind in its
// queue, NOT_DUE, WORKERS_BUSY and others. It is empty if the job did not wait, and for a handle of [Attach].
func (j *Job[Out]) WaitReason() string { return j.handle.waitReason }

// Result waits until the job ends and returns its result. It uses long polls and reconnects after a lost connection,
// until the context ends or the server was unavailable for the duration of [WithPatience].
//
// JSON is decoded, plain text can be decoded as a string, and []byte takes any content. If Out is any, the content type
// selects a decoded value, a string or a []byte. [Payload] takes everything undecoded.
//
// The error is [JobFailed], [JobCancelled], [ResultMismatch] if the result cannot be decoded, [NotFinished] if the
// context ended, which does not cancel the job, [JobNotFound], [ServerRestarted], [ResultExpired] or [Unavailable].
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
		message := fmt.Sprintf("the result of job %s cannot be decoded as %T: %v", jobID, result, err)
		return result, &ResultMismatch{&Error{Code: codes.Unknown, Message: message}}
	}
	return result, nil
}

// Payload returns the undecoded result; otherwise as [Job.Result].
func (j *Job[Out]) Payload(ctx context.Context) (Payload, error) {
	return j.handle.result(ctx)
}

// Watch iterates over the events of the job in order, each once: first the retained ones, then live ones. A stream
// opens when the loop starts. After a broken or idle connection the watch resumes after the last event. It ends after
// the final event of the job. A slow reader misses progress and old output, reported as a [Gap], but never the final
// event.
//
//	for event, err := range job.Watch(ctx) {
//		if err != nil { return err }
//		switch event := event.(type) {
//		case *jobstream.Progress: …
//		case *jobstream.Output: …
//		}
//	}
//
// An error is the last item: [NotFinished] if the context ended, otherwise as for [Job.Result]. The failure of a job is
// an event, not an error.
func (j *Job[Out]) Watch(ctx context.Context, options ...WatchOption) iter.Seq2[Event, error] {
	return j.handle.watch(ctx, options)
}

// State returns the current state of the job.
func (j *Job[Out]) State(ctx context.Context) (State, error) {
	if err := j.handle.check(); err != nil {
		return "", err
	}
	response, err := call(ctx, j.handle.client, &jobstreamv1.GetResultRequest{JobId: j.ID()}, j.handle.client.jobs.GetResult)
	if err != nil {
		return "", j.handle.detectRestart(err)
	}
	j.handle.recordBoot()
	return readState(response.State), nil
}

// CancelOption is an option of [Job.Cancel].
type CancelOption func(*jobstreamv1.CancelRequest)

// WithGrace sets the time for a running handler to stop before its lease is revoked. Default 10 s; 0 revokes it
// immediately; at most 1 h.
func WithGrace(grace time.Duration) CancelOption {
	return func(request *jobstreamv1.CancelRequest) { request.Grace = durationpb.New(grace) }
}

// Cancel cancels the job. A job that waits ends immediately; the handler of a running job is asked to stop. It returns
// CANCELLED, or RUNNING while the handler is stopping. Cancelling a cancelled job succeeds. The reason is
// human-readable, at most 1 KiB, and is stored.
//
// The error is [IllegalState] if the job already succeeded or failed, [JobNotFound], [ServerRestarted] or
// [ResultExpired], or an error of any call.
func (j *Job[Out]) Cancel(ctx context.Context, reason string, options ...CancelOption) (State, error) {
	if err := j.handle.check(); err != nil {
		return "", err
	}
	request := &jobstreamv1.CancelRequest{JobId: j.ID(), Reason: reason}
	for _, option := range options {
		option(request)
	}
	response, err := call(ctx, j.handle.client, request, j.handle.client.jobs.Cancel)
	if err != nil {
		return "", j.handle.detectRestart(err)
	}
	return readState(response.State), nil
}
