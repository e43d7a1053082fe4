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
	// pollWait is the longest wait of one long poll. Many proxies close calls that are idle for a minute.
	pollWait = 30 * time.Second
	// pollAgain is the shortest time between the starts of two polls. A server with too many waiters responds early.
	pollAgain = 250 * time.Millisecond
	// pollLeft is the smallest remaining time of a context for another poll. The server responds to the poll before
	// just in time.
	pollLeft = 50 * time.Millisecond
)

// result waits for the outcome of the job with long polls.
func (h *handle) result(ctx context.Context) (Payload, error) {
	if err := h.check(); err != nil {
		return Payload{}, err
	}
	reconnect := newReconnectBackoff(&h.client.settings)
	for {
		began := time.Now()
		outcome, err := h.poll(ctx)
		if ctx.Err() != nil && outcome == nil {
			return Payload{}, h.notFinished(ctx)
		}
		if err != nil {
			err = reconnect.waitRetry(ctx, h.detectRestart(err))
		} else if outcome != nil {
			return h.readOutcome(outcome)
		} else {
			reconnect.reset()
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

// poll sends one long poll. It returns the outcome, or nil if the job has not ended.
func (h *handle) poll(ctx context.Context) (*jobstreamv1.Outcome, error) {
	links := h.client.links
	held := links.acquire()
	defer links.release(held)
	limited, cancel := context.WithTimeout(ctx, h.client.settings.callTimeout+pollWait)
	defer cancel()
	awaitReconnect(limited, held.conn)
	request := &jobstreamv1.GetResultRequest{JobId: h.id, Wait: durationpb.New(pollWait)}
	response, err := jobstreamv1.NewJobServiceClient(held.conn).GetResult(limited, request)
	if err != nil {
		err = h.client.readError(ctx, err)
		var late *DeadlineExceeded
		if errors.As(err, &late) && ctx.Err() == nil {
			// The server responds to a poll before this deadline, so the connection is broken.
			links.replace(held)
		}
		return nil, err
	}
	h.recordBoot()
	return response.Outcome, nil
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
		how := "gracefully"
		if end.Cancellation.Forced {
			how = "by force"
		}
		message := fmt.Sprintf("job %s was cancelled %s, reason %q", h.id, how, end.Cancellation.Reason)
		base := &Error{Code: codes.Canceled, Message: message}
		return Payload{}, &JobCancelled{base, h.id, end.Cancellation.Reason, end.Cancellation.Forced}
	default:
		message := fmt.Sprintf("job %s has an outcome that this client does not know: upgrade the client", h.id)
		return Payload{}, &Error{Code: codes.Unknown, Message: message}
	}
}

func (h *handle) notFinished(ctx context.Context) error {
	base := baseOf(contextError(ctx.Err()))
	base.Message = fmt.Sprintf("job %s has not ended: %v; the job continues", h.id, ctx.Err())
	return &NotFinished{base}
}
