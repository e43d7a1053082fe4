package jobstream_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// begin runs a worker until the test ends. The channel receives the result of Run.
func begin(t *testing.T, worker *jobstream.Worker) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(context.Background()) }()
	t.Cleanup(worker.Stop)
	return ended
}

// held is a handler that reports its start and waits for its release or the end of its context.
type held struct {
	started  chan *jobstream.Task
	released chan string
	causes   chan error
}

func newHeld() *held {
	return &held{make(chan *jobstream.Task, 8), make(chan string, 8), make(chan error, 8)}
}

func (h *held) handle(ctx context.Context, task *jobstream.Task, _ any) (string, error) {
	h.started <- task
	select {
	case response := <-h.released:
		return response, nil
	case <-ctx.Done():
		h.causes <- context.Cause(ctx)
		return "", fmt.Errorf("stopped: %w", ctx.Err())
	}
}

func failureOf(t *testing.T, job *jobstream.Job[any]) jobstream.Failure {
	t.Helper()
	_, err := job.Result(within(t))
	var failed *jobstream.JobFailed
	if !errors.As(err, &failed) {
		t.Fatalf("%T %v", err, err)
	}
	return failed.Failure
}

func TestCancelEndsOnlyTheContextOfItsHandler(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	worker, hold := jobstream.NewWorker(client, "test"), newHeld()
	jobstream.Handle(worker, "hold", hold.handle)
	begin(t, worker)
	cancelled := submit[any](t, client, "hold", nil)
	<-hold.started
	other := submit[string](t, client, "hold", nil)
	<-hold.started
	if _, err := cancelled.Cancel(within(t), "enough"); err != nil {
		t.Fatal(err)
	}
	if cause := <-hold.causes; cause != jobstream.ErrCancelled {
		t.Error(cause)
	}
	_, err := cancelled.Result(within(t))
	var ended *jobstream.JobCancelled
	if !errors.As(err, &ended) || ended.CancelReason != "enough" || ended.Forced {
		t.Errorf("%T %v", err, err)
	}
	hold.released <- "untouched"
	if result, err := other.Result(within(t)); result != "untouched" || err != nil {
		t.Error(result, err)
	}
}

func TestContextHasTheDeadlineOfTheAttempt(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	worker, hold := jobstream.NewWorker(client, "test"), newHeld()
	jobstream.Handle(worker, "hold", hold.handle)
	begin(t, worker)
	job := submit[any](t, client, "hold", nil, jobstream.WithAttemptTimeout(200*time.Millisecond))
	if cause := <-hold.causes; cause != context.DeadlineExceeded && cause != jobstream.ErrLeaseLost {
		t.Error(cause)
	}
	if failure := failureOf(t, job); failure.Reason != "ATTEMPT_TIMEOUT" {
		t.Error(failure)
	}
}

func TestPanicFailsTheAttemptWithItsStackTrace(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	worker := jobstream.NewWorker(client, "test", jobstream.WithSlots(1))
	worst := map[string]func(){
		"panic":   func() { panic(errors.New("broken")) },
		"runtime": func() { _ = os.Args[len(os.Args)] },
		"goexit":  runtime.Goexit,
		"nil":     func() { panic(nil) },
	}
	jobstream.Handle(worker, "worst", func(_ context.Context, _ *jobstream.Task, mode string) (any, error) {
		worst[mode]()
		return nil, nil
	})
	begin(t, worker)
	for mode := range worst {
		failure := failureOf(t, submit[any](t, client, "worst", mode))
		if failure.Reason != "PANIC" || !failure.Retryable || !strings.Contains(failure.Details.Text(), "worker_test.go") {
			t.Errorf("%s: %+v", mode, failure)
		}
		if mode == "panic" && failure.Message != "the handler panicked: broken" {
			t.Error(failure.Message)
		}
	}
}

type resize struct {
	Width int `json:"width"`
}

func (r *resize) Validate() error {
	if r.Width < 1 {
		return fmt.Errorf("width is %d, must be 1 or more", r.Width)
	}
	return nil
}

func TestErrorsOfHandlersDetermineTheRetry(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	worker := jobstream.NewWorker(client, "test")
	var attempts atomic.Int32
	_, missing := os.Open("/nowhere/at/all")
	errs := map[string]error{
		"plain": fmt.Errorf("opening: %w", missing), "permanent": jobstream.Permanent(missing),
		"later": jobstream.RetryLater(missing, time.Millisecond),
	}
	jobstream.Handle(worker, "fail", func(_ context.Context, _ *jobstream.Task, mode string) (any, error) {
		attempts.Add(1)
		return nil, errs[mode]
	})
	jobstream.Handle(worker, "resize", func(_ context.Context, _ *jobstream.Task, in resize) (int, error) { return in.Width, nil })
	begin(t, worker)
	for mode, expected := range map[string]int{"plain": 2, "later": 2, "permanent": 1} {
		options := []jobstream.SubmitOption{jobstream.WithMaxAttempts(2), jobstream.WithInitialBackoff(0)}
		failure := failureOf(t, submit[any](t, client, "fail", mode, options...))
		if failure.Attempt != expected || failure.Type != "*fs.PathError" || failure.Retryable == (mode == "permanent") ||
			!strings.Contains(failure.Message, "no such file") {
			t.Errorf("%s: %+v", mode, failure)
		}
	}
	for _, input := range []any{map[string]string{"width": "wide"}, map[string]int{}, jobstream.Text("neither")} {
		failure := failureOf(t, submit[any](t, client, "resize", input, jobstream.WithMaxAttempts(2)))
		if failure.Reason != "BAD_PAYLOAD" || failure.Retryable || failure.Attempt != 1 {
			t.Errorf("%v: %+v", input, failure)
		}
	}
}

