package main

import (
	"context"
	"encoding/json"

	"github.com/jobstream/jobstream/clients/go"
)

func (a *agent) list(ctx context.Context, c *command) (any, error) {
	jobs := []map[string]any{}
	for job, err := range a.currentClient().List(ctx, c.filter()) {
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, map[string]any{"job_id": job.ID, "kind": job.Kind, "queue": job.Queue, "state": job.State})
		if len(jobs) == c.Limit {
			break
		}
	}
	return map[string]any{"jobs": jobs}, nil
}

func (a *agent) retry(ctx context.Context, c *command) (any, error) {
	client := a.currentClient()
	job, err := jobstream.Retry[jobstream.Payload](ctx, client, c.JobID)
	if err != nil {
		return nil, err
	}
	return a.retain(client, job), nil
}

func (a *agent) batch(ctx context.Context, c *command) (any, error) {
	var submissions []submission
	if err := json.Unmarshal(c.Jobs, &submissions); err != nil {
		return nil, err
	}
	requests := make([]jobstream.JobRequest, len(submissions))
	for i, s := range submissions {
		request, err := s.request()
		if err != nil {
			return nil, err
		}
		requests[i] = request
	}
	client := a.currentClient()
	results := []map[string]any{}
	for _, result := range jobstream.SubmitAll[jobstream.Payload](ctx, client, requests) {
		if result.Err != nil {
			results = append(results, map[string]any{"error": describe(result.Err)})
			continue
		}
		results = append(results, a.retain(client, result.Job))
	}
	return map[string]any{"results": results}, nil
}

func (a *agent) queues(ctx context.Context) (any, error) {
	queues, err := a.currentClient().Queues(ctx)
	listed := []map[string]any{}
	for _, queue := range queues {
		listed = append(listed, map[string]any{
			"name": queue.Name, "waiting": queue.Waiting(), "running": queue.Running, "paused": queue.Paused,
		})
	}
	return map[string]any{"queues": listed}, err
}
