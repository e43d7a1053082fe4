package jobstream

import (
	"context"
	"maps"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// SubmitOption changes what a job is asked to be. The server's limits are those of jobstreamv1.JobSpec.
type SubmitOption func(*jobstreamv1.JobSpec)

// WithJobID is the job's id and idempotency key, a UUID. Submitting the same id with the same job again answers the job
// that exists; with another one it is [JobIDReused]. Default: minted by Submit, before its first try.
func WithJobID(id string) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { spec.JobId = id }
}

// WithQueue is where the job waits. Default "default"; 1 to 128 characters of [A-Za-z0-9._:/-].
func WithQueue(queue string) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { spec.Queue = queue }
}

// WithPriority is -100 to 100; larger starts first. Default 0.
func WithPriority(priority int) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { spec.Priority = int32(max(-1000, min(1000, priority))) }
}

// WithDelay lets the job start not before this long after it was accepted, at most 10 years. Default 0.
func WithDelay(delay time.Duration) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) {
		spec.Start = &jobstreamv1.JobSpec_StartDelay{StartDelay: durationpb.New(delay)}
	}
}

// WithStartTime lets the job start not before this time of the server's clock. Default: now.
func WithStartTime(start time.Time) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) {
		spec.Start = &jobstreamv1.JobSpec_StartTime{StartTime: timestamppb.New(start)}
	}
}

// WithTimeout is the longest life of the whole job: after it the job ends FAILED. Default none; 1 ms to 10 years.
func WithTimeout(timeout time.Duration) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { spec.Timeout = durationpb.New(timeout) }
}

// WithAttemptTimeout is the longest time that one attempt may run. Default 1 h; 1 ms to 10 years.
func WithAttemptTimeout(timeout time.Duration) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { spec.AttemptTimeout = durationpb.New(timeout) }
}

// WithMaxAttempts is the attempts in all, the first included. Default 1; at most 100.
func WithMaxAttempts(attempts int) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { retryOf(spec).MaxAttempts = count(attempts) }
}

// WithBackoff is the pause before the second attempt and the longest before any; each is twice the one before. Default
// 1 s and 1 h.
func WithBackoff(first, longest time.Duration) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) {
		retryOf(spec).InitialBackoff, retryOf(spec).MaxBackoff = durationpb.New(first), durationpb.New(longest)
	}
}

// WithRetry is the whole retry policy, in place of what WithMaxAttempts and WithBackoff set.
func WithRetry(policy *jobstreamv1.RetryPolicy) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { spec.Retry = policy }
}

// WithRetention is how long the finished job and its result are kept. Default the server's, 1 h; 0 to 10 years.
func WithRetention(retention time.Duration) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { spec.Retention = durationpb.New(retention) }
}

// WithLabels adds labels, for finding jobs again. At most 16; keys to 64 bytes, values to 256.
func WithLabels(labels map[string]string) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { spec.Labels = merged(spec.Labels, labels) }
}

// WithHeaders adds headers, which are handed to the handler. At most 16; keys to 64 bytes, values to 256.
func WithHeaders(headers map[string]string) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { spec.Headers = merged(spec.Headers, headers) }
}

func retryOf(spec *jobstreamv1.JobSpec) *jobstreamv1.RetryPolicy {
	if spec.Retry == nil {
		spec.Retry = &jobstreamv1.RetryPolicy{}
	}
	return spec.Retry
}

// count keeps a negative number from becoming none: the server refuses it then, with its limit.
func count(number int) uint32 {
	const farTooMany = 1 << 31
	if number < 0 || number > farTooMany {
		return farTooMany
	}
	return uint32(number)
}

func merged(into, from map[string]string) map[string]string {
	if into == nil {
		return maps.Clone(from)
	}
	maps.Copy(into, from)
	return into
}

// Submit hands a job to the server, which keeps it once this returns. Out is the type of its result.
//
// The job id is minted before the first try, so that a retry never makes a second job. The input is sent as said at the
// package: JSON, []byte as it is, or a [Payload].
//
// The error is [InvalidRequest], [JobIDReused], [ResourceExhausted], [Unavailable], [DeadlineExceeded] or an [Error].
// After the last three the job may have been accepted: submit it again with the same [WithJobID] to be sure.
//
// The result can be had while it is retained: use [Run] where that may be shorter than the way to [Job.Result].
func Submit[Out any](
	ctx context.Context, client *Client, kind string, input any, options ...SubmitOption,
) (*Job[Out], error) {
	handle, err := client.submit(ctx, kind, input, options)
	if err != nil {
		return nil, err
	}
	return &Job[Out]{handle}, nil
}

func (c *Client) submit(ctx context.Context, kind string, input any, options []SubmitOption) (*handle, error) {
	spec, err := newSpec(kind, input, options)
	if err != nil {
		return nil, err
	}
	c.boots.ask()
	if _, err := call(ctx, c, &jobstreamv1.SubmitRequest{Job: spec}, c.jobs.Submit); err != nil {
		return nil, err
	}
	c.boots.ask()
	accepted := &handle{client: c, id: spec.JobId}
	accepted.seen()
	return accepted, nil
}

func newSpec(kind string, input any, options []SubmitOption) (*jobstreamv1.JobSpec, error) {
	payload, err := encode(input)
	if err != nil {
		return nil, invalid("job.payload", "the input cannot be sent: "+err.Error())
	}
	wire, err := payload.wire()
	if err != nil {
		return nil, invalid("job.payload", err.Error())
	}
	spec := &jobstreamv1.JobSpec{Kind: kind, Payload: wire}
	for _, option := range options {
		option(spec)
	}
	if spec.JobId == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		spec.JobId = id.String()
	}
	return spec, nil
}
