package jobstream

import (
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is what every error of a call or a job has; errors.As finds it in each of the types below. On its own it is an
// error that has no type: Unauthenticated, Unimplemented, Internal and the like.
type Error struct {
	// Code is the gRPC code of the call. For the end of a job it is Unknown or Canceled.
	Code codes.Code
	// Reason is the server's, such as JOB_NOT_FOUND; empty if it gave none.
	Reason string
	// Message says what is wrong, where, and the way out.
	Message string
	// RetryAfter is the pause the server asks for; 0 if it asks for none.
	RetryAfter time.Duration
	// Violations are the fields of the request that break a rule.
	Violations []Violation
	// Metadata are facts that the server tells beside its message, such as limit.
	Metadata map[string]string

	cause error
	// isAsked is set if RetryAfter was given, which may be 0.
	isAsked bool
}

// Base is [Error] under the name by which the types below embed it.
type Base = Error

// Violation is a field of a request that breaks a rule.
type Violation struct {
	// Field is its path, such as job.kind.
	Field string
	// Description says what is wrong and the limit.
	Description string
}

func (e *Error) Error() string { return e.Message }

// Unwrap is the error of the context, if it ended the call.
func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus lets the functions of grpc's package status read the code.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

// JobFailed says that the job ended FAILED.
type JobFailed struct {
	*Base
	// JobID is the job.
	JobID string
	// Failure is that of the last attempt.
	Failure Failure
}

// JobCancelled says that the job ended CANCELLED.
type JobCancelled struct {
	*Base
	// JobID is the job.
	JobID string
	// CancelReason is what the one who cancelled it gave as the reason.
	CancelReason string
	// Forced is true if the handler did not stop within the grace.
	Forced bool
}

// NotFinished says that the context of a wait or a watch ended, which errors.Is tells: the job goes on.
type NotFinished struct{ *Base }

// ResultMismatch says that the job has a result that its type does not fit; [Job.Payload] gives it as it is.
type ResultMismatch struct{ *Base }

// JobNotFound says that no job has this id.
type JobNotFound struct{ *Base }

// ServerRestarted is a JobNotFound: a server that keeps jobs in memory accepted the job, and was started anew since.
type ServerRestarted struct{ *JobNotFound }

// ResultExpired says that the job is known and its result is past its retention.
type ResultExpired struct{ *Base }

// JobIDReused says that the id belongs to a job with another spec.
type JobIDReused struct{ *Base }

// InvalidRequest says that fields break rules; Violations lists them all. Nothing was kept. Payloads that are too large
// are among these.
type InvalidRequest struct{ *Base }

// IllegalState says that the state of the job forbids the call.
type IllegalState struct{ *Base }

// ResourceExhausted says that a bound of the server is reached; nothing was kept.
type ResourceExhausted struct{ *Base }

// Unavailable says that the server takes no calls now, or that nobody answers at its address.
type Unavailable struct{ *Base }

// DeadlineExceeded says that no answer came in time: the call may or may not have arrived.
type DeadlineExceeded struct{ *Base }

func (e *JobFailed) Unwrap() error         { return e.Base }
func (e *JobCancelled) Unwrap() error      { return e.Base }
func (e *NotFinished) Unwrap() error       { return e.Base }
func (e *ResultMismatch) Unwrap() error    { return e.Base }
func (e *JobNotFound) Unwrap() error       { return e.Base }
func (e *ServerRestarted) Unwrap() error   { return e.JobNotFound }
func (e *ResultExpired) Unwrap() error     { return e.Base }
func (e *JobIDReused) Unwrap() error       { return e.Base }
func (e *InvalidRequest) Unwrap() error    { return e.Base }
func (e *IllegalState) Unwrap() error      { return e.Base }
func (e *ResourceExhausted) Unwrap() error { return e.Base }
func (e *Unavailable) Unwrap() error       { return e.Base }
func (e *DeadlineExceeded) Unwrap() error  { return e.Base }

// invalid is an InvalidRequest that this side found.
func invalid(field, description string) error {
	return &InvalidRequest{&Error{
		Code:       codes.InvalidArgument,
		Reason:     "INVALID_FIELD",
		Message:    fmt.Sprintf("%s: %s", field, description),
		Violations: []Violation{{Field: field, Description: description}},
	}}
}
