package jobstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
)

// trail records what interceptors see.
type trail struct {
	mu    sync.Mutex
	steps []string
}

func (t *trail) add(format string, facts ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps = append(t.steps, fmt.Sprintf(format, facts...))
}

func (t *trail) submitting(name string) jobstream.SubmitInterceptor {
	return func(ctx context.Context, spec *jobstream.JobSpec, next jobstream.SubmitNext) (*jobstream.Submitted, error) {
		t.add("%s %s %s", name, spec.Kind(), spec.Queue())
		spec.Apply(jobstream.WithHeaders(map[string]string{name: "set"}))
		submitted, err := next(ctx, spec)
		t.add("%s %s", name, submitted.WaitReason)
		return submitted, err
	}
}

func (t *trail) handling(name string) jobstream.HandlerInterceptor {
	return func(ctx context.Context, task *jobstream.Task, next jobstream.HandlerNext) (jobstream.Payload, error) {
		t.add("%s %d %d", name, task.Attempt, len(task.Headers))
		result, err := next(ctx, task)
		t.add("%s %s", name, result.Text())
		return result, err
	}
}

func TestFirstInterceptorIsTheOutermost(t *testing.T) {
	server, seen := jobstreamtest.Server(t), &trail{}
	client := server.Client(jobstream.WithSubmitInterceptors(seen.submitting("a"), seen.submitting("b")))
	job := submit[int](t, client, "nested", 1)
	if job.WaitReason() != "NO_WORKER" {
		t.Error(job.WaitReason())
	}
	worker := jobstream.NewWorker(client, "test", jobstream.WithHandlerInterceptors(seen.handling("x"), seen.handling("y")))
	jobstream.Handle(worker, "nested", func(_ context.Context, _ *jobstream.Task, in int) (int, error) { return in + 1, nil })
	begin(t, worker)
	if result, err := job.Result(within(t)); result != 2 || err != nil {
		t.Error(result, err)
	}
	expected := []string{
		"a nested default", "b nested default", "b NO_WORKER", "a NO_WORKER", "x 1 2", "y 1 2", "y 2", "x 2",
	}
	if seen.mu.Lock(); !slices.Equal(seen.steps, expected) {
		t.Error(seen.steps)
	}
}

// mirrored stands for a cipher.
func mirrored(p jobstream.Payload) jobstream.Payload {
	content := slices.Clone(p.Bytes())
	slices.Reverse(content)
	return jobstream.Data(content, "application/json")
}

func mirror(ctx context.Context, spec *jobstream.JobSpec, next jobstream.SubmitNext) (*jobstream.Submitted, error) {
	if err := spec.SetPayload(mirrored(spec.Payload())); err != nil {
		return nil, err
	}
	return next(ctx, spec)
}

func openAround(ctx context.Context, task *jobstream.Task, next jobstream.HandlerNext) (jobstream.Payload, error) {
	task.Payload = mirrored(task.Payload)
	result, err := next(ctx, task)
	return mirrored(result), err
}

func TestEachWayToSubmitPassesThroughTheInterceptors(t *testing.T) {
	client := jobstreamtest.Server(t).Client(jobstream.WithSubmitInterceptors(mirror))
	worker := jobstream.NewWorker(client, "test", jobstream.WithHandlerInterceptors(openAround))
	jobstream.Handle(worker, "double", func(_ context.Context, _ *jobstream.Task, in string) (string, error) { return in + "!", nil })
	begin(t, worker)
	check := func(payload jobstream.Payload, err error) {
		t.Helper()
		if text := mirrored(payload).Text(); text != `"ab!"` || err != nil {
			t.Error(text, err)
		}
	}
	check(submit[jobstream.Payload](t, client, "double", "ab").Result(within(t)))
	check(jobstream.Run[jobstream.Payload](within(t), client, "double", "ab"))
	requests := []jobstream.JobRequest{{Kind: "double", Input: "ab"}, {Kind: "double", Input: "ab"}}
	for _, result := range jobstream.SubmitAll[jobstream.Payload](within(t), client, requests) {
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		check(result.Job.Result(within(t)))
	}
	listed := 0
	for job, err := range client.List(within(t), jobstream.JobFilter{Kind: "double"}) {
		listed++
		if err != nil {
			t.Fatal(err)
		}
		if whole, err := client.Get(within(t), job.ID); err != nil || whole.Payload.Text() != `"ba"` {
			t.Error(whole, err)
		}
	}
	if listed != 4 {
		t.Error(listed)
	}
}

