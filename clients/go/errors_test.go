package jobstream

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

const testAddress = "http://jobs:7070"

func serverError(t *testing.T, code codes.Code, reason string, details ...protoadapt.MessageV1) error {
	t.Helper()
	info := &errdetails.ErrorInfo{Reason: reason, Domain: errorDomain, Metadata: map[string]string{"boot_id": "new"}}
	full, err := status.New(code, "message of the server").WithDetails(append(details, info)...)
	if err != nil {
		t.Fatal(err)
	}
	return readError(context.Background(), full.Err(), testAddress)
}

func TestErrorHasAllDetailsOfTheServer(t *testing.T) {
	err := serverError(t, codes.InvalidArgument, "INVALID_FIELD", &errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "job.kind", Description: "is empty"}},
	}, &errdetails.RetryInfo{RetryDelay: durationpb.New(2 * time.Second)})
	var invalid *InvalidRequest
	if !errors.As(err, &invalid) {
		t.Fatalf("%T", err)
	}
	if invalid.Violations[0] != (Violation{"job.kind", "is empty"}) || invalid.RetryAfter != 2*time.Second {
		t.Errorf("%+v", invalid.Base)
	}
	if err.Error() != "message of the server (INVALID_FIELD, server http://jobs:7070)" || status.Code(err) != codes.InvalidArgument {
		t.Error(err, status.Code(err))
	}
}

func TestErrorsHaveTheTypeOfTheirReason(t *testing.T) {
	for _, test := range []struct {
		err    error
		target any
	}{
		{serverError(t, codes.NotFound, "JOB_NOT_FOUND"), new(*JobNotFound)},
		{serverError(t, codes.NotFound, "RESULT_EXPIRED"), new(*ResultExpired)},
		{serverError(t, codes.AlreadyExists, "JOB_ID_REUSED"), new(*JobIDReused)},
		{serverError(t, codes.FailedPrecondition, "ILLEGAL_STATE"), new(*IllegalState)},
		{serverError(t, codes.ResourceExhausted, "QUEUE_FULL"), new(*ResourceExhausted)},
		{serverError(t, codes.Unavailable, "DRAINING"), new(*Unavailable)},
		{serverError(t, codes.DeadlineExceeded, ""), new(*DeadlineExceeded)},
		{serverError(t, codes.Internal, "INTERNAL"), new(*Error)},
	} {
		if !errors.As(test.err, test.target) || !errors.As(test.err, new(*Error)) {
			t.Errorf("%T is not %T", test.err, test.target)
		}
	}
}

func TestOnlyTransientErrorsAreRetried(t *testing.T) {
	foreign := func(code codes.Code) error {
		return readError(context.Background(), status.Error(code, "upstream reset"), testAddress)
	}
	soon := &errdetails.RetryInfo{RetryDelay: durationpb.New(0)}
	for _, err := range []error{
		serverError(t, codes.Unavailable, "DRAINING"), serverError(t, codes.ResourceExhausted, "QUEUE_FULL", soon),
		foreign(codes.Unavailable), foreign(codes.Internal), foreign(codes.Unknown), foreign(codes.Canceled),
	} {
		if !isTransient(err) {
			t.Error(err)
		}
	}
	for _, err := range []error{
		serverError(t, codes.Internal, "INTERNAL"), serverError(t, codes.ResourceExhausted, "QUEUE_FULL"),
		foreign(codes.DeadlineExceeded), foreign(codes.PermissionDenied), foreign(codes.ResourceExhausted),
	} {
		if isTransient(err) {
			t.Error(err)
		}
	}
}

func TestErrorsOfAccessHaveTypes(t *testing.T) {
	soon := &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)}
	refused := serverError(t, codes.Unauthenticated, "CREDENTIAL_EXPIRED")
	if !errors.As(refused, new(*Unauthenticated)) || isTransient(refused) {
		t.Errorf("%T %v", refused, refused)
	}
	denied := serverError(t, codes.PermissionDenied, "GRANT_MISSING")
	if !errors.As(denied, new(*PermissionDenied)) || isTransient(denied) {
		t.Errorf("%T %v", denied, denied)
	}
	quota := serverError(t, codes.ResourceExhausted, "QUOTA", soon)
	if !errors.As(quota, new(*ResourceExhausted)) || !isTransient(quota) || baseOf(quota).RetryAfter != time.Second {
		t.Errorf("%T %v", quota, quota)
	}
	expired := serverError(t, codes.Unavailable, "CREDENTIAL_EXPIRED")
	if !errors.As(expired, new(*Unavailable)) || !isTransient(expired) {
		t.Errorf("%T %v", expired, expired)
	}
}

func TestErrorWrapsTheErrorOfTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := readError(ctx, status.FromContextError(ctx.Err()).Err(), testAddress); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	err := (&handle{id: "7"}).notFinished(ctx)
	if !errors.As(err, new(*NotFinished)) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "job 7") {
		t.Error(err)
	}
}

func TestJobLostByARestartDiffersFromAnUnknownJob(t *testing.T) {
	boots := &bootCache{}
	old, same, unknown := &boot{id: "old"}, &boot{id: "new"}, &boot{}
	for _, acceptedBy := range []*boot{nil, same, unknown} {
		if err := boots.detectRestart(serverError(t, codes.NotFound, "JOB_NOT_FOUND"), "7", acceptedBy, testAddress); errors.As(err, new(*ServerRestarted)) {
			t.Errorf("%+v: %v", acceptedBy, err)
		}
	}
	err := boots.detectRestart(serverError(t, codes.NotFound, "JOB_NOT_FOUND"), "7", old, testAddress)
	if !errors.As(err, new(*ServerRestarted)) || !errors.As(err, new(*JobNotFound)) || !errors.As(err, new(*Error)) {
		t.Errorf("%T %v", err, err)
	}
}

func TestDialErrorIsShort(t *testing.T) {
	long := `connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused"`
	err := readError(context.Background(), status.Error(codes.Unavailable, long), testAddress)
	expected := "no response from the server at http://jobs:7070: dial tcp 127.0.0.1:1: connect: connection refused: " +
		"check the address and that the server runs"
	if err.Error() != expected {
		t.Error(err)
	}
}
