package jobstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errorDomain is that of the server's own reasons.
const errorDomain = "jobstream"

// readError is the typed error of a call that ended with err. ctx is the caller's, without the call's own deadline.
func readError(ctx context.Context, err error, address string) error {
	if ended := ctx.Err(); ended != nil {
		return contextError(ended)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return timedOut(address, "")
	}
	said := status.Convert(err)
	base := &Error{Code: said.Code()}
	isOurs := base.readDetails(said)
	if !isOurs {
		base.Code = foreignCode(base.Code, said.Message())
	}
	switch {
	case base.Code == codes.DeadlineExceeded:
		return timedOut(address, said.Message())
	case base.Code == codes.Unavailable && !isOurs:
		return unreachable(address, said.Message())
	}
	base.Message = tell(said.Message(), base, address)
	return typed(base)
}

// readDetails answers whether the error is the server's own, and not of something between.
func (e *Error) readDetails(said *status.Status) (isOurs bool) {
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.Domain == errorDomain {
				isOurs, e.Reason, e.Metadata = true, detail.Reason, maps.Clone(detail.Metadata)
			}
		case *errdetails.RetryInfo:
			e.RetryAfter, e.isAsked = detail.RetryDelay.AsDuration(), true
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				e.Violations = append(e.Violations, Violation{violation.Field, violation.Description})
			}
		}
	}
	return isOurs
}

// foreignCode is what a code means that the server did not send itself: the connection broke, or a proxy speaks.
func foreignCode(code codes.Code, message string) codes.Code {
	if code == codes.Internal && strings.Contains(message, "error while marshaling") {
		return codes.InvalidArgument // A string that is not UTF-8: it never left.
	}
	switch code {
	case codes.OK, codes.Unknown, codes.Internal, codes.DataLoss, codes.Aborted, codes.Canceled:
		return codes.Unavailable
	default:
		return code
	}
}

// typed gives an error the type of its reason, else of its code.
func typed(base *Error) error {
	switch base.Reason {
	case "JOB_NOT_FOUND":
		return &JobNotFound{base}
	case "RESULT_EXPIRED":
		return &ResultExpired{base}
	case "JOB_ID_REUSED":
		return &JobIDReused{base}
	case "ILLEGAL_STATE":
		return &IllegalState{base}
	}
	switch base.Code {
	case codes.InvalidArgument, codes.OutOfRange:
		return &InvalidRequest{base}
	case codes.ResourceExhausted:
		return &ResourceExhausted{base}
	case codes.Unavailable:
		return &Unavailable{base}
	case codes.DeadlineExceeded:
		return &DeadlineExceeded{base}
	default:
		return base
	}
}

func tell(message string, base *Error, address string) string {
	if message == "" {
		message = "no reason given"
	}
	reason := base.Reason
	if reason == "" {
		reason = base.Code.String()
	}
	message = fmt.Sprintf("%s (%s, server %s)", message, reason, address)
	if base.Code == codes.Unimplemented {
		message += ": is it a jobstream server, as new as this client?"
	}
	return message
}

func contextError(ended error) error {
	base := &Error{Code: status.FromContextError(ended).Code(), cause: ended}
	if base.Code == codes.DeadlineExceeded {
		base.Message = "no answer came before the deadline of the context: the call may or may not have arrived"
		return &DeadlineExceeded{base}
	}
	base.Message = "the context of the call was cancelled: the call may or may not have arrived"
	return base
}

func timedOut(address, why string) error {
	message := fmt.Sprintf("the server at %s did not answer in time", address)
	if why != "" && why != context.DeadlineExceeded.Error() {
		message += " (" + why + ")"
	}
	return &DeadlineExceeded{&Error{
		Code:    codes.DeadlineExceeded,
		Message: message + ": allow it more with WithCallTimeout, or try again later",
		cause:   context.DeadlineExceeded,
	}}
}

func unreachable(address, why string) error {
	return &Unavailable{&Error{Code: codes.Unavailable, Message: fmt.Sprintf(
		"no answer from the server at %s: %s: check the address and that the server runs", address, dialError(why))}}
}

// dialError is the end of what grpc says of a connection that it could not open: `connection refused`.
func dialError(why string) string {
	if _, after, found := strings.Cut(why, "Error while dialing: "); found {
		return strings.TrimSuffix(after, `"`)
	}
	return why
}

// baseOf is the fields that all errors of this package have.
func baseOf(err error) *Error {
	var base *Error
	if errors.As(err, &base) {
		return base
	}
	return &Error{Code: codes.Unknown, Message: err.Error()}
}

// isTransient tells whether the same call may succeed a little later.
func isTransient(err error) bool {
	base := baseOf(err)
	switch base.Code {
	case codes.Unavailable:
		return true
	case codes.ResourceExhausted:
		return base.isAsked
	default:
		return false
	}
}

// givenUp adds to the message how long or often this side tried.
func givenUp(err error, after string) error {
	baseOf(err).Message += "; gave up after " + after
	return err
}
