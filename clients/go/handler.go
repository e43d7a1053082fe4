package jobstream

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

const (
	failureTypeBytesMax    = 256
	failureMessageBytesMax = 4 << 10
	failureDetailsBytesMax = 16 << 10
	// retryLaterMax is the largest delay that the server accepts.
	retryLaterMax = 10 * 365 * 24 * time.Hour
)

// Causes of the cancellation of a handler's context, as returned by [context.Cause]. An error that the handler returns
// afterwards does not count as a failure.
var (
	// ErrCancelled means that the job was cancelled.
	ErrCancelled = errors.New("the job was cancelled")
	// ErrLeaseLost means that the worker lost the lease: the attempt ended or the job was assigned to another worker. It
	// is also an error of [Task.OnSettled], and an [Error] with the reason LEASE_LOST.
	ErrLeaseLost error = &Error{Code: codes.FailedPrecondition, Reason: "LEASE_LOST", Message: "the lease was lost"}
	// ErrDraining means that the worker is draining and releases the attempt.
	ErrDraining = errors.New("the worker is draining")
)

// Errors that determine the retry or the failure reason.
type (
	permanentError struct{ error }
	laterError     struct {
		error
		after time.Duration
	}
	badPayload   struct{ error }
	unknownError struct{ error }
)

// ErrBadPayload is the error of an input that does not fit the type of its handler, for [errors.Is] in a
// [HandlerInterceptor]. The text of such an error may quote the input.
var ErrBadPayload = errors.New("the input does not fit the type of the handler")

// Is reports whether the target is ErrBadPayload.
func (e badPayload) Is(target error) bool { return target == ErrBadPayload }

func (e permanentError) Unwrap() error { return e.error }
func (e laterError) Unwrap() error     { return e.error }
func (e badPayload) Unwrap() error     { return e.error }
func (e unknownError) Unwrap() error   { return e.error }

func unknownKind(kind string) error {
	return unknownError{fmt.Errorf("this worker has no handler for kind %s", kind)}
}

// Permanent marks an error as not retryable: the job fails.
func Permanent(err error) error { return permanentError{err} }

// RetryLater sets the delay before the next attempt in place of the retry policy's, at most 10 years. The attempt
// counts.
func RetryLater(err error, after time.Duration) error { return laterError{err, after} }

// Handle registers the handler of a kind. Call it before [Worker.Run], once for each kind. Input and output are encoded
// as described for the package. An input that cannot be decoded as In fails the job with BAD_PAYLOAD, and so does an
// input that a method Validate() error of In rejects. Package json does not report missing fields, so required fields
// need Validate.
//
// The context ends when the job is cancelled, the attempt times out, its lease is lost, or the drain timeout of the
// worker has passed; [context.Cause] returns the reason. The handler must then return, with any error.
//
// Any other error fails the attempt, which is retried according to the retry policy of the job; see [Permanent] and
// [RetryLater]. A panic also fails the attempt, with its stack trace in the failure.
func Handle[In, Out any](w *Worker, kind string, handle func(ctx context.Context, task *Task, in In) (Out, error)) {
	w.handle(kind, func(ctx context.Context, task *Task) (Payload, error) {
		var in In
		if err := decode(task.Payload, &in); err != nil {
			return Payload{}, badPayload{fmt.Errorf("invalid payload for kind %s: %w", task.Kind, err)}
		}
		if checked, isChecked := any(&in).(interface{ Validate() error }); isChecked {
			if err := checked.Validate(); err != nil {
				return Payload{}, badPayload{fmt.Errorf("invalid payload for kind %s: %w", task.Kind, err)}
			}
		}
		out, err := handle(ctx, task, in)
		if err != nil {
			return Payload{}, err
		}
		result, err := encode(out)
		if err != nil {
			return Payload{}, Permanent(fmt.Errorf("the result cannot be sent: %w", err))
		}
		return result, nil
	})
}

