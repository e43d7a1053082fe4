package jobstream_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

func TestRetrySubmitsAFinishedJobAgain(t *testing.T) {
	client := jobstreamtest.Server(t, "--demo=true").Client()
	first := submit[string](t, client, "demo.echo", "input")
	if _, err := first.Result(within(t)); err != nil {
		t.Fatal(err)
	}
	again, err := jobstream.Retry[string](within(t), client, first.ID())
	if err != nil {
		t.Fatal(err)
	}
	if result, err := again.Result(within(t)); result != "input" || err != nil || again.ID() == first.ID() {
		t.Error(result, err, again.ID())
	}
	if whole, err := client.Get(within(t), again.ID()); err != nil || whole.OriginID != first.ID() {
		t.Error(whole, err)
	}
	waiting := submit[any](t, client, "unserved", nil)
	if _, err := jobstream.Retry[any](within(t), client, waiting.ID()); !errors.As(err, new(*jobstream.IllegalState)) {
		t.Errorf("%T %v", err, err)
	}
	if _, err := jobstream.Retry[any](within(t), client, "order-123"); !errors.As(err, new(*jobstream.InvalidRequest)) {
		t.Errorf("%T %v", err, err)
	}
}

func TestDeleteRemovesAFinishedJob(t *testing.T) {
	client := jobstreamtest.Server(t, "--demo=true").Client()
	job := submit[string](t, client, "demo.echo", "input")
	if _, err := job.Result(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := client.Delete(within(t), job.ID()); err != nil {
		t.Fatal(err)
	}
	if err := client.Delete(within(t), job.ID()); !errors.As(err, new(*jobstream.JobNotFound)) && !errors.As(err, new(*jobstream.ResultExpired)) {
		t.Errorf("%T %v", err, err)
	}
	waiting := submit[any](t, client, "unserved", nil)
	if err := client.Delete(within(t), waiting.ID()); !errors.As(err, new(*jobstream.IllegalState)) {
		t.Errorf("%T %v", err, err)
	}
	if err := client.Delete(within(t), "order-123"); !errors.As(err, new(*jobstream.InvalidRequest)) {
		t.Errorf("%T %v", err, err)
	}
}

// lossyServer executes the calls but loses the first response.
type lossyServer struct {
	jobstreamv1.UnimplementedJobServiceServer
	jobstreamv1.UnimplementedAdminServiceServer
	calls atomic.Int32
}

func (s *lossyServer) Delete(context.Context, *jobstreamv1.DeleteRequest) (*jobstreamv1.DeleteResponse, error) {
	if s.calls.Add(1) == 1 {
		return nil, status.Error(codes.Unavailable, "upstream reset")
	}
	missing, err := status.New(codes.NotFound, "no such job").WithDetails(&errdetails.ErrorInfo{Domain: "jobstream", Reason: "JOB_NOT_FOUND"})
	if err != nil {
		return nil, err
	}
	return nil, missing.Err()
}

func (s *lossyServer) PurgeQueue(context.Context, *jobstreamv1.PurgeQueueRequest) (*jobstreamv1.PurgeQueueResponse, error) {
	s.calls.Add(1)
	return nil, status.Error(codes.Unavailable, "upstream reset")
}

func TestDeleteSucceedsIfItsFirstResponseWasLost(t *testing.T) {
	server := &lossyServer{}
	client := fakeServer(t, func(s *grpc.Server) { jobstreamv1.RegisterJobServiceServer(s, server) })
	const id = "0190c0de-0000-7000-8000-000000000000"
	if err := client.Delete(within(t), id); err != nil || server.calls.Load() != 2 {
		t.Error(err, server.calls.Load())
	}
	if err := client.Delete(within(t), id); !errors.As(err, new(*jobstream.JobNotFound)) {
		t.Errorf("%T %v", err, err)
	}
}

func TestPurgeIsSentOnce(t *testing.T) {
	server := &lossyServer{}
	client := fakeServer(t, func(s *grpc.Server) { jobstreamv1.RegisterAdminServiceServer(s, server) })
	if _, err := client.PurgeQueue(within(t), "reports"); !errors.As(err, new(*jobstream.Unavailable)) || server.calls.Load() != 1 {
		t.Errorf("%T %v, %d calls", err, err, server.calls.Load())
	}
}