func TestSubmitInterceptorCanRefuseAJob(t *testing.T) {
	refusal := errors.New("no tenant")
	refuse := func(ctx context.Context, spec *jobstream.JobSpec, next jobstream.SubmitNext) (*jobstream.Submitted, error) {
		if spec.Payload().Text() == `"bad"` {
			return nil, refusal
		}
		return next(ctx, spec)
	}
	client := jobstreamtest.Server(t).Client(jobstream.WithSubmitInterceptors(refuse))
	if _, err := jobstream.Submit[any](within(t), client, "refused", "bad"); err != refusal {
		t.Error(err)
	}
	if _, err := jobstream.Run[any](within(t), client, "refused", "bad"); err != refusal {
		t.Error(err)
	}
	requests := []jobstream.JobRequest{{Kind: "refused", Input: "good"}, {Kind: "refused", Input: "bad"}, {Kind: "refused", Input: "good"}}
	results := jobstream.SubmitAll[any](within(t), client, requests)
	if results[0].Err != nil || results[1].Err != refusal || results[2].Err != nil {
		t.Error(results)
	}
	alone := jobstream.SubmitAll[any](within(t), client, requests[1:2])
	if alone[0].Err != refusal {
		t.Error(alone)
	}
}

func TestInterceptorMustCallNext(t *testing.T) {
	skip := func(_ context.Context, spec *jobstream.JobSpec, _ jobstream.SubmitNext) (*jobstream.Submitted, error) {
		return &jobstream.Submitted{JobID: spec.JobID()}, nil
	}
	client := jobstreamtest.Server(t).Client(jobstream.WithSubmitInterceptors(skip))
	if _, err := jobstream.Run[any](within(t), client, "skipped", nil); err == nil || !strings.Contains(err.Error(), "was not sent") {
		t.Error(err)
	}
	nothing := func(context.Context, *jobstream.JobSpec, jobstream.SubmitNext) (*jobstream.Submitted, error) {
		return nil, nil
	}
	other := jobstreamtest.Server(t).Client(jobstream.WithSubmitInterceptors(nothing))
	if _, err := jobstream.Submit[any](within(t), other, "skipped", nil); err == nil || !strings.Contains(err.Error(), "was not sent") {
		t.Error(err)
	}
	results := jobstream.SubmitAll[any](within(t), client, []jobstream.JobRequest{{Kind: "skipped"}})
	if err := results[0].Err; err == nil || !strings.Contains(err.Error(), "was not sent") {
		t.Error(err)
	}
}

func TestRunOutlivesTheContextOfAnInterceptor(t *testing.T) {
	limit := func(ctx context.Context, spec *jobstream.JobSpec, next jobstream.SubmitNext) (*jobstream.Submitted, error) {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		return next(ctx, spec)
	}
	client := jobstreamtest.Server(t).Client(jobstream.WithSubmitInterceptors(limit))
	worker, hold := jobstream.NewWorker(client, "test"), newHeld()
	jobstream.Handle(worker, "hold", hold.handle)
	begin(t, worker)
	go func() {
		<-hold.started
		hold.released <- "done"
	}()
	if result, err := jobstream.Run[string](within(t), client, "hold", nil); result != "done" || err != nil {
		t.Error(result, err)
	}
}

func TestContextOfAnInterceptorLimitsTheSubmitOfARun(t *testing.T) {
	limit := func(ctx context.Context, spec *jobstream.JobSpec, next jobstream.SubmitNext) (*jobstream.Submitted, error) {
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		return next(ctx, spec)
	}
	client, err := jobstream.New("http://127.0.0.1:1", jobstream.WithSubmitInterceptors(limit))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := jobstream.Run[any](within(t), client, "unreachable", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestHandlerInterceptorCanFailTheAttempt(t *testing.T) {
	check := func(ctx context.Context, task *jobstream.Task, next jobstream.HandlerNext) (jobstream.Payload, error) {
		switch task.Labels["tenant"] {
		case "":
			return jobstream.Payload{}, jobstream.Permanent(errors.New("the job has no tenant"))
		case "broken":
			panic("no such tenant")
		}
		return next(ctx, task)
	}
	client := jobstreamtest.Server(t).Client()
	worker := jobstream.NewWorker(client, "test", jobstream.WithHandlerInterceptors(check))
	jobstream.Handle(worker, "checked", func(context.Context, *jobstream.Task, any) (any, error) { return "done", nil })
	begin(t, worker)
	if failed := failureOf(t, submit[any](t, client, "checked", nil)); failed.Message != "the job has no tenant" || failed.Retryable {
		t.Error(failed)
	}
	broken := jobstream.WithLabels(map[string]string{"tenant": "broken"})
	if failed := failureOf(t, submit[any](t, client, "checked", nil, broken)); failed.Reason != "PANIC" {
		t.Error(failed)
	}
	acme := jobstream.WithLabels(map[string]string{"tenant": "acme"})
	if result, err := jobstream.Run[any](within(t), client, "checked", nil, acme); result != "done" || err != nil {
		t.Error(result, err)
	}
}
