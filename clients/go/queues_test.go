package jobstream_test

import (
	"errors"
	"testing"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
)

func TestQueuesArePausedResumedAndPurged(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	jobs := []*jobstream.Job[any]{
		submit[any](t, client, "unserved", nil, jobstream.WithQueue("reports")),
		submit[any](t, client, "unserved", nil, jobstream.WithQueue("reports")),
	}
	paused, err := client.PauseQueue(within(t), "reports")
	if err != nil || paused.Name != "reports" || !paused.Paused {
		t.Error(paused, err)
	}
	queues, err := client.Queues(within(t))
	if err != nil || len(queues) != 1 || queues[0].Name != "reports" || !queues[0].Paused || queues[0].Waiting() != 2 {
		t.Error(queues, err)
	}
	if resumed, err := client.ResumeQueue(within(t), "reports"); err != nil || resumed.Paused {
		t.Error(resumed, err)
	}
	if purged, err := client.PurgeQueue(within(t), "reports"); purged != 2 || err != nil {
		t.Error(purged, err)
	}
	for _, job := range jobs {
		if state, err := job.State(within(t)); state != jobstream.StateCancelled || err != nil {
			t.Error(state, err)
		}
	}
	var base *jobstream.Error
	if _, err := client.ResumeQueue(within(t), "nowhere"); !errors.As(err, &base) || base.Reason != "QUEUE_NOT_FOUND" {
		t.Errorf("%T %v", err, err)
	}
}
