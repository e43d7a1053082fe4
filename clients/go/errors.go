package jobstream

import (
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error has the fields of every error of a call or a job. errors.As finds it in each of the types below. An error
// without a type of its own, such as Unimplemented or Internal, is a plain *Error.
type Error struct {
	// Code is the gRPC status code of the call. For the outcome of a job it is Unknown or Canceled.
	Code codes.Code
	// Reason is the stable reason of the server, such as JOB_NOT_FOUND, or of this client for a failed TLS handshake or
	// token function; else it is empty.
	Reason string
	// Message describes the error, where it occurred and how to fix it.
	Message string
	// RetryAfter is the delay that the server requests before a retry; 0 if none.
	RetryAfter time.Duration
	// Violations lists the invalid fields of the request.
	Violations []Violation
	// Metadata has further values from the server, such as limit.
	Metadata map[string]string

	cause error
	// hasRetryAfter is set if RetryAfter was given, which may be 0.
	hasRetryAfter bool
}

// Base is the name under which the types below embed [Error].
type Base = Error

// Violation is an invalid field of a request.
type Violation struct {
	// Field is the path of the field, such as job.kind.
	Field string
	// Description describes the violation and the limit.
	Description string
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns the error of the context, if the context ended the call, or the error of the token function.
func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus makes the code available to package status of gRPC.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

// JobFailed means that the job ended FAILED.
type JobFailed struct {
	*Base
	// JobID is the job.
	JobID string
	// Failure is the failure of the last attempt.
	Failure Failure
}

// JobCancelled means that the job ended CANCELLED.
type JobCancelled struct {
	*Base
	// JobID is the job.
	JobID string
	// CancelReason is the reason passed to Cancel.
	CancelReason string
	// Forced is true if the handler did not stop within the grace time.
	Forced bool
}

// NotFinished means that the context of a wait or a watch ended; errors.Is matches the error of the context. The job
// continues.
type NotFinished struct{ *Base }

// ResultMismatch means that the result cannot be decoded as the requested type. [Job.Payload] returns it undecoded.
type ResultMismatch struct{ *Base }

// JobNotFound means that no job has this id.
type JobNotFound struct{ *Base }

// ServerRestarted is a JobNotFound: a restart of a server in memory mode lost the job.
type ServerRestarted struct{ *JobNotFound }

// ResultExpired means that the job ended and its result is no longer retained.
type ResultExpired struct{ *Base }

// JobIDReused means that the id belongs to a job with another spec.
type JobIDReused struct{ *Base }

// InvalidRequest means that the request is invalid. Violations lists every invalid field. The server stored nothing. A
// payload over the limit is also an InvalidRequest.
type InvalidRequest struct{ *Base }

// IllegalState means that the state of the job does not allow the call.
type IllegalState struct{ *Base }

// Unauthenticated means that the credentials are missing or refused. The reason is CREDENTIAL_REQUIRED,
// CREDENTIAL_INVALID or CREDENTIAL_EXPIRED; CLIENT_CERTIFICATE if the server refused the TLS connection without a client
// certificate that it trusts; empty for HTTP status 401 of a proxy.
type Unauthenticated struct{ *Base }

// PermissionDenied means that the caller may not do this. The message names the missing grant; the reason is
// GRANT_MISSING, or empty for HTTP status 403 of a proxy.
type PermissionDenied struct{ *Base }

// ResourceExhausted means that a limit of the server, or a quota of the caller (reason QUOTA), is reached. The server
// stored nothing.
type ResourceExhausted struct{ *Base }

// Unavailable means that the server is unavailable or unreachable. After a failed TLS handshake the reason is
// UNKNOWN_CA, INVALID_CERTIFICATE, NOT_TLS or TLS_FAILED, and TLS_REQUIRED if the address is plain text but the server
// serves TLS only. After an error of the token function it is TOKEN_UNAVAILABLE, and errors.Is matches the error of the
// function.
type Unavailable struct{ *Base }

// DeadlineExceeded means that no response arrived in time. The server may or may not have processed the call.
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
func (e *Unauthenticated) Unwrap() error   { return e.Base }
func (e *PermissionDenied) Unwrap() error  { return e.Base }
func (e *ResourceExhausted) Unwrap() error { return e.Base }
func (e *Unavailable) Unwrap() error       { return e.Base }
func (e *DeadlineExceeded) Unwrap() error  { return e.Base }

// invalid returns an InvalidRequest found by the client. It has no reason of the server.
func invalid(field, description string) error {
	return &InvalidRequest{&Error{
		Code:       codes.InvalidArgument,
		Message:    fmt.Sprintf("%s: %s", field, description),
		Violations: []Violation{{Field: field, Description: description}},
	}}
}