func TestEndOfTheContextDrainsTheWorker(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	worker, hold := jobstream.NewWorker(client, "test"), newHeld()
	jobstream.Handle(worker, "hold", hold.handle)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	job := submit[string](t, client, "hold", nil)
	<-hold.started
	end()
	untilWorkerIs(t, client, jobstreamv1.WorkerState_WORKER_STATE_CONNECTED, 0)
	later := submit[string](t, client, "hold", nil)
	hold.released <- "finished"
	if result, err := job.Result(within(t)); result != "finished" || err != nil {
		t.Error(result, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if state, err := later.State(within(t)); state != jobstream.StateQueued || err != nil {
		t.Error(state, err)
	}
}

// untilWorkerIs waits until the server lists one worker with this state and number of slots.
func untilWorkerIs(t *testing.T, client *jobstream.Client, state jobstreamv1.WorkerState, slots uint32) {
	t.Helper()
	admin := jobstreamv1.NewAdminServiceClient(client.Conn())
	for {
		response, err := admin.ListWorkers(within(t), &jobstreamv1.ListWorkersRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for _, worker := range response.Workers {
			if worker.Name == "test" && worker.State == state && worker.Slots == slots {
				return
			}
		}
	}
}

func TestAttemptOfAHandlerThatIgnoresTheDrainIsReleased(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	worker, hold := jobstream.NewWorker(client, "test"), newHeld()
	ignoring := make(chan struct{})
	t.Cleanup(func() { close(ignoring) })
	jobstream.Handle(worker, "hold", hold.handle)
	jobstream.Handle(worker, "ignoring", func(context.Context, *jobstream.Task, any) (any, error) {
		hold.started <- nil
		<-ignoring
		return nil, nil
	})
	ended := begin(t, worker)
	jobs := []*jobstream.Job[any]{submit[any](t, client, "hold", nil), submit[any](t, client, "ignoring", nil)}
	<-hold.started
	<-hold.started
	worker.Drain(10 * time.Millisecond)
	if cause := <-hold.causes; cause != jobstream.ErrDraining {
		t.Error(cause)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, job := range jobs {
		if state, err := job.State(within(t)); state != jobstream.StateQueued || err != nil {
			t.Error(state, err)
		}
	}
}

func TestSignalDrainsTheWorker(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	connected := make(chan string, 1)
	worker := jobstream.NewWorker(client, "test", jobstream.WithSignals(),
		jobstream.WithOnConnect(func(id string) { connected <- id }))
	jobstream.Handle(worker, "hold", newHeld().handle)
	ended := begin(t, worker)
	<-connected
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRejectedWorkerReturnsTheErrorOfTheServer(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	worker := jobstream.NewWorker(client, "no spaces")
	jobstream.Handle(worker, "kind", newHeld().handle)
	err := worker.Run(within(t))
	var invalid *jobstream.InvalidRequest
	if !errors.As(err, &invalid) || !strings.Contains(invalid.Violations[0].Field, "name") {
		t.Errorf("%T %v", err, err)
	}
}

func TestInvalidWorkersAreRejectedBeforeTheStart(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	none := jobstream.NewWorker(client, "test")
	slotless := jobstream.NewWorker(client, "test", jobstream.WithSlots(0))
	jobstream.Handle(slotless, "kind", newHeld().handle)
	for _, worker := range []*jobstream.Worker{none, slotless} {
		if err := worker.Run(within(t)); !errors.As(err, new(*jobstream.InvalidRequest)) {
			t.Errorf("%T %v", err, err)
		}
	}
	defer func() {
		if message := fmt.Sprint(recover()); !strings.Contains(message, "two handlers") {
			t.Error(message)
		}
	}()
	jobstream.Handle(slotless, "kind", newHeld().handle)
}

func TestAttemptContinuesAfterAReconnect(t *testing.T) {
	server := jobstreamtest.Server(t, "--worker-reconnect-grace", "20s")
	broken := newProxy(t, server.Address)
	through, err := jobstream.New(broken.address())
	if err != nil {
		t.Fatal(err)
	}
	defer through.Close()
	connected := make(chan string, 8)
	worker, hold := jobstream.NewWorker(through, "test", jobstream.WithOnConnect(func(id string) { connected <- id })), newHeld()
	jobstream.Handle(worker, "hold", hold.handle)
	begin(t, worker)
	<-connected
	client := server.Client()
	job := submit[string](t, client, "hold", nil)
	<-hold.started
	untilRunning(t, job)
	for range 3 {
		broken.cut()
		<-connected
	}
	hold.released <- "done"
	if result, err := job.Result(within(t)); result != "done" || err != nil {
		t.Error(result, err)
	}
	if whole, err := client.Get(within(t), job.ID()); err != nil || len(whole.Message.Attempts) != 1 {
		t.Error(whole, err)
	}
}

func untilRunning(t *testing.T, job *jobstream.Job[string]) {
	t.Helper()
	for event, err := range job.Watch(within(t)) {
		if err != nil {
			t.Fatal(err)
		}
		if change, isChange := event.(*jobstream.StateChange); isChange && change.State == jobstream.StateRunning {
			return
		}
	}
}

func TestLostLeasesCancelRunningAttempts(t *testing.T) {
	server := jobstreamtest.Server(t)
	client := server.Client()
	worker, hold := jobstream.NewWorker(client, "test"), newHeld()
	jobstream.Handle(worker, "hold", hold.handle)
	begin(t, worker)
	submit[any](t, client, "hold", nil)
	<-hold.started
	server.Restart()
	if cause := <-hold.causes; cause != jobstream.ErrLeaseLost {
		t.Error(cause)
	}
	again := submit[string](t, client, "hold", nil)
	<-hold.started
	hold.released <- "again"
	if result, err := again.Result(within(t)); result != "again" || err != nil {
		t.Error(result, err)
	}
}

func TestHandlerRunsWithoutAServer(t *testing.T) {
	outcome := jobstreamtest.Run(t, func(ctx context.Context, task *jobstream.Task, in resize) (int64, error) {
		buffer := []byte("chunk")
		task.Progress(0.5, "half")
		if err := task.Output(jobstream.Data(buffer, ""), "out"); err != nil {
			return 0, err
		}
		copy(buffer, "XXXXX")
		task.Log(task.Headers["who"], jobstream.LevelWarn)
		return 1<<53 + 1, nil
	}, resize{Width: 7}, jobstream.WithHeaders(map[string]string{"who": "me"}))
	if outcome.Err != nil || outcome.Value != 1<<53+1 || len(outcome.Events) != 3 {
		t.Fatalf("%+v", outcome)
	}
	if progress := outcome.Events[0].(*jobstream.Progress); *progress.Fraction != 0.5 || progress.Message != "half" {
		t.Error(progress)
	}
	if output := outcome.Events[1].(*jobstream.Output); output.Payload.Text() != "chunk" || output.Channel != "out" {
		t.Error(output)
	}
	if log := outcome.Events[2].(*jobstream.Log); log.Text != "me" || log.Level != jobstream.LevelWarn {
		t.Error(log)
	}
	failed := jobstreamtest.Run(t, func(context.Context, *jobstream.Task, resize) (any, error) { panic("boom") }, resize{Width: 1})
	var failure *jobstream.JobFailed
	if !errors.As(failed.Err, &failure) || failure.Failure.Reason != "PANIC" {
		t.Error(failed.Err)
	}
}

func TestPanicsOfCallbackAndLogHandlerDoNotEndTheWorker(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	worker := jobstream.NewWorker(client, "panicking",
		jobstream.WithOnConnect(func(string) { panic("listener") }), jobstream.WithLogger(slog.New(panickingLog{})))
	jobstream.Handle(worker, "unheard", func(context.Context, *jobstream.Task, any) (string, error) { return "done", nil })
	begin(t, worker)
	if result, err := jobstream.Run[string](within(t), client, "unheard", nil); err != nil || result != "done" {
		t.Error(result, err)
	}
}

type panickingLog struct{ slog.Handler }

func (panickingLog) Enabled(context.Context, slog.Level) bool { panic("log") }

// TestWorkerSurvivesAClosedStderr runs itself as a process with a closed stderr.
func TestWorkerSurvivesAClosedStderr(t *testing.T) {
	if address := os.Getenv("JOBSTREAM_TEST_UNREAD"); address != "" {
		workWithClosedStderr(t, address)
		return
	}
	reader, stderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	process := exec.Command(os.Args[0], "-test.run", "^TestWorkerSurvivesAClosedStderr$")
	process.Env = append(os.Environ(), "JOBSTREAM_TEST_UNREAD="+jobstreamtest.Server(t).Client().Address())
	process.Stderr = stderr
	if output, err := process.Output(); err != nil || !strings.Contains(string(output), "still running") {
		t.Errorf("%s %v", output, err)
	}
}

func workWithClosedStderr(t *testing.T, address string) {
	client, err := jobstream.New(address)
	if err != nil {
		t.Fatal(err)
	}
	connected := make(chan struct{}, 1)
	worker := jobstream.NewWorker(client, "unread", jobstream.WithSignals(), jobstream.WithOnConnect(func(string) {
		slog.Info("written to a closed stderr")
		fmt.Println("still running")
		connected <- struct{}{}
	}))
	jobstream.Handle(worker, "unread", func(context.Context, *jobstream.Task, any) (any, error) { return nil, nil })
	begin(t, worker)
	<-connected
}
