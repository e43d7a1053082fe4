package jobstream

import (
	"context"
	"fmt"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// JobSpec is a job before it is sent. A [SubmitInterceptor] may change it.
type JobSpec struct {
	message *jobstreamv1.JobSpec
}

// JobID returns the id of the job, its idempotency key. Another submit with this id must have the same content.
func (s *JobSpec) JobID() string { return s.message.JobId }

// Kind returns the kind of the job.
func (s *JobSpec) Kind() string { return s.message.Kind }

// Queue returns the queue of the job.
func (s *JobSpec) Queue() string {
	if s.message.Queue == "" {
		return defaultQueue
	}
	return s.message.Queue
}

// Labels returns the labels of the job. They must not be modified: use [JobSpec.Apply] with [WithLabels].
func (s *JobSpec) Labels() map[string]string { return s.message.Labels }

// Headers returns the headers for the handler. They must not be modified: use [JobSpec.Apply] with [WithHeaders].
func (s *JobSpec) Headers() map[string]string { return s.message.Headers }

// TraceContext returns the trace of the submitter; use [JobSpec.Apply] with [WithTraceContext] to change it.
func (s *JobSpec) TraceContext() TraceContext { return readTraceContext(s.message.TraceContext) }

// Payload returns the encoded input.
func (s *JobSpec) Payload() Payload { return readPayload(s.message.Payload) }

// SetPayload replaces the input. The error is an [InvalidRequest] if it cannot be sent.
func (s *JobSpec) SetPayload(payload Payload) error {
	wire, err := payload.wire()
	if err != nil {
		return invalid("job.payload", err.Error())
	}
	s.message.Payload = wire
	return nil
}

// Apply applies options, such as [WithLabels].
func (s *JobSpec) Apply(options ...SubmitOption) {
	for _, option := range options {
		option(s.message)
	}
}

// Submitted is the answer of the server to a submit.
type Submitted struct {
	// JobID is the job id.
	JobID string
	// WaitReason is why the job waits, as [Job.WaitReason]. It is empty for [Run] and [SubmitAll].
	WaitReason string
}

// SubmitNext is the rest of a chain of submit interceptors. It ends with the call of the server.
type SubmitNext func(ctx context.Context, spec *JobSpec) (*Submitted, error)

// SubmitInterceptor is called around each submit, once for a submit with all its retries. It may change the job, and
// returns what next returns, or an error without calling next, which refuses the job. It must be safe for concurrent
// use.
//
// With [Run], next returns when the server has accepted the job. With [SubmitAll], next does not wait for the server:
// each job passes through the chain before the call with its batch is sent.
type SubmitInterceptor func(ctx context.Context, spec *JobSpec, next SubmitNext) (*Submitted, error)

// WithSubmitInterceptors adds interceptors around each submit. The first is the outermost.
func WithSubmitInterceptors(interceptors ...SubmitInterceptor) Option {
	return func(s *settings) { s.interceptors = append(s.interceptors, interceptors...) }
}

// HandlerNext is the rest of a chain of handler interceptors. It ends with the handler.
type HandlerNext func(ctx context.Context, task *Task) (Payload, error)

// HandlerInterceptor is called around each run of a handler. It may replace the payload of the task before it calls
// next, and the result, which is encoded, after it. Its error fails the attempt like one of the handler; so does a
// panic. It must be safe for concurrent use.
type HandlerInterceptor func(ctx context.Context, task *Task, next HandlerNext) (Payload, error)

// WithHandlerInterceptors adds interceptors around each run of a handler. The first is the outermost.
func WithHandlerInterceptors(interceptors ...HandlerInterceptor) WorkerOption {
	return func(w *Worker) { w.interceptors = append(w.interceptors, interceptors...) }
}

func aroundSubmit(interceptors []SubmitInterceptor, next SubmitNext) SubmitNext {
	for i := len(interceptors) - 1; i >= 0; i-- {
		intercept, inner := interceptors[i], next
		next = func(ctx context.Context, spec *JobSpec) (*Submitted, error) { return intercept(ctx, spec, inner) }
	}
	return next
}

func aroundHandler(interceptors []HandlerInterceptor, next HandlerNext) HandlerNext {
	for i := len(interceptors) - 1; i >= 0; i-- {
		intercept, inner := interceptors[i], next
		next = func(ctx context.Context, task *Task) (Payload, error) { return intercept(ctx, task, inner) }
	}
	return next
}

// notSent is the error of a job whose interceptors returned no error and did not call next.
func notSent(id string) error {
	return invalid("interceptors", fmt.Sprintf("job %s was not sent: call next, or return an error", id))
}

// intercept passes a job of a batch through the interceptors. It returns the job to send.
func (c *Client) intercept(ctx context.Context, spec *jobstreamv1.JobSpec) (*jobstreamv1.JobSpec, error) {
	if len(c.settings.interceptors) == 0 {
		return spec, nil
	}
	var sent *jobstreamv1.JobSpec
	add := func(_ context.Context, spec *JobSpec) (*Submitted, error) {
		sent = spec.message
		return &Submitted{JobID: sent.JobId}, nil
	}
	_, err := aroundSubmit(c.settings.interceptors, add)(ctx, &JobSpec{spec})
	if err == nil && sent == nil {
		err = notSent(spec.JobId)
	}
	return sent, err
}
