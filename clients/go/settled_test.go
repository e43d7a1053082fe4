package jobstream_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// settled receives the errors of OnSettled callbacks.
type settled chan error

func (s settled) call(err error) { s <- err }

func (s settled) next(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the callback was not called")
		return nil
	}
}

// onSettled is an interceptor that registers a callback.
func (s settled) onSettled(ctx context.Context, task *jobstream.Task, next jobstream.HandlerNext) (jobstream.Payload, error) {
	task.OnSettled(s.call)
	return next(ctx, task)
}

func TestOnSettledIsCalledOnceTheServerHasTheReport(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	outer, inner := make(settled, 8), make(settled, 8)
	worker := jobstream.NewWorker(client, "test", jobstream.WithHandlerInterceptors(outer.onSettled))
	returned := make(chan struct{}, 8)
	jobstream.Handle(worker, "hold", func(_ context.Context, task *jobstream.Task, fails bool) (any, error) {
		task.OnSettled(func(err error) {
			if len(outer) == 0 {
				err = errors.New("the callbacks were not called in the order of their registration")
			}
			select {
			case <-returned:
			default:
				err = errors.New("the callback was called before the handler returned")
			}
			inner <- err
		})
		returned <- struct{}{}
		if fails && task.Attempt == 1 {
			return nil, errors.New("not yet")
		}
		return nil, nil
	})
	begin(t, worker)
	for _, fails := range []bool{false, true} {
		job := submit[any](t, client, "hold", fails, jobstream.WithMaxAttempts(2), jobstream.WithInitialBackoff(0))
		attempts := 1
		if fails {
			attempts = 2
		}
		for range attempts {
			if err := inner.next(t); err != nil {
				t.Error(err)
			}
			if err := outer.next(t); err != nil {
				t.Error(err)
			}
		}
		if state, err := job.State(within(t)); state != jobstream.StateSucceeded || err != nil {
			t.Error(state, err)
		}
	}
	worker.Stop()
	if len(outer)+len(inner) != 0 {
		t.Error("a callback was called twice")
	}
}

func TestOnSettledReportsALostLease(t *testing.T) {
	server := jobstreamtest.Server(t)
	client := server.Client()
	lost, hold := make(settled, 8), newHeld()
	worker := jobstream.NewWorker(client, "test", jobstream.WithHandlerInterceptors(lost.onSettled))
	ignored := make(chan struct{})
	jobstream.Handle(worker, "hold", hold.handle)
	jobstream.Handle(worker, "ignoring", func(ctx context.Context, task *jobstream.Task, _ any) (any, error) {
		hold.started <- task
		<-ctx.Done()
		hold.causes <- context.Cause(ctx)
		<-ignored
		return "a result", nil
	})
	begin(t, worker)
	revoked := submit[any](t, client, "ignoring", nil)
	<-hold.started
	if _, err := revoked.Cancel(within(t), "", jobstream.WithGrace(0)); err != nil {
		t.Fatal(err)
	}
	<-hold.causes
	ignored <- struct{}{}
	if err := lost.next(t); err != jobstream.ErrLeaseLost {
		t.Error("revoked:", err)
	}
	submit[any](t, client, "hold", nil)
	<-hold.started
	server.Restart()
	if err := lost.next(t); err != jobstream.ErrLeaseLost {
		t.Error("unknown after a restart:", err)
	}
	worker.Stop()
	if len(lost) != 0 {
		t.Error("a callback was called twice")
	}
}

func TestOnSettledReportsThatTheWorkerEndedBefore(t *testing.T) {
	server := jobstreamtest.Server(t)
	unknown, hold := make(settled, 8), newHeld()
	worker := jobstream.NewWorker(server.Client(), "test", jobstream.WithHandlerInterceptors(unknown.onSettled))
	jobstream.Handle(worker, "hold", hold.handle)
	ended := begin(t, worker)
	submit[any](t, server.Client(), "hold", nil)
	<-hold.started
	server.Stop()
	hold.released <- "a result"
	worker.Drain(20 * time.Second)
	if err := <-ended; err != nil || len(unknown) != 1 {
		t.Fatal(err, len(unknown))
	}
	if err := unknown.next(t); !errors.As(err, new(*jobstream.Unavailable)) {
		t.Errorf("%T %v", err, err)
	}
}

func TestOnSettledReportsALostLeaseToAHandlerThatOutlivesTheDrain(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	lost, hold := make(settled, 8), newHeld()
	worker := jobstream.NewWorker(client, "test", jobstream.WithHandlerInterceptors(lost.onSettled))
	late, release := make(chan struct{}), make(chan struct{})
	jobstream.Handle(worker, "late", func(_ context.Context, task *jobstream.Task, _ any) (any, error) {
		hold.started <- task
		<-release
		task.OnSettled(func(error) { close(late) })
		return "a result that the server never gets", nil
	})
	ended := begin(t, worker)
	submit[any](t, client, "late", nil)
	<-hold.started
	worker.Stop()
	if err := <-ended; err != nil || len(lost) != 0 {
		t.Fatal(err, len(lost))
	}
	close(release)
	<-late
	if err := lost.next(t); err != jobstream.ErrLeaseLost {
		t.Error(err)
	}
}

