package main

import (
	"context"
	"errors"

	"github.com/jobstream/jobstream/clients/go"
)

func (a *agent) feed(ctx context.Context, c *command) error {
	resume := jobstream.WithAfterCursor(c.AfterCursor)
	for item, err := range a.currentClient().WatchJobs(ctx, c.changeFilter(), resume) {
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return err
		}
		shown, err := showFeedItem(item)
		if err != nil {
			return err
		}
		a.event(c, shown)
	}
	return nil
}

func showFeedItem(item jobstream.FeedItem) (map[string]any, error) {
	switch item := item.(type) {
	case *jobstream.JobChange:
		event, err := showEvent(item.Event)
		labels := item.Labels
		if labels == nil {
			labels = map[string]string{}
		}
		return map[string]any{
			"type": "change", "job_id": item.JobID, "kind": item.Kind, "queue": item.Queue, "labels": labels,
			"event": event, "cursor": item.LastCursor(),
		}, err
	case *jobstream.FeedGap:
		return map[string]any{"type": "gap", "missed": item.Missed, "cursor": item.LastCursor()}, nil
	default:
		return nil, errors.New("unknown item type")
	}
}
