package main

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jobstream/jobstream/clients/go"
)

func (a *agent) connect(c *command) (any, error) {
	client, err := jobstream.New(c.Address, append(c.clientOptions(), c.submitInterceptors())...)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.client = client
	return nil, nil
}

func (a *agent) currentClient() *jobstream.Client {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.client
}

// job returns the handle of a job that was submitted with the current client, else a new one.
func (a *agent) job(id string) *jobstream.Job[jobstream.Payload] {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.jobs[id]; known.client == a.client {
		return known.job
	}
	return jobstream.Attach[jobstream.Payload](a.client, id)
}

func (a *agent) submit(ctx context.Context, c *command) (any, error) {
	value, err := c.Payload.value()
	if err != nil {
		return nil, err
	}
	client := a.currentClient()
	job, err := jobstream.Submit[jobstream.Payload](ctx, client, c.Kind, value, c.options()...)
	if err != nil {
		return nil, err
	}
	return a.retain(client, job), nil
}

// retain retains the handle of a new job and returns its id for the driver.
func (a *agent) retain(client *jobstream.Client, job *jobstream.Job[jobstream.Payload]) map[string]any {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.jobs[job.ID()] = submitted{client, job}
	return map[string]any{"job_id": job.ID(), "wait_reason": job.WaitReason()}
}

func (a *agent) run(ctx context.Context, c *command) (any, error) {
	value, err := c.Payload.value()
	if err != nil {
		return nil, err
	}
	if c.Wait != nil {
		limited, cancel := context.WithTimeout(ctx, c.Wait.duration())
		defer cancel()
		ctx = limited
	}
	result, err := jobstream.Run[jobstream.Payload](ctx, a.currentClient(), c.Kind, value, c.options()...)
	if err != nil {
		return nil, err
	}
	shown, err := show(result)
	return map[string]any{"payload": shown}, err
}

func (a *agent) load(ctx context.Context, c *command) (any, error) {
	var jobs int64
	if err := json.Unmarshal(c.Jobs, &jobs); err != nil {
		return nil, err
	}
	client := a.currentClient()
	began := time.Now()
	var submitted atomic.Int64
	failures := make(chan error, c.InFlight)
	for range c.InFlight {
		go func() {
			var err error
			for n := submitted.Add(1) - 1; n < jobs && err == nil; n = submitted.Add(1) - 1 {
				_, err = jobstream.Submit[any](ctx, client, c.Kind, map[string]int64{"n": n})
			}
			failures <- err
		}()
	}
	var err error
	for range c.InFlight {
		err = errors.Join(err, <-failures)
	}
	return map[string]any{"seconds": time.Since(began).Seconds()}, err
}

func (a *agent) result(ctx context.Context, c *command) (any, error) {
	if c.Timeout != nil {
		limited, cancel := context.WithTimeout(ctx, c.Timeout.duration())
		defer cancel()
		ctx = limited
	}
	result, err := a.job(c.JobID).Result(ctx)
	if err != nil {
		return nil, err
	}
	shown, err := show(result)
	return map[string]any{"payload": shown}, err
}

func (a *agent) watch(ctx context.Context, c *command) error {
	for event, err := range a.job(c.JobID).Watch(ctx, c.watchOptions()...) {
		var stopped *jobstream.NotFinished
		if errors.As(err, &stopped) {
			return nil
		}
		if err != nil {
			return err
		}
		shown, err := showEvent(event)
		if err != nil {
			return err
		}
		a.event(c, shown)
	}
	return nil
}

func showEvent(event jobstream.Event) (map[string]any, error) {
	switch event := event.(type) {
	case *jobstream.StateChange:
		fields := map[string]any{"state": event.State}
		if event.Failure != nil {
			fields["failure"] = event.Failure.Message
		}
		return item("state", event.Moment, fields), nil
	case *jobstream.Progress:
		return item("progress", event.Moment, map[string]any{
			"fraction": event.Fraction, "done": event.Done, "total": event.Total, "unit": event.Unit,
			"message": event.Message,
		}), nil
	case *jobstream.Output:
		payload, err := show(event.Payload)
		return item("output", event.Moment, map[string]any{"payload": payload, "channel": event.Channel}), err
	case *jobstream.Log:
		return item("log", event.Moment, map[string]any{"text": event.Text, "level": event.Level}), nil
	case *jobstream.Gap:
		return map[string]any{"type": "gap", "first": event.First, "last": event.Last}, nil
	default:
		return nil, errors.New("unknown event type")
	}
}

func item(name string, moment jobstream.Moment, fields map[string]any) map[string]any {
	fields["type"], fields["sequence"], fields["attempt"] = name, moment.Sequence, moment.Attempt
	return fields
}

// describe encodes an error for the driver.
func describe(err error) map[string]any {
	described := map[string]any{"class": classOf(err), "message": err.Error()}
	var base *jobstream.Error
	if errors.As(err, &base) {
		violations := []string{}
		for _, violation := range base.Violations {
			violations = append(violations, violation.Field)
		}
		described["reason"], described["violations"] = base.Reason, violations
	}
	switch err := err.(type) {
	case *jobstream.JobFailed:
		f := err.Failure
		described["failure"] = map[string]any{
			"reason": f.Reason, "type": f.Type, "message": f.Message, "attempt": f.Attempt, "retryable": f.Retryable,
		}
	case *jobstream.JobCancelled:
		described["cancellation"] = map[string]any{"reason": err.CancelReason, "forced": err.Forced}
	}
	return described
}

func classOf(err error) string {
	switch err := err.(type) {
	case *jobstream.JobFailed:
		return "job_failed"
	case *jobstream.JobCancelled:
		return "job_cancelled"
	case *jobstream.NotFinished:
		return "not_finished"
	case *jobstream.JobNotFound:
		return "job_not_found"
	case *jobstream.ServerRestarted:
		return "server_restarted"
	case *jobstream.ResultExpired:
		return "result_expired"
	case *jobstream.JobIDReused:
		return "job_id_reused"
	case *jobstream.InvalidRequest:
		if err.Reason == "" && len(err.Violations) > 0 {
			return "invalid_argument" // The client found it, not the server.
		}
		return "invalid_request"
	case *jobstream.IllegalState:
		return "illegal_state"
	case *jobstream.ResourceExhausted:
		return "resource_exhausted"
	case *jobstream.Unavailable:
		return "unavailable"
	case *jobstream.DeadlineExceeded:
		return "deadline_exceeded"
	default:
		return "other"
	}
}
