package jobstream

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// Run submits a job, waits for its end and answers its result: in one call, so that no retention is too short for the end
// to be seen.
//
// The job id is minted before the first try, so that a retry never makes a second job. When its connection breaks, it goes
// on with a watch; a context that ends never cancels the job.
//
// The error is one of [Submit] until the job was accepted, then one of [Job.Result]. After an [Unavailable], a
// [DeadlineExceeded] or an [Error] of before, the job may have been accepted: run it again with the same [WithJobID].
func Run[Out any](ctx context.Context, client *Client, kind string, input any, options ...SubmitOption) (Out, error) {
	var result Out
	spec, err := newSpec(kind, input, options)
	if err != nil {
		return result, err
	}
	payload, err := newRunner(client, spec).run(ctx)
	if err != nil {
		return result, err
	}
	return readResult[Out](spec.JobId, payload)
}

// runner is a follower whose first stream submits the job. The rule is that of clients/README.md, "Submit and wait".
type runner struct {
	*follower
	spec        *jobstreamv1.JobSpec
	isSubmitted bool
}

func newRunner(client *Client, spec *jobstreamv1.JobSpec) *runner {
	return &runner{spec: spec, follower: &follower{
		handle:       &handle{client: client, id: spec.JobId},
		watchOptions: watchOptions{heartbeat: defaultHeartbeat},
		endurance:    newEndurance(&client.settings),
		yield:        func(Event, error) bool { return true },
		types:        []jobstreamv1.EventType{jobstreamv1.EventType_EVENT_TYPE_STATE_CHANGE},
	}}
}

// run waits for the end of the job.
func (r *runner) run(ctx context.Context) (Payload, error) {
	err := r.submit(ctx)
	if r.isSubmitted && !r.isEnded {
		if err = r.bear(ctx, err); err == nil {
			err = r.follow(ctx)
		}
	}
	if err != nil {
		return Payload{}, err
	}
	return r.readOutcome(r.outcome)
}

// submit opens a Run until the server says that it has the job, and follows that stream while it lasts. It answers what
// ended that, nil after the end of the job.
func (r *runner) submit(ctx context.Context) error {
	settings := &r.client.settings
	pauses := newBackoff(settings.tries.FirstPause, settings.tries.LongestPause)
	r.openBy = time.Now().Add(settings.callTimeout)
	for tried := 1; ; tried++ {
		r.client.boots.ask()
		err := r.stream(ctx, r.open)
		if r.isSubmitted {
			r.openBy = time.Time{}
			return err
		}
		if ctx.Err() != nil {
			return contextError(ctx.Err())
		}
		if !isTransient(err) {
			return err
		}
		pause := pauses.pause(baseOf(err).RetryAfter)
		if tried >= settings.tries.Max || time.Until(r.openBy) <= pause {
			return givenUp(err, fmt.Sprintf("%d tries", tried))
		}
		if !sleep(ctx, pause) {
			return contextError(ctx.Err())
		}
	}
}

func (r *runner) open(ctx context.Context, jobs jobstreamv1.JobServiceClient) (receiver, error) {
	stream, err := jobs.Run(ctx, &jobstreamv1.RunRequest{
		Job: r.spec, Types: r.types, Heartbeat: durationpb.New(r.heartbeat),
	})
	return runStream{stream, r}, err
}

type runStream struct {
	grpc.ServerStreamingClient[jobstreamv1.RunResponse]
	runner *runner
}

func (s runStream) next() (news, error) {
	message, err := s.Recv()
	s.runner.isSubmitted = s.runner.isSubmitted || err == nil
	return news{message.GetEvent(), message.GetGap()}, err
}
