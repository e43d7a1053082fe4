package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jobstream/jobstream/clients/go"
)

func (a *agent) newWorker(c *command) (*jobstream.Worker, error) {
	client := a.currentClient()
	if c.Address != "" {
		own, err := jobstream.New(c.Address, c.clientOptions()...)
		if err != nil {
			return nil, err
		}
		client = own
	}
	options := []jobstream.WorkerOption{
		jobstream.WithSlots(c.Slots), c.handlerInterceptors(),
		jobstream.WithOnConnect(func(string) { a.event(c, map[string]any{"type": "connected"}) }),
	}
	if c.Signals {
		options = append(options, jobstream.WithSignals())
	}
	worker := jobstream.NewWorker(client, c.Name, appendIf(options, c.DrainTimeout, jobstream.WithDrainTimeout)...)
	for kind, behaviour := range c.Handlers {
		if err := a.behave(worker, c, kind, behaviour); err != nil {
			return nil, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.workers[c.ID] = worker
	return worker, nil
}

func (a *agent) behave(worker *jobstream.Worker, c *command, kind, behaviour string) error {
	switch behaviour {
	case "echo":
		jobstream.Handle(worker, kind, echo)
	case "stream":
		jobstream.Handle(worker, kind, streamOutput)
	case "info":
		jobstream.Handle(worker, kind, info)
	case "trace":
		jobstream.Handle(worker, kind, trace)
	case "emit":
		jobstream.Handle(worker, kind, emit)
	case "count":
		jobstream.Handle(worker, kind, count)
	case "fail":
		jobstream.Handle(worker, kind, fail)
	case "typed":
		jobstream.Handle(worker, kind, double)
	case "hold":
		jobstream.Handle(worker, kind, a.hold(c))
	case "ignore_cancel":
		jobstream.Handle(worker, kind, a.ignoreCancel(c))
	default:
		return fmt.Errorf("unknown behaviour %q", behaviour)
	}
	return nil
}

func echo(_ context.Context, _ *jobstream.Task, in jobstream.Payload) (any, error) {
	if in.ContentType() != "application/json" {
		return in, nil
	}
	var value any
	err := in.Decode(&value)
	return value, err
}

func streamOutput(ctx context.Context, task *jobstream.Task, in jobstream.Payload) (any, error) {
	result, err := echo(ctx, task, in)
	if err != nil {
		return nil, err
	}
	chunk, isPayload := result.(jobstream.Payload)
	if !isPayload {
		if chunk, err = jobstream.JSON(result); err != nil {
			return nil, err
		}
	}
	return result, task.Output(chunk, "out")
}

func info(_ context.Context, task *jobstream.Task, _ any) (map[string]any, error) {
	return map[string]any{
		"job_id": task.JobID, "attempt": task.Attempt, "kind": task.Kind, "queue": task.Queue, "headers": task.Headers,
		"deadline": time.Until(task.Deadline).Milliseconds(),
	}, nil
}

func trace(_ context.Context, task *jobstream.Task, _ any) (map[string]any, error) {
	trace := task.TraceContext
	return map[string]any{
		"traceparent": trace.Traceparent, "tracestate": trace.Tracestate, "baggage": trace.Baggage,
	}, nil
}

type emitting struct {
	Chunks int `json:"chunks"`
}

func emit(_ context.Context, task *jobstream.Task, in emitting) (int, error) {
	for i := 1; i <= in.Chunks; i++ {
		task.Progress(float64(i)/float64(in.Chunks), fmt.Sprintf("step %d", i))
		if err := task.Output(jobstream.Text(fmt.Sprintf("chunk %d", i)), "out"); err != nil {
			return 0, err
		}
		task.Log(fmt.Sprintf("line %d", i), jobstream.LevelWarn)
	}
	return in.Chunks, nil
}

type counting struct {
	Done  float64 `json:"done"`
	Total float64 `json:"total"`
}

func count(_ context.Context, task *jobstream.Task, in counting) (float64, error) {
	task.ProgressOf(in.Done, in.Total, "steps")
	return in.Done, nil
}

type failing struct {
	Mode    string `json:"mode"`
	Message string `json:"message"`
}

func fail(_ context.Context, _ *jobstream.Task, in failing) (any, error) {
	err := errors.New(in.Message)
	switch in.Mode {
	case "error":
		return nil, err
	case "permanent":
		return nil, jobstream.Permanent(err)
	case "later":
		return nil, jobstream.RetryLater(err, 50*time.Millisecond)
	case "panic":
		panic(in.Message)
	default:
		return nil, fmt.Errorf("unknown mode %q", in.Mode)
	}
}

type sized struct {
	Width *int64 `json:"width"`
}

// Validate checks required fields, because package json does not.
func (s sized) Validate() error {
	if s.Width == nil {
		return errors.New("width is missing")
	}
	return nil
}

func double(_ context.Context, _ *jobstream.Task, in sized) (int64, error) { return 2 * *in.Width, nil }

type holdHandler = func(ctx context.Context, task *jobstream.Task, in any) (jobstream.Payload, error)

// begin emits that the attempt has started, and later that it is settled.
func (a *agent) begin(c *command, task *jobstream.Task) {
	task.OnSettled(func(err error) {
		settled := map[string]any{"type": "settled", "job_id": task.JobID, "error": nil}
		if err != nil {
			settled["error"] = describe(err)
		}
		a.event(c, settled)
	})
	a.event(c, map[string]any{"type": "started", "job_id": task.JobID, "attempt": task.Attempt})
}

func (a *agent) hold(c *command) holdHandler {
	return func(ctx context.Context, task *jobstream.Task, _ any) (jobstream.Payload, error) {
		a.begin(c, task)
		select {
		case payload := <-a.release(task.JobID):
			return payload, nil
		case <-ctx.Done():
			a.event(c, map[string]any{"type": "cancelled", "job_id": task.JobID})
			return jobstream.Payload{}, ctx.Err()
		}
	}
}

func (a *agent) ignoreCancel(c *command) holdHandler {
	return func(_ context.Context, task *jobstream.Task, _ any) (jobstream.Payload, error) {
		a.begin(c, task)
		return <-a.release(task.JobID), nil
	}
}
