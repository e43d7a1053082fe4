package jobstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

const (
	// pollWait is how long the server is asked to hold one poll. Proxies cut calls that are silent for a minute.
	pollWait = 30 * time.Second
	// pollAgain is the pause between the beginnings of two polls: a server may answer early if it has many waiters.
	pollAgain = 250 * time.Millisecond
	// pollLeft is the least time left of a context for another poll: the server answers the one before just in time.
	pollLeft = 50 * time.Millisecond
)

// result waits for the end of the job with long polls.
func (h *handle) result(ctx context.Context) (Payload, error) {
	endurance := newEndurance(&h.client.settings)
	for {
		began := time.Now()
		outcome, err := h.poll(ctx)
		if ctx.Err() != nil && outcome == nil {
			return Payload{}, h.notFinished(ctx)
		}
		if err != nil {
			err = endurance.bear(ctx, h.explain(err))
		} else if outcome != nil {
			return h.readOutcome(outcome)
		} else {
			endurance.renew()
			pauseBetweenPolls(ctx, began)
		}
		if ctx.Err() != nil {
			return Payload{}, h.notFinished(ctx)
		}
		if err != nil {
			return Payload{}, err
		}
	}
}

func pauseBetweenPolls(ctx context.Context, began time.Time) {
	if !sleep(ctx, time.Until(began.Add(pollAgain))) {
		return
	}
	if deadline, isSet := ctx.Deadline(); isSet && time.Until(deadline) < pollLeft {
		<-ctx.Done()
	}
}

// poll answers how the job ended if it does while the server holds the call, else nil.
func (h *handle) poll(ctx context.Context) (*jobstreamv1.Outcome, error) {
	links := h.client.links
	held := links.hold()
	defer links.release(held)
	limited, cancel := context.WithTimeout(ctx, h.client.settings.callTimeout+pollWait)
	defer cancel()
	comeBack(limited, held.conn)
	request := &jobstreamv1.GetResultRequest{JobId: h.id, Wait: durationpb.New(pollWait)}
	answer, err := jobstreamv1.NewJobServiceClient(held.conn).GetResult(limited, request)
	if err != nil {
		err = h.client.readError(ctx, err)
		var late *DeadlineExceeded
		if errors.As(err, &late) && ctx.Err() == nil {
			// The server answers a poll long before: nothing comes over this connection.
			links.replace(held)
		}
		return nil, err
	}
	h.seen()
	return answer.Outcome, nil
}

func (h *handle) readOutcome(outcome *jobstreamv1.Outcome) (Payload, error) {
	switch end := outcome.End.(type) {
	case *jobstreamv1.Outcome_Result:
		return readPayload(end.Result), nil
	case *jobstreamv1.Outcome_Failure:
		failure := readFailure(end.Failure)
		message := fmt.Sprintf("job %s failed in attempt %d: %s (%s)", h.id, failure.Attempt, failure.Message, failure.Reason)
		base := &Error{Code: codes.Unknown, Reason: failure.Reason, Message: message}
		return Payload{}, &JobFailed{base, h.id, failure}
	case *jobstreamv1.Outcome_Cancellation:
		how := "in good order"
		if end.Cancellation.Forced {
			how = "by force"
		}
		message := fmt.Sprintf("job %s was cancelled %s, reason %q", h.id, how, end.Cancellation.Reason)
		base := &Error{Code: codes.Canceled, Message: message}
		return Payload{}, &JobCancelled{base, h.id, end.Cancellation.Reason, end.Cancellation.Forced}
	default:
		message := fmt.Sprintf("job %s ended in a way that this client cannot read: use one as new as the server", h.id)
		return Payload{}, &Error{Code: codes.Unknown, Message: message}
	}
}

func (h *handle) notFinished(ctx context.Context) error {
	base := baseOf(contextError(ctx.Err()))
	base.Message = fmt.Sprintf("job %s has not ended: %v; the job goes on", h.id, ctx.Err())
	return &NotFinished{base}
}