// runHandler runs a handler and reports its outcome. It also reports a panic and a handler that ends its goroutine.
func runHandler(ctx context.Context, handle HandlerNext, task *Task, report func(end *jobstreamv1.AttemptReport)) {
	var end *jobstreamv1.AttemptReport
	defer func() {
		if end == nil {
			message := "the handler ended its goroutine"
			if panicked := recover(); panicked != nil {
				message = fmt.Sprintf("the handler panicked: %v", panicked)
			}
			end = failReport(failure(jobstreamv1.FailureReason_FAILURE_REASON_PANIC, message, string(debug.Stack())), 0)
		}
		report(end)
	}()
	task.ctx = ctx
	result, err := handle(ctx, task)
	end = finalReport(ctx, result, err)
}

func finalReport(ctx context.Context, result Payload, err error) *jobstreamv1.AttemptReport {
	if err == nil {
		wire, err := result.wire()
		if err == nil {
			return &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Complete{
				Complete: &jobstreamv1.AttemptComplete{Result: wire},
			}}
		}
		return failureReport(Permanent(fmt.Errorf("the result cannot be sent: %w", err)))
	}
	switch context.Cause(ctx) {
	case ErrCancelled:
		return &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Stopped{Stopped: &jobstreamv1.AttemptStopped{}}}
	case ErrLeaseLost, ErrDraining:
		return releaseReport()
	case context.DeadlineExceeded:
		reason := jobstreamv1.FailureReason_FAILURE_REASON_ATTEMPT_TIMEOUT
		return failReport(failure(reason, "the attempt timed out: "+err.Error(), ""), 0)
	}
	return failureReport(err)
}

func releaseReport() *jobstreamv1.AttemptReport {
	return &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Release{Release: &jobstreamv1.AttemptRelease{}}}
}

func failureReport(err error) *jobstreamv1.AttemptReport {
	reason := jobstreamv1.FailureReason_FAILURE_REASON_HANDLER
	var (
		final   permanentError
		later   laterError
		bad     badPayload
		unknown unknownError
		pause   time.Duration
	)
	isFinal := errors.As(err, &final)
	switch {
	case errors.As(err, &bad):
		isFinal, reason = true, jobstreamv1.FailureReason_FAILURE_REASON_BAD_PAYLOAD
	case errors.As(err, &unknown):
		isFinal, reason = true, jobstreamv1.FailureReason_FAILURE_REASON_UNKNOWN_KIND
	case errors.As(err, &later):
		pause = max(min(later.after, retryLaterMax), time.Nanosecond)
	}
	end := failure(reason, err.Error(), traceOf(err))
	end.Type = truncate(ErrorType(err), failureTypeBytesMax)
	end.Retryable = !isFinal
	return failReport(end, pause)
}

func failure(reason jobstreamv1.FailureReason, message, details string) *jobstreamv1.Failure {
	failure := &jobstreamv1.Failure{Reason: reason, Message: truncate(message, failureMessageBytesMax), Retryable: true}
	if details != "" {
		failure.Details = &jobstreamv1.Payload{
			Body: &jobstreamv1.Payload_Text{Text: truncate(details, failureDetailsBytesMax)}, ContentType: contentTypeText,
		}
	}
	return failure
}

func failReport(failure *jobstreamv1.Failure, pause time.Duration) *jobstreamv1.AttemptReport {
	fail := &jobstreamv1.AttemptFail{Failure: failure}
	if pause > 0 {
		fail.RetryAfter = durationpb.New(pause)
	}
	return &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Fail{Fail: fail}}
}

// ErrorType returns the error type of a failure: the Go type of the innermost error, such as *fs.PathError, without the
// wrappers of this package and of fmt.
func ErrorType(err error) string {
	for {
		name := fmt.Sprintf("%T", err)
		switch name {
		case "jobstream.permanentError", "jobstream.laterError", "jobstream.badPayload", "jobstream.unknownError",
			"*fmt.wrapError":
		default:
			return name
		}
		inner := errors.Unwrap(err)
		if inner == nil {
			return name
		}
		err = inner
	}
}

// traceOf returns the stack trace of an error that prints one with %+v.
func traceOf(err error) string {
	if _, isFormatter := err.(fmt.Formatter); !isFormatter {
		return ""
	}
	if trace := fmt.Sprintf("%+v", err); trace != err.Error() {
		return trace
	}
	return ""
}
