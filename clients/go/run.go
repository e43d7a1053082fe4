package jobstream

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// Run submits a job, waits until it ends and returns its result. Submit and wait are one call, so the result is
// received even if the retention is 0.
//
// The job id is generated before the first attempt of the call, so a retry never creates a second job. If the
// connection breaks, the call resumes as a watch. The end of the context does not cancel the job.
//
// The error is one of [Submit] until the job is accepted, then one of [Job.Result]. After an [Unavailable], a
// [DeadlineExceeded] or an [Error] from before that point the job may be accepted: call Run again with the same
// [WithJobID].
func Run[Out any](ctx context.Context, client *Client, kind string, input any, options ...SubmitOption) (Out, error) {
	var result Out
	spec, err := newSpec(kind, input, options)
	if err != nil {
		return result, err
	}
	payload, err := client.run(ctx, spec)
	if err != nil {
		return result, err
	}
	return readResult[Out](spec.JobId, payload)
}

// run submits the job through the interceptors and waits for its outcome.
func (c *Client) run(ctx context.Context, spec *jobstreamv1.JobSpec) (Payload, error) {
	if len(c.settings.interceptors) == 0 {
		return newRunCall(c, spec).run(ctx)
	}
	var current *interceptedRun
	defer func() {
		if current != nil {
			current.cancel()
		}
	}()
	_, err := aroundSubmit(c.settings.interceptors, func(inner context.Context, spec *JobSpec) (*Submitted, error) {
		if current != nil {
			current.cancel() // An interceptor tries again.
		}
		current = startRun(ctx, inner, newRunCall(c, spec.message))
		return current.awaitSubmit(inner)
	})(ctx, &JobSpec{spec})
	switch {
	case err != nil:
		return Payload{}, err
	case current == nil:
		return Payload{}, notSent(spec.JobId)
	}
	<-current.ended
	return current.payload, current.err
}

// interceptedRun is a run whose submit is waited for by interceptors, and whose result by their caller.
type interceptedRun struct {
	*runCall
	cancel context.CancelFunc
	// payload and err are set when ended is closed.
	ended   chan struct{}
	payload Payload
	err     error
}

// startRun starts a run that has the values of the context of an interceptor and ends with the one of the caller.
func startRun(caller, interceptor context.Context, call *runCall) *interceptedRun {
	ctx, cancel := context.WithCancel(valuesOf{caller, interceptor})
	r := &interceptedRun{runCall: call, cancel: cancel, ended: make(chan struct{})}
	call.submitted = make(chan struct{})
	go func() {
		defer close(r.ended)
		r.payload, r.err = call.run(ctx)
	}()
	return r
}

// awaitSubmit waits until the server has accepted the job. The end of the context ends the run.
func (r *interceptedRun) awaitSubmit(ctx context.Context) (*Submitted, error) {
	select {
	case <-r.submitted:
	case <-r.ended:
	case <-ctx.Done():
		r.cancel()
		<-r.ended
		if !r.isSubmitted {
			return nil, contextError(ctx.Err())
		}
	}
	if !r.isSubmitted {
		return nil, r.err
	}
	return &Submitted{JobID: r.spec.JobId}, nil
}

// valuesOf is a context with the values of another one.
type valuesOf struct {
	context.Context
	values context.Context
}

func (v valuesOf) Value(key any) any { return v.values.Value(key) }

// runCall is a watcher whose first stream submits the job. clients/README.md, "Submit and wait", has the rule.
type runCall struct {
	*watcher
	spec        *jobstreamv1.JobSpec
	isSubmitted bool
	// submitted is closed when isSubmitted is set; it may be nil.
	submitted chan struct{}
}

func newRunCall(client *Client, spec *jobstreamv1.JobSpec) *runCall {
	return &runCall{spec: spec, watcher: &watcher{
		handle:       &handle{client: client, id: spec.JobId},
		watchOptions: newWatchOptions(nil),
		reconnect:    newReconnectBackoff(&client.settings),
		yield:        func(Event, error) bool { return true },
		types:        []jobstreamv1.EventType{jobstreamv1.EventType_EVENT_TYPE_STATE_CHANGE},
	}}
}

// run submits the job and waits for its outcome.
func (r *runCall) run(ctx context.Context) (Payload, error) {
	err := r.submit(ctx)
	if r.isSubmitted && !r.isEnded {
		if err = r.waitRetry(ctx, err); err == nil {
			err = r.follow(ctx)
		}
	}
	if err != nil {
		return Payload{}, err
	}
	return r.readOutcome(r.outcome)
}

// submit opens Run streams until the server acknowledges the submit, and reads that stream until it ends. It returns
// the error that ended the stream, nil after the final event of the job.
func (r *runCall) submit(ctx context.Context) error {
	settings := &r.client.settings
	pauses := newBackoff(settings.tries.FirstPause, settings.tries.LongestPause)
	fresh := newToken{hasFunc: settings.hasTokenFunc}
	r.openDeadline = time.Now().Add(settings.callTimeout)
	for attempts := 1; ; attempts++ {
		r.client.boots.lookUp()
		err := r.stream(ctx, r.open)
		if r.isSubmitted {
			r.openDeadline = time.Time{}
			return err
		}
		if ctx.Err() != nil {
			return contextError(ctx.Err())
		}
		if fresh.take(err) {
			continue
		}
		if !isTransient(err) {
			return err
		}
		pause := pauses.pause(baseOf(err).RetryAfter)
		if attempts >= settings.tries.Max || time.Until(r.openDeadline) <= pause {
			return retriesExhausted(err, fmt.Sprintf("%d tries", attempts))
		}
		if !sleep(ctx, pause) {
			return contextError(ctx.Err())
		}
	}
}

func (r *runCall) open(ctx context.Context, jobs jobstreamv1.JobServiceClient) (receiver[watchMessage], error) {
	stream, err := jobs.Run(ctx, &jobstreamv1.RunRequest{
		Job: r.spec, Types: r.types, Heartbeat: durationpb.New(r.heartbeat),
	})
	return runStream{stream, r}, err
}

type runStream struct {
	grpc.ServerStreamingClient[jobstreamv1.RunResponse]
	runner *runCall
}

func (s runStream) Recv() (watchMessage, error) {
	message, err := s.ServerStreamingClient.Recv()
	if err == nil && !s.runner.isSubmitted {
		s.runner.isSubmitted = true
		if s.runner.submitted != nil {
			close(s.runner.submitted)
		}
	}
	return watchMessage{message.GetEvent(), message.GetGap()}, err
}
