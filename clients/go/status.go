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

// errorDomain is the ErrorInfo domain of the server.
const errorDomain = "jobstream"

// readError converts the error of a call. ctx is the context of the caller, without the deadline of the call.
func readError(ctx context.Context, err error, address string) error {
	if ended := ctx.Err(); ended != nil {
		return contextError(ended)
	}
	if isUnsent(err) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return timedOut(address, "")
	}
	return readStatus(status.Convert(err), address)
}

// readStatus converts the status of a call, or of one job of a batch.
func readStatus(st *status.Status, address string) error {
	base := &Error{Code: st.Code()}
	fromServer := base.readDetails(st)
	if !fromServer {
		if err := httpError(st, address); err != nil {
			return err
		}
		base.Code = transportCode(base.Code, st.Message())
	}
	switch {
	case base.Reason == reasonTLSRequired:
		return unusable(codes.Unavailable, base.Reason, st.Message(), address)
	case base.Code == codes.DeadlineExceeded:
		return timedOut(address, st.Message())
	case base.Code == codes.Unavailable && !fromServer:
		if err := handshakeError(st.Message(), address); err != nil {
			return err
		}
		return unreachable(address, withTLSHint(st.Message(), address))
	}
	base.Message = describe(st.Message(), base, address)
	return typed(base)
}

// isFromServer reports whether the server returned the error, and not a proxy or a broken connection.
func isFromServer(err error) bool {
	return new(Error).readDetails(status.Convert(err))
}

// readDetails decodes the details. It reports whether the error comes from the server and not from a proxy.
func (e *Error) readDetails(st *status.Status) (fromServer bool) {
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.Domain == errorDomain {
				fromServer, e.Reason, e.Metadata = true, detail.Reason, maps.Clone(detail.Metadata)
			}
		case *errdetails.RetryInfo:
			e.RetryAfter, e.hasRetryAfter = detail.RetryDelay.AsDuration(), true
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				e.Violations = append(e.Violations, Violation{violation.Field, violation.Description})
			}
		}
	}
	return fromServer
}

// transportCode maps a code that the server did not send: the connection broke, or a proxy responded.
func transportCode(code codes.Code, message string) codes.Code {
	if code == codes.Internal && strings.Contains(message, "error while marshaling") {
		return codes.InvalidArgument // A string that is not UTF-8. It was not sent.
	}
	switch code {
	case codes.OK, codes.Unknown, codes.Internal, codes.DataLoss, codes.Aborted, codes.Canceled:
		return codes.Unavailable
	default:
		return code
	}
}

// typed returns the error type of the reason, else of the code.
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
	case codes.Unauthenticated:
		return &Unauthenticated{base}
	case codes.PermissionDenied:
		return &PermissionDenied{base}
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

func describe(message string, base *Error, address string) string {
	if message == "" {
		message = "no reason given"
	}
	reason := base.Reason
	if reason == "" {
		reason = base.Code.String()
	}
	message = fmt.Sprintf("%s (%s, server %s)", message, reason, address)
	if base.Code == codes.Unimplemented {
		message += ": check that it is a jobstream server and not older than this client"
	}
	return message
}

func contextError(ended error) error {
	base := &Error{Code: status.FromContextError(ended).Code(), cause: ended}
	if base.Code == codes.DeadlineExceeded {
		base.Message = "no response before the deadline of the context: the server may or may not have processed the call"
		return &DeadlineExceeded{base}
	}
	base.Message = "the context of the call was cancelled: the server may or may not have processed the call"
	return base
}

func timedOut(address, why string) error {
	message := fmt.Sprintf("the server at %s did not respond in time", address)
	if why != "" && why != context.DeadlineExceeded.Error() {
		message += " (" + why + ")"
	}
	return &DeadlineExceeded{&Error{
		Code:    codes.DeadlineExceeded,
		Message: message + ": increase WithCallTimeout or try again later",
		cause:   context.DeadlineExceeded,
	}}
}

func unreachable(address, why string) error {
	return &Unavailable{&Error{Code: codes.Unavailable, Message: fmt.Sprintf(
		"no response from the server at %s: %s: check the address and that the server runs", address, dialError(why))}}
}

// dialError returns the cause in a gRPC dial error, such as `connection refused`.
func dialError(why string) string {
	if _, after, found := strings.Cut(why, "Error while dialing: "); found {
		return strings.TrimSuffix(after, `"`)
	}
	return why
}

// baseOf returns the common fields of an error.
func baseOf(err error) *Error {
	var base *Error
	if errors.As(err, &base) {
		return base
	}
	return &Error{Code: codes.Unknown, Message: err.Error()}
}

// isTransient reports whether a retry may succeed.
func isTransient(err error) bool {
	base := baseOf(err)
	switch base.Code {
	case codes.Unavailable:
		return !isOfCertificates(err)
	case codes.ResourceExhausted:
		return base.hasRetryAfter
	default:
		return false
	}
}

// retriesExhausted adds the retry limit that was reached to the message.
func retriesExhausted(err error, limit string) error {
	baseOf(err).Message += "; gave up after " + limit
	return err
}