func TestPanicOfAnOnSettledCallbackIsLogged(t *testing.T) {
	client, logged := jobstreamtest.Server(t).Client(), newRecorder()
	worker := jobstream.NewWorker(client, "test", jobstream.WithLogger(slog.New(logged)))
	after := make(settled, 8)
	jobstream.Handle(worker, "panics", func(_ context.Context, task *jobstream.Task, _ string) (any, error) {
		task.OnSettled(func(error) { panic("boom") })
		task.OnSettled(after.call)
		return nil, nil
	})
	begin(t, worker)
	for range 2 {
		submit[any](t, client, "panics", "a secret")
		if err := after.next(t); err != nil {
			t.Error(err)
		}
		record := logged.next(t, "jobstream worker's OnSettled callback panicked")
		if record.level != slog.LevelWarn || record.facts["panic"] != "boom" || len(record.facts) != 2 {
			t.Error(record)
		}
	}
}

func TestOnSettledIsCalledInADryRun(t *testing.T) {
	var steps []string
	outcome := jobstreamtest.Run(t, func(_ context.Context, task *jobstream.Task, _ any) (any, error) {
		task.OnSettled(func(err error) { panic(err) })
		task.OnSettled(func(err error) { steps = append(steps, fmt.Sprint("settled ", err)) })
		steps = append(steps, "returned")
		return nil, errors.New("failed")
	}, nil)
	if outcome.Err == nil || !slices.Equal(steps, []string{"returned", "settled <nil>"}) {
		t.Error(outcome.Err, steps)
	}
}

// refusingServer assigns the attempts a, b and c of kind "settles". It takes their ends, and the stream breaks before the
// acknowledgement. The next Welcome repeats the refusal of b; the first of the other ends may be refused, too.
type refusingServer struct {
	jobstreamv1.UnimplementedWorkerServiceServer
	numbers map[string]uint64
}

func (r *refusingServer) Work(stream grpc.BidiStreamingServer[jobstreamv1.WorkRequest, jobstreamv1.WorkResponse]) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	welcome := &jobstreamv1.Welcome{
		WorkerId: "w", Lease: durationpb.New(30 * time.Second), PingInterval: durationpb.New(10 * time.Second),
		PayloadBytesMax: 1 << 20,
	}
	if len(r.numbers) == 0 {
		assigned := &jobstreamv1.WorkResponse{Welcome: welcome}
		for _, lease := range []string{"a", "b", "c"} {
			assigned.Assignments = append(assigned.Assignments, &jobstreamv1.Assignment{
				LeaseId: lease, JobId: lease, Attempt: 1, Kind: "settles", TimeLeft: durationpb.New(time.Minute),
			})
		}
		if err := stream.Send(assigned); err != nil {
			return err
		}
		for len(r.numbers) < 3 {
			request, err := stream.Recv()
			if err != nil {
				return err
			}
			for _, report := range request.Reports {
				r.numbers[report.LeaseId] = report.ReportSequence
			}
		}
		return status.Error(codes.Unavailable, "cut before the acknowledgement")
	}
	lost := &rpcstatus.Status{Code: int32(codes.FailedPrecondition)}
	welcome.Refusals = []*jobstreamv1.ReportRefusal{{ReportSequence: r.numbers["b"], LeaseId: "b", Error: lost}}
	welcome.AckedReportSequence = 3
	welcome.UnknownReportSequence = min(r.numbers["a"], r.numbers["c"])
	if err := stream.Send(&jobstreamv1.WorkResponse{Welcome: welcome}); err != nil {
		return err
	}
	_, err := stream.Recv()
	return err
}

func TestOnSettledReportsARefusalWhoseAcknowledgementWasLost(t *testing.T) {
	server := &refusingServer{numbers: map[string]uint64{}}
	client := fakeServer(t, func(registrar *grpc.Server) { jobstreamv1.RegisterWorkerServiceServer(registrar, server) })
	ends := map[string]settled{"a": make(settled, 2), "b": make(settled, 2), "c": make(settled, 2)}
	worker := jobstream.NewWorker(client, "test")
	jobstream.Handle(worker, "settles", func(_ context.Context, task *jobstream.Task, _ any) (any, error) {
		task.OnSettled(ends[task.JobID].call)
		return nil, nil
	})
	begin(t, worker)
	unknown, recorded := "a", "c"
	refused := ends["b"].next(t)
	if server.numbers["c"] < server.numbers["a"] {
		unknown, recorded = "c", "a"
	}
	if refused != jobstream.ErrLeaseLost {
		t.Error("refused:", refused)
	}
	if err := ends[unknown].next(t); !errors.As(err, new(*jobstream.Unavailable)) {
		t.Errorf("unknown: %T %v", err, err)
	}
	if err := ends[recorded].next(t); err != nil {
		t.Error("recorded:", err)
	}
}
