package jobstream_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// within returns a context that outlives every wait of a passing test.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func submit[Out any](t *testing.T, client *jobstream.Client, kind string, in any, options ...jobstream.SubmitOption) *jobstream.Job[Out] {
	t.Helper()
	job, err := jobstream.Submit[Out](within(t), client, kind, in, options...)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func TestEndOfTheContextOfAWaitDoesNotCancelTheJob(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	job := submit[any](t, client, "unserved", nil)
	late, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := job.Result(late)
	if !errors.As(err, new(*jobstream.NotFinished)) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%T %v", err, err)
	}
	left, leave := context.WithCancel(t.Context())
	defer leave()
	for event, err := range job.Watch(left) {
		if event != nil {
			leave()
			continue
		}
		if !errors.As(err, new(*jobstream.NotFinished)) || !errors.Is(err, context.Canceled) {
			t.Errorf("%T %v", err, err)
		}
	}
	if state, err := job.State(within(t)); state != jobstream.StateQueued || err != nil {
		t.Error(state, err)
	}
}

func TestCallWithAnEndedContextReturnsItsError(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := jobstream.Submit[any](ended, client, "unserved", nil)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestResultMismatchNamesTheField(t *testing.T) {
	client := jobstreamtest.Server(t, "--demo=true").Client()
	job := submit[struct{ Width int }](t, client, "demo.echo", map[string]string{"Width": "wide"})
	_, err := job.Result(within(t))
	if !errors.As(err, new(*jobstream.ResultMismatch)) || !strings.Contains(err.Error(), "Width") {
		t.Errorf("%T %v", err, err)
	}
	if payload, err := job.Payload(within(t)); err != nil || payload.Text() != `{"Width":"wide"}` {
		t.Error(payload, err)
	}
}

func TestInputThatCannotBeEncodedIsAnInvalidRequest(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	for _, input := range []any{func() {}, jobstream.Text("\xff")} {
		if _, err := jobstream.Submit[any](within(t), client, "unserved", input); !errors.As(err, new(*jobstream.InvalidRequest)) {
			t.Errorf("%T %v", err, err)
		}
	}
	if _, err := jobstream.Submit[any](within(t), client, "\xff", nil); !errors.As(err, new(*jobstream.InvalidRequest)) {
		t.Errorf("%T %v", err, err)
	}
}

func TestServerReceivesEveryOption(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	labels, headers := map[string]string{"a": "b"}, map[string]string{"traceparent": "00"}
	job := submit[any](t, client, "unserved", nil, jobstream.WithQueue("reports"), jobstream.WithPriority(7),
		jobstream.WithDelay(time.Hour), jobstream.WithTimeout(2*time.Hour), jobstream.WithAttemptTimeout(time.Minute),
		jobstream.WithMaxAttempts(3), jobstream.WithInitialBackoff(0), jobstream.WithMaxBackoff(time.Minute),
		jobstream.WithBackoffMultiplier(1.5), jobstream.WithBackoffJitter(0), jobstream.WithMaxLostAttempts(5),
		jobstream.WithRetention(0),
		jobstream.WithLabels(labels), jobstream.WithHeaders(headers))
	whole, err := client.Get(within(t), job.ID())
	if err != nil {
		t.Fatal(err)
	}
	spec := whole.Message.Spec
	if spec.Queue != "reports" || spec.Priority != 7 || spec.GetStartDelay().AsDuration() != time.Hour ||
		spec.Timeout.AsDuration() != 2*time.Hour || spec.AttemptTimeout.AsDuration() != time.Minute ||
		spec.Retention.AsDuration() != 0 || !reflect.DeepEqual(spec.Labels, labels) || !reflect.DeepEqual(spec.Headers, headers) {
		t.Error(spec)
	}
	retry := spec.Retry
	if retry.MaxAttempts != 3 || retry.InitialBackoff.AsDuration() != 0 || retry.MaxBackoff.AsDuration() != time.Minute ||
		retry.Multiplier != 1.5 || *retry.Jitter != 0 || retry.MaxLostAttempts != 5 {
		t.Error(retry)
	}
}

func TestManyGoroutinesShareAClient(t *testing.T) {
	client := jobstreamtest.Server(t, "--demo=true").Client()
	var all sync.WaitGroup
	for i := range 200 {
		all.Add(1)
		go func() {
			defer all.Done()
			job, err := jobstream.Submit[int](within(t), client, "demo.echo", i)
			if err != nil {
				t.Error(err)
				return
			}
			if result, err := job.Result(within(t)); result != i || err != nil {
				t.Error(result, err)
			}
		}()
	}
	all.Wait()
}

func TestWaitsBeyondTheStreamLimitDoNotDelayCalls(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	job := submit[any](t, client, "unserved", nil)
	waiting, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	const waits = 1500
	begun := make(chan struct{}, waits)
	for range waits {
		all.Add(1)
		go func() {
			defer all.Done()
			for event := range job.Watch(waiting) {
				if event != nil {
					begun <- struct{}{}
				}
			}
		}()
	}
	for range waits {
		<-begun
	}
	if state, err := job.State(within(t)); state != jobstream.StateQueued || err != nil {
		t.Error(state, err)
	}
	leave()
	all.Wait()
}

func TestClosedClientReturnsErrorsAndJobsContinue(t *testing.T) {
	server := jobstreamtest.Server(t)
	client := server.Client()
	job := submit[any](t, client, "unserved", nil)
	waiting := make(chan error)
	go func() {
		for event, err := range job.Watch(within(t)) {
			if event != nil {
				err = client.Close()
			}
			if event == nil || err != nil {
				waiting <- err
			}
		}
	}()
	for _, err := range []error{<-waiting, second(job.State(within(t))), second(job.Result(within(t)))} {
		var base *jobstream.Error
		if !errors.As(err, &base) || base.Code != codes.Canceled || !strings.Contains(err.Error(), "closed") {
			t.Errorf("%T %v", err, err)
		}
	}
	if state, err := server.Client().Job(job.ID()).State(within(t)); state != jobstream.StateQueued || err != nil {
		t.Error(state, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestStoppedWatchLeaksNoGoroutine(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	job := submit[any](t, client, "unserved", nil)
	for range job.Watch(within(t)) {
		break
	}
	admin := jobstreamv1.NewAdminServiceClient(client.Conn())
	for {
		info, err := admin.GetServerInfo(within(t), &jobstreamv1.GetServerInfoRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if info.Watchers == 0 {
			return
		}
	}
}

func TestWatchResumesAfterACutConnection(t *testing.T) {
	server := jobstreamtest.Server(t, "--demo=true")
	broken := newProxy(t, server.Address)
	client, err := jobstream.New(broken.address())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	job := submit[any](t, client, "demo.count", map[string]int{"to": 5})
	var sequences []uint32
	for event, err := range job.Watch(within(t)) {
		if err != nil {
			t.Fatal(err)
		}
		sequences = append(sequences, event.LastSequence())
		if _, isProgress := event.(*jobstream.Progress); isProgress {
			broken.cut()
		}
	}
	if !reflect.DeepEqual(sequences, []uint32{1, 2, 3, 4, 5, 6, 7, 8}) || broken.cuts != 5 {
		t.Error(sequences, broken.cuts)
	}
}

func TestJobLostByARestartIsServerRestarted(t *testing.T) {
	server := jobstreamtest.Server(t)
	client := server.Client()
	job := submit[any](t, client, "unserved", nil)
	// The server answers the concurrent boot id lookup before this call.
	if _, err := job.State(within(t)); err != nil {
		t.Fatal(err)
	}
	server.Restart()
	if _, err := job.Result(within(t)); !errors.As(err, new(*jobstream.ServerRestarted)) || !errors.As(err, new(*jobstream.JobNotFound)) {
		t.Errorf("%T %v", err, err)
	}
	_, err := client.Job("0190c0de-0000-7000-8000-000000000000").Result(within(t))
	if !errors.As(err, new(*jobstream.JobNotFound)) || errors.As(err, new(*jobstream.ServerRestarted)) {
		t.Errorf("%T %v", err, err)
	}
}
