package jobstream

import (
	"context"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

const (
	defaultHeartbeat = 15 * time.Second
	// heartbeatsMissedMax is the number of missed heartbeats after which a stream is closed.
	heartbeatsMissedMax = 3
)

// watchOptions are the start of a watch and its heartbeat interval.
type watchOptions struct {
	after     uint32
	heartbeat time.Duration
	// afterCursor and onCursor are of a watch of all jobs.
	afterCursor string
	onCursor    func(cursor string)
}

func newWatchOptions(options []WatchOption) watchOptions {
	chosen := watchOptions{heartbeat: defaultHeartbeat, onCursor: func(string) {}}
	for _, option := range options {
		option(&chosen)
	}
	return chosen
}

// WatchOption is an option of [Job.Watch] or [Client.WatchJobs].
type WatchOption func(*watchOptions)

// WithAfterSequence starts a watch of one job after the event with this sequence, see [Event.LastSequence]. Default 0:
// from the start.
func WithAfterSequence(sequence uint32) WatchOption {
	return func(o *watchOptions) { o.after = sequence }
}

// WithHeartbeat sets the heartbeat interval of the server, 1 s to 1 h. After three missed heartbeats the watch resumes
// on another connection. Default 15 s.
func WithHeartbeat(heartbeat time.Duration) WatchOption {
	return func(o *watchOptions) { o.heartbeat = heartbeat }
}

func (h *handle) watch(ctx context.Context, options []WatchOption) iter.Seq2[Event, error] {
	chosen := newWatchOptions(options)
	return func(yield func(Event, error) bool) {
		if err := h.check(); err != nil {
			yield(nil, err)
			return
		}
		w := &watcher{
			handle: h, watchOptions: chosen, reconnect: newReconnectBackoff(&h.client.settings), yield: yield,
		}
		if err := w.follow(ctx); err != nil {
			yield(nil, err)
		}
	}
}

// watcher is a watch. It outlives its streams.
type watcher struct {
	*handle
	// watchOptions.after is the last sequence that was delivered.
	watchOptions
	reconnect *reconnectBackoff
	yield     func(Event, error) bool
	// isEnded is set after the final event of the job, isStopped when the reader left the loop.
	isEnded, isStopped bool
	// outcome is the outcome of the job, once isEnded is set.
	outcome *jobstreamv1.Outcome
	// types are the event types to request; nil for all.
	types []jobstreamv1.EventType
	// openDeadline limits the opening of a stream in addition to the call timeout, if it is set.
	openDeadline time.Time
}

// watchMessage is a message of a watch stream or a run stream.
type watchMessage struct {
	event *jobstreamv1.JobEvent
	gap   *jobstreamv1.Gap
}

type watchStream struct {
	grpc.ServerStreamingClient[jobstreamv1.WatchResultResponse]
}

func (s watchStream) Recv() (watchMessage, error) {
	message, err := s.ServerStreamingClient.Recv()
	return watchMessage{message.GetEvent(), message.GetGap()}, err
}

// resume opens a watch stream after the last delivered sequence.
func (w *watcher) resume(ctx context.Context, jobs jobstreamv1.JobServiceClient) (receiver[watchMessage], error) {
	stream, err := jobs.WatchResult(ctx, &jobstreamv1.WatchResultRequest{
		JobId: w.id, AfterSequence: w.after, Types: w.types, Heartbeat: durationpb.New(w.heartbeat),
	})
	return watchStream{stream}, err
}

// follow delivers events until the job ends. It returns the error that ended the watch, nil after the final event or if
// the reader left.
func (w *watcher) follow(ctx context.Context) error {
	for {
		err := w.stream(ctx, w.resume)
		if w.isEnded || w.isStopped {
			return nil
		}
		if err := w.waitRetry(ctx, err); err != nil {
			return err
		}
	}
}

// waitRetry sleeps before the next stream. It returns an error if there must be none.
func (w *watcher) waitRetry(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		err = w.reconnect.waitRetry(ctx, w.detectRestart(err))
	}
	if ctx.Err() != nil {
		return w.notFinished(ctx)
	}
	return err
}

// stream delivers the events of one stream. It returns why the stream ended.
func (w *watcher) stream(ctx context.Context, open opener[watchMessage]) error {
	opening := w.client.settings.callTimeout
	if !w.openDeadline.IsZero() {
		opening = min(opening, time.Until(w.openDeadline))
	}
	return readStream(ctx, w.client, opening, heartbeatsMissedMax*w.heartbeat, open, func(message watchMessage) action {
		w.recordBoot()
		w.reconnect.reset()
		w.deliver(message)
		switch {
		case w.isStopped:
			return leave
		case w.isEnded:
			return finish
		default:
			return receive
		}
	})
}

// deliver passes an event or a gap to the reader, unless it was delivered before.
func (w *watcher) deliver(message watchMessage) {
	if wire := message.event; wire != nil && wire.Sequence > w.after {
		w.after = wire.Sequence
		event := readEvent(wire)
		change, isChange := event.(*StateChange)
		w.isEnded = isChange && change.State.IsFinal()
		if w.isEnded {
			w.outcome = wire.GetStateChange().GetOutcome()
		}
		w.isStopped = event != nil && !w.yield(event, nil)
	}
	if wire := message.gap; wire != nil && wire.Last > w.after {
		gap := &Gap{First: max(wire.First, w.after+1), Last: wire.Last}
		w.after = gap.Last
		w.isStopped = !w.yield(gap, nil)
	}
}
