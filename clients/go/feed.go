package jobstream

import (
	"context"
	"iter"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// ChangeFilter selects state changes that match all of its fields. Zero fields match every change.
type ChangeFilter struct {
	// States selects changes to one of these states.
	States []State
	// Kind and Queue are those of the job.
	Kind, Queue string
	// Labels are labels that the job has, among others.
	Labels map[string]string
}

// FeedItem is an item of [Client.WatchJobs]: a [*JobChange] or a [*FeedGap].
type FeedItem interface {
	// LastCursor returns the cursor to resume after, see [WithAfterCursor].
	LastCursor() string
}

// JobChange means that a job changed its state.
type JobChange struct {
	// Cursor resumes after this change.
	Cursor string
	// JobID, Queue, Kind and Labels are those of the job.
	JobID, Queue, Kind string
	Labels             map[string]string
	// Owner is the principal that submitted the job; empty if the caller was anonymous.
	Owner string
	// Event is the change. Its failure has no details: [Job.Result] and [Client.Get] return them.
	Event *StateChange
}

// FeedGap stands for changes that the server does not retain.
type FeedGap struct {
	// Cursor resumes after the gap.
	Cursor string
	// Missed is the number of changes of all jobs, before the filter; 0 if it is not known.
	Missed uint64
}

// LastCursor returns the cursor of the change.
func (c *JobChange) LastCursor() string { return c.Cursor }

// LastCursor returns the cursor of the gap.
func (g *FeedGap) LastCursor() string { return g.Cursor }

// WithAfterCursor resumes a watch of all jobs after this cursor. Default: the changes from now on.
func WithAfterCursor(cursor string) WatchOption {
	return func(o *watchOptions) { o.afterCursor = cursor }
}

// WithOnCursor sets a callback for each new cursor of a watch of all jobs: before the first item, before each item and,
// while no change matches the filter, with each heartbeat. It must not block.
func WithOnCursor(moved func(cursor string)) WatchOption {
	return func(o *watchOptions) { o.onCursor = moved }
}

// WatchJobs iterates over the state changes of all jobs that match a filter and that the caller may list, in the order
// in which they happened, each once. A stream opens when the loop starts. After a broken or idle connection the watch
// resumes after the last cursor. Changes that the server does not retain are a [FeedGap]: after a restart of the server,
// and if the reader was too slow or away for too long. The watch ends with the context, or when the loop is left.
//
//	for item, err := range client.WatchJobs(ctx, jobstream.ChangeFilter{Queue: "reports"}) {
//		if err != nil { return err }
//		switch item := item.(type) {
//		case *jobstream.JobChange: fmt.Println(item.JobID, item.Event.State)
//		case *jobstream.FeedGap: …
//		}
//	}
//
// The options are [WithAfterCursor], [WithOnCursor] and [WithHeartbeat].
//
// An error is the last item: [InvalidRequest] if the filter or the cursor is invalid, [Unavailable] if the server was
// unavailable for the duration of [WithPatience], or an error of any call. errors.Is matches the error of the context.
func (c *Client) WatchJobs(ctx context.Context, filter ChangeFilter, options ...WatchOption) iter.Seq2[FeedItem, error] {
	chosen := newWatchOptions(options)
	return func(yield func(FeedItem, error) bool) {
		states, err := wireStates(filter.States)
		if err != nil {
			yield(nil, err)
			return
		}
		f := &feed{
			client:       c,
			watchOptions: chosen,
			request: &jobstreamv1.WatchJobsRequest{
				States: states, Kind: filter.Kind, Queue: filter.Queue, Labels: filter.Labels,
				AfterCursor: chosen.afterCursor, Heartbeat: durationpb.New(chosen.heartbeat),
			},
			reconnect: newReconnectBackoff(&c.settings),
			yield:     yield,
		}
		if err := f.follow(ctx); err != nil {
			yield(nil, err)
		}
	}
}

// feed is a watch of all jobs. It outlives its streams.
type feed struct {
	client *Client
	watchOptions
	// request is that of the next stream, with the last cursor.
	request   *jobstreamv1.WatchJobsRequest
	reconnect *reconnectBackoff
	yield     func(FeedItem, error) bool
}

// follow delivers changes until the reader leaves the loop. It returns the error that ended the watch.
func (f *feed) follow(ctx context.Context) error {
	for {
		idle := heartbeatsMissedMax * f.heartbeat
		err := readStream(ctx, f.client, f.client.settings.callTimeout, idle, f.open, f.deliver)
		if err == nil {
			return nil
		}
		if err := f.reconnect.waitRetry(ctx, err); err != nil {
			return err
		}
	}
}

func (f *feed) open(
	ctx context.Context, jobs jobstreamv1.JobServiceClient,
) (receiver[*jobstreamv1.WatchJobsResponse], error) {
	return jobs.WatchJobs(ctx, f.request)
}

func (f *feed) deliver(message *jobstreamv1.WatchJobsResponse) action {
	f.reconnect.reset()
	f.request.AfterCursor = message.Cursor
	f.onCursor(message.Cursor)
	if item := readFeedItem(message); item != nil && !f.yield(item, nil) {
		return leave
	}
	return receive
}

// readFeedItem returns nil for a heartbeat, and for a message that this client does not know.
func readFeedItem(message *jobstreamv1.WatchJobsResponse) FeedItem {
	if gap := message.GetGap(); gap != nil {
		return &FeedGap{message.Cursor, gap.Missed}
	}
	wire := message.GetChange()
	if wire.GetEvent() == nil {
		return nil
	}
	event, isKnown := readEvent(wire.Event).(*StateChange)
	if !isKnown {
		return nil
	}
	return &JobChange{message.Cursor, wire.JobId, wire.Queue, wire.Kind, wire.Labels, wire.Owner, event}
}
