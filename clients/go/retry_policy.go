package jobstream

import (
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// WithMaxAttempts sets the number of attempts in all, the first included. Default 1; at most 100.
func WithMaxAttempts(attempts int) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { retryOf(spec).MaxAttempts = count(attempts) }
}

// WithInitialBackoff sets the back-off before the second attempt. Default 1 s; 0 to 10 years.
func WithInitialBackoff(backoff time.Duration) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { retryOf(spec).InitialBackoff = durationpb.New(backoff) }
}

// WithMaxBackoff sets the largest back-off, not below the initial one. Default 1 h.
func WithMaxBackoff(backoff time.Duration) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { retryOf(spec).MaxBackoff = durationpb.New(backoff) }
}

// WithBackoffMultiplier sets the factor between one back-off and the next. Default 2; 1 to 100.
func WithBackoffMultiplier(multiplier float64) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { retryOf(spec).Multiplier = multiplier }
}

// WithBackoffJitter sets the random part of each back-off, 0 to 1: 0.2 means 80 % to 100 % of its value. Default 0.2.
func WithBackoffJitter(jitter float64) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { retryOf(spec).Jitter = proto.Float64(jitter) }
}

// WithMaxLostAttempts sets the number of attempts that may be lost with their worker before the job ends FAILED. They do
// not count as attempts of [WithMaxAttempts]. Default 3; 1 to 100.
func WithMaxLostAttempts(attempts int) SubmitOption {
	return func(spec *jobstreamv1.JobSpec) { retryOf(spec).MaxLostAttempts = count(attempts) }
}

func retryOf(spec *jobstreamv1.JobSpec) *jobstreamv1.RetryPolicy {
	if spec.Retry == nil {
		spec.Retry = &jobstreamv1.RetryPolicy{}
	}
	return spec.Retry
}

// count converts a negative number to one over the limit, so that the server rejects it.
func count(number int) uint32 {
	const overLimit = 1 << 31
	if number < 0 || number > overLimit {
		return overLimit
	}
	return uint32(number)
}
