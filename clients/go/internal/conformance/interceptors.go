package main

import (
	"context"
	"errors"

	"github.com/jobstream/jobstream/clients/go"
)

func (c *command) submitInterceptors() jobstream.Option {
	interceptors := make([]jobstream.SubmitInterceptor, len(c.Interceptors))
	for i, name := range c.Interceptors {
		interceptors[i] = submitInterceptor(name)
	}
	return jobstream.WithSubmitInterceptors(interceptors...)
}

func submitInterceptor(name string) jobstream.SubmitInterceptor {
	return func(
		ctx context.Context, spec *jobstream.JobSpec, next jobstream.SubmitNext,
	) (*jobstream.Submitted, error) {
		payload, err := named(spec.Payload(), name)
		if err != nil {
			return nil, err
		}
		if err := spec.SetPayload(payload); err != nil {
			return nil, err
		}
		spec.Apply(jobstream.WithHeaders(map[string]string{"by": spec.Headers()["by"] + name}))
		return next(ctx, spec)
	}
}

func (c *command) handlerInterceptors() jobstream.WorkerOption {
	interceptors := make([]jobstream.HandlerInterceptor, len(c.Interceptors))
	for i, name := range c.Interceptors {
		interceptors[i] = handlerInterceptor(name)
	}
	return jobstream.WithHandlerInterceptors(interceptors...)
}

func handlerInterceptor(name string) jobstream.HandlerInterceptor {
	return func(ctx context.Context, task *jobstream.Task, next jobstream.HandlerNext) (jobstream.Payload, error) {
		payload, err := named(task.Payload, name)
		if err != nil {
			return payload, err
		}
		task.Payload = payload
		result, err := next(ctx, task)
		if err != nil {
			return result, err
		}
		return named(result, name)
	}
}

// named adds the name of an interceptor to a payload.
func named(payload jobstream.Payload, name string) (jobstream.Payload, error) {
	if name == "refuse" {
		return payload, errors.New("refused")
	}
	names := []string{}
	if err := payload.Decode(&names); err != nil {
		return payload, err
	}
	return jobstream.JSON(append(names, name))
}
