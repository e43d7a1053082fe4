package jobstream_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jobstream/jobstream/clients/go"
	"github.com/jobstream/jobstream/clients/go/jobstreamtest"
)

func TestWatchDeliversOutputAndLogsOnceInOrder(t *testing.T) {
	client := jobstreamtest.Server(t).Client()
	worker := jobstream.NewWorker(client, "test")
	jobstream.Handle(worker, "report", func(_ context.Context, task *jobstream.Task, lines int) (any, error) {
		for i := range lines {
			task.Progress(float64(i)/float64(lines), "")
			if err := task.Output(jobstream.Text(fmt.Sprint("chunk ", i)), ""); err != nil {
				return nil, err
			}
			task.Log(fmt.Sprint("line ", i), jobstream.LevelInfo)
		}
		return nil, nil
	})
	const lines = 1000
	job := submit[any](t, client, "report", lines)
	begin(t, worker)
	var chunks, logs int
	var last uint32 // Replaced progress leaves no gap.
	for event, err := range job.Watch(within(t)) {
		if err != nil {
			t.Fatal(err)
		}
		if event.LastSequence() <= last {
			t.Fatalf("%d came after %d", event.LastSequence(), last)
		}
		last = event.LastSequence()
		switch event := event.(type) {
		case *jobstream.Output:
			if event.Payload.Text() != fmt.Sprint("chunk ", chunks) {
				t.Fatalf("%s instead of chunk %d", event.Payload, chunks)
			}
			chunks++
		case *jobstream.Log:
			if event.Text != fmt.Sprint("line ", logs) {
				t.Fatalf("%s instead of line %d", event.Text, logs)
			}
			logs++
		case *jobstream.Gap:
			t.Fatalf("%+v", event)
		}
	}
	if chunks != lines || logs != lines {
		t.Error(chunks, logs)
	}
}
