package jobstream

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

const (
	failureTypeBytesMax    = 256
	failureMessageBytesMax = 4 << 10
	failureDetailsBytesMax = 16 << 10
	// retryLaterMax is the longest pause that the server knows.
	retryLaterMax = 10 * 365 * 24 * time.Hour
)

// Causes of the end of a handler's context, as [context.Cause] gives them. Whatever error a handler returns afterwards
// counts as having stopped.
var (
	// ErrCancelled: the job was cancelled.
	ErrCancelled = errors.New("the job was cancelled")
	// ErrLeaseLost: the server gave the job to another worker, or its attempt is over.
	ErrLeaseLost = errors.New("the attempt no longer stands")
	// ErrDraining: the worker ends, and the job is given back.
	ErrDraining = errors.New("the worker ends")
)

// Failures that say themselves what is to follow.
type (
	permanentError struct{ error }
	laterError     struct {
		error
		after time.Duration
	}
	badPayload   struct{ error }
	unknownError struct{ error }
)

func (e permanentError) Unwrap() error { return e.error }
func (e laterError) Unwrap() error     { return e.error }
func (e badPayload) Unwrap() error     { return e.error }
func (e unknownError) Unwrap() error   { return e.error }

func unknownKind(kind string) error {
	return unknownError{fmt.Errorf("this worker has no handler for kind %s", kind)}
}

// Permanent fails the attempt, and no other is made.
func Permanent(err error) error { return permanentError{err} }

// RetryLater fails the attempt and names the pause before the next, in place of the retry policy's; at most 10 years.
// The attempt counts.
func RetryLater(err error, after time.Duration) error { return laterError{err, after} }

// handlerFunc is a handler without its types.
type handlerFunc func(ctx context.Context, task *Task) (Payload, error)

// Handle has the worker run jobs of a kind with this function; it is to be called before [Worker.Run], once for each
// kind. Input and output are JSON, []byte or [Payload], as said at the package; input that In does not fit fails the job
// with BAD_PAYLOAD, as does input that In refuses with a method Validate() error: a field that is missing is no error to
// package json.
//
// The context ends when the job is cancelled, when the attempt's time is over or its lease is lost, and when the worker
// drains and the time for that is over; [context.Cause] tells which. The handler is then to return, with any error.
//
// Any other error fails the attempt, and another is made if the job's retry policy has one left; see [Permanent] and
// [RetryLater]. So does a panic, of which the job gets the stack.
func Handle[In, Out any](w *Worker, kind string, handle func(ctx context.Context, task *Task, in In) (Out, error)) {
	w.handle(kind, func(ctx context.Context, task *Task) (Payload, error) {
		var in In
		if err := decode(task.Payload, &in); err != nil {
			return Payload{}, badPayload{fmt.Errorf("the payload is not what kind %s reads: %w", task.Kind, err)}
		}
		if checked, isChecked := any(&in).(interface{ Validate() error }); isChecked {
			if err := checked.Validate(); err != nil {
				return Payload{}, badPayload{fmt.Errorf("the payload is not what kind %s reads: %w", task.Kind, err)}
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

// runHandler tells how the attempt ended, even if the handler takes its goroutine with it.
func runHandler(ctx context.Context, handle handlerFunc, task *Task, tell func(end *jobstreamv1.AttemptReport)) {
	var end *jobstreamv1.AttemptReport
	defer func() {
		if end == nil {
			message := "the handler ended its goroutine"
			if panicked := recover(); panicked != nil {
				message = fmt.Sprintf("the handler panicked: %v", panicked)
			}
			end = failed(failure(jobstreamv1.FailureReason_FAILURE_REASON_PANIC, message, string(debug.Stack())), 0)
		}
		tell(end)
	}()
	task.ctx = ctx
	result, err := handle(ctx, task)
	end = endOf(ctx, result, err)
}

func endOf(ctx context.Context, result Payload, err error) *jobstreamv1.AttemptReport {
	if err == nil {
		wire, err := result.wire()
		if err == nil {
			return &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Complete{
				Complete: &jobstreamv1.AttemptComplete{Result: wire},
			}}
		}
		return failedWith(Permanent(fmt.Errorf("the result cannot be sent: %w", err)))
	}
	switch context.Cause(ctx) {
	case ErrCancelled:
		return &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Stopped{Stopped: &jobstreamv1.AttemptStopped{}}}
	case ErrLeaseLost, ErrDraining:
		return released()
	case context.DeadlineExceeded:
		reason := jobstreamv1.FailureReason_FAILURE_REASON_ATTEMPT_TIMEOUT
		return failed(failure(reason, "the attempt's time is over: "+err.Error(), ""), 0)
	}
	return failedWith(err)
}

func released() *jobstreamv1.AttemptReport {
	return &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Release{Release: &jobstreamv1.AttemptRelease{}}}
}

func failedWith(err error) *jobstreamv1.AttemptReport {
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
	end.Type = cut(typeOf(err), failureTypeBytesMax)
	end.Retryable = !isFinal
	return failed(end, pause)
}

func failure(reason jobstreamv1.FailureReason, message, details string) *jobstreamv1.Failure {
	failure := &jobstreamv1.Failure{Reason: reason, Message: cut(message, failureMessageBytesMax), Retryable: true}
	if details != "" {
		failure.Details = &jobstreamv1.Payload{
			Body: &jobstreamv1.Payload_Text{Text: cut(details, failureDetailsBytesMax)}, ContentType: contentTypeText,
		}
	}
	return failure
}

func failed(failure *jobstreamv1.Failure, pause time.Duration) *jobstreamv1.AttemptReport {
	fail := &jobstreamv1.AttemptFail{Failure: failure}
	if pause > 0 {
		fail.RetryAfter = durationpb.New(pause)
	}
	return &jobstreamv1.AttemptReport{News: &jobstreamv1.AttemptReport_Fail{Fail: fail}}
}

// typeOf is the Go type of the error below what this package and fmt wrapped around it, such as *fs.PathError.
func typeOf(err error) string {
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

// traceOf is the stack of an error that carries one: such errors print it with %+v.
func traceOf(err error) string {
	if _, isFormatter := err.(fmt.Formatter); !isFormatter {
		return ""
	}
	if trace := fmt.Sprintf("%+v", err); trace != err.Error() {
		return trace
	}
	return ""
}
