package jobstream

import (
	"context"
	"time"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// pageQueues is the number of queues to request in one call, the limit of the server.
const pageQueues = 1_000

// Queue is the state of a queue.
type Queue struct {
	// Name is the name of the queue.
	Name string
	// Paused is true if no attempts of its jobs are started.
	Paused bool
	// Scheduled, Queued and Running are the numbers of its jobs in these states; the others of retained finished jobs.
	Scheduled, Queued, Running, Succeeded, Failed, Cancelled int
	// OldestQueuedAge is how long the oldest QUEUED job has been QUEUED; 0 if there is none.
	OldestQueuedAge time.Duration
	// AcceptedPerSecond and FinishedPerSecond are the jobs per second over the last minute.
	AcceptedPerSecond, FinishedPerSecond float64
	// UnservedKinds are the kinds with queued jobs that no worker serves.
	UnservedKinds []string
}

// Waiting returns the number of jobs that wait: SCHEDULED and QUEUED.
func (q *Queue) Waiting() int { return q.Scheduled + q.Queued }

// Queues returns every queue that holds jobs or is paused, ordered by name.
//
// The error is an error of any call.
func (c *Client) Queues(ctx context.Context) ([]*Queue, error) {
	var queues []*Queue
	request := &jobstreamv1.ListQueuesRequest{PageSize: pageQueues}
	for {
		page, err := call(ctx, c, request, c.admin.ListQueues)
		if err != nil {
			return nil, err
		}
		for _, queue := range page.Queues {
			queues = append(queues, readQueue(queue))
		}
		if page.NextPageToken == "" {
			return queues, nil
		}
		request.PageToken = page.NextPageToken
	}
}

// PauseQueue starts no further attempts of the jobs of a queue. Running attempts continue, and jobs are still accepted.
//
// The error is [InvalidRequest] if the name is invalid, or an error of any call.
func (c *Client) PauseQueue(ctx context.Context, name string) (*Queue, error) {
	response, err := call(ctx, c, &jobstreamv1.PauseQueueRequest{Queue: name}, c.admin.PauseQueue)
	if err != nil {
		return nil, err
	}
	return readQueue(response.Queue), nil
}

// ResumeQueue starts attempts of the jobs of a paused queue again.
//
// The error is an [Error] with the reason QUEUE_NOT_FOUND if there is no such queue, or an error of any call.
func (c *Client) ResumeQueue(ctx context.Context, name string) (*Queue, error) {
	response, err := call(ctx, c, &jobstreamv1.ResumeQueueRequest{Queue: name}, c.admin.ResumeQueue)
	if err != nil {
		return nil, err
	}
	return readQueue(response.Queue), nil
}

// PurgeQueue cancels every waiting job of a queue and returns their number. Running jobs continue. The call is not
// retried, because a second one would cancel jobs that were submitted after the first.
//
// The error is an [Error] with the reason QUEUE_NOT_FOUND if there is no such queue, or an error of any call.
func (c *Client) PurgeQueue(ctx context.Context, name string) (int, error) {
	response, err := callOnce(ctx, c, &jobstreamv1.PurgeQueueRequest{Queue: name}, c.admin.PurgeQueue)
	if err != nil {
		return 0, err
	}
	return int(response.Purged), nil
}

func readQueue(wire *jobstreamv1.Queue) *Queue {
	counts := wire.GetCounts()
	return &Queue{
		Name:              wire.GetQueue(),
		Paused:            wire.GetPaused(),
		Scheduled:         int(counts.GetScheduled()),
		Queued:            int(counts.GetQueued()),
		Running:           int(counts.GetRunning()),
		Succeeded:         int(counts.GetSucceeded()),
		Failed:            int(counts.GetFailed()),
		Cancelled:         int(counts.GetCancelled()),
		OldestQueuedAge:   wire.GetOldestQueuedAge().AsDuration(),
		AcceptedPerSecond: wire.GetAcceptedPerSecond(),
		FinishedPerSecond: wire.GetFinishedPerSecond(),
		UnservedKinds:     wire.GetUnservedKinds(),
	}
}
