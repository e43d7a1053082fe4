package jobstream_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// restartingServer assigns an attempt of kind stubborn, shuts down, and assigns one of kind steady on the next stream.
type restartingServer struct {
	jobstreamv1.UnimplementedWorkerServiceServer
	// isCancelled is closed once the stubborn handler was cancelled.
	isCancelled chan struct{}
	// end receives the final report of the steady one.
	end chan *jobstreamv1.AttemptReport
	// isRestarted is set after the first stream.
	isRestarted bool
}

type workServerStream = grpc.BidiStreamingServer[jobstreamv1.WorkRequest, jobstreamv1.WorkResponse]

func (r *restartingServer) Work(stream workServerStream) error {
	if r.isRestarted {
		if err := r.assign(stream, "steady"); err != nil {
			return err
		}
		for {
			request, err := stream.Recv()
			if err != nil {
				return err
			}
			for _, report := range request.Reports {
				r.end <- report
			}
		}
	}
	r.isRestarted = true
	if err := r.assign(stream, "stubborn"); err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil { // The acceptance.
		return err
	}
	drain := &jobstreamv1.Drain{ServerShutdown: true}
	if err := stream.Send(&jobstreamv1.WorkResponse{Drain: drain}); err != nil {
		return err
	}
	<-r.isCancelled
	return status.Error(codes.Unavailable, "shut down")
}

// assign responds to Hello and assigns an attempt of a kind.
func (r *restartingServer) assign(stream workServerStream, kind string) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	return stream.Send(&jobstreamv1.WorkResponse{
		Welcome: &jobstreamv1.Welcome{
			WorkerId: "w", Lease: durationpb.New(30 * time.Second), PingInterval: durationpb.New(10 * time.Second),
			PayloadBytesMax: 1 << 20,
		},
		Assignments: []*jobstreamv1.Assignment{
			{LeaseId: kind, JobId: kind, Attempt: 1, Kind: kind, TimeLeft: durationpb.New(time.Minute)},
		},
	})
}

func TestDrainOfAServerDoesNotReleaseTheAttemptsOfTheNext(t *testing.T) {
	server := &restartingServer{isCancelled: make(chan struct{}), end: make(chan *jobstreamv1.AttemptReport, 1)}
	client := fakeServer(t, func(registrar *grpc.Server) { jobstreamv1.RegisterWorkerServiceServer(registrar, server) })
	worker, hasEnded := jobstream.NewWorker(client, "test"), make(chan struct{})
	jobstream.Handle(worker, "stubborn", func(ctx context.Context, _ *jobstream.Task, _ any) (any, error) {
		<-ctx.Done()
		close(server.isCancelled)
		<-hasEnded
		return nil, nil
	})
	jobstream.Handle(worker, "steady", func(ctx context.Context, _ *jobstream.Task, _ any) (any, error) {
		select {
		case <-time.After(2500 * time.Millisecond): // Handlers have 2 s to return after their contexts were cancelled.
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	begin(t, worker)
	select {
	case end := <-server.end:
		if end.LeaseId != "steady" || end.GetComplete() == nil {
			t.Error(end)
		}
	case <-within(t).Done():
		t.Error("the attempt did not end")
	}
	close(hasEnded)
}
