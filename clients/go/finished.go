package jobstream

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// Retry submits a finished job again as a new job with a new id, and returns its handle. The finished job does not
// change. Out is the type of the result.
//
// The new id is generated before the first attempt of the call, so a retried call never creates a second job.
//
// The error is [IllegalState] if the job has not ended, [JobNotFound], [ResultExpired], or one of [Submit].
func Retry[Out any](ctx context.Context, client *Client, id string) (*Job[Out], error) {
	handle, err := client.retry(ctx, id)
	if err != nil {
		return nil, err
	}
	return &Job[Out]{handle}, nil
}

func (c *Client) retry(ctx context.Context, id string) (*handle, error) {
	if err := checkJobID("job_id", id); err != nil {
		return nil, err
	}
	newID, err := newJobID()
	if err != nil {
		return nil, err
	}
	c.boots.lookUp()
	response, err := call(ctx, c, &jobstreamv1.RetryRequest{JobId: id, NewJobId: newID}, c.jobs.Retry)
	if err != nil {
		return nil, err
	}
	return c.accepted(newID, readWaitReason(response.WaitReason)), nil
}

// Delete removes a finished job and its result. It also succeeds if the response of a first try was lost and the next
// try finds no job.
//
// The error is [IllegalState] if the job has not ended, [InvalidRequest] if the id is not a UUID, [JobNotFound],
// [ResultExpired], or an error of any call.
func (c *Client) Delete(ctx context.Context, id string) error {
	if err := checkJobID("job_id", id); err != nil {
		return err
	}
	isResponseLost := false
	remove := func(
		ctx context.Context, request *jobstreamv1.DeleteRequest, options ...grpc.CallOption,
	) (*jobstreamv1.DeleteResponse, error) {
		response, err := c.jobs.Delete(ctx, request, options...)
		if isResponseLost && status.Code(err) == codes.NotFound {
			return &jobstreamv1.DeleteResponse{}, nil
		}
		isResponseLost = isResponseLost || !isFromServer(err) && !isUnsent(err)
		return response, err
	}
	_, err := call(ctx, c, &jobstreamv1.DeleteRequest{JobId: id}, remove)
	return err
}
