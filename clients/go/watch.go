package jobstream

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

const (
	defaultHeartbeat = 15 * time.Second
	// heartbeatsMissedMax is the number of missed heartbeats after which a stream is closed.
	heartbeatsMissedMax = 3
	// closeTimeout is the longest time for a stream to close after the final event.
	closeTimeout = time.Second
)

// errIdle is the cause of the cancellation of an idle stream.
var errIdle = errors.New("the stream timed out")

// watchOptions are the start of a watch and its heartbeat interval.
type watchOptions struct {
	after     uint32
	heartbeat time.Duration
}

// WatchOption is an option of [Job.Watch].
type WatchOption func(*watchOptions)

// WithAfterSequence starts the watch after the event with this sequence, see [Event.LastSequence]. Default 0: from the
// start.
func WithAfterSequence(sequence uint32) WatchOption {
	return func(o *watchOptions) { o.after = sequence }
}

// WithHeartbeat sets the heartbeat interval of the server, 1 s to 1 h. After three missed heartbeats the watch resumes
// on another connection. Default 15 s.
func WithHeartbeat(heartbeat time.Duration) WatchOption {
	return func(o *watchOptions) { o.heartbeat = heartbeat }
}

func (h *handle) watch(ctx context.Context, options []WatchOption) iter.Seq2[Event, error] {
	chosen := watchOptions{heartbeat: defaultHeartbeat}
	for _, option := range options {
		option(&chosen)
	}
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

// opener opens a stream.
type opener func(ctx context.Context, jobs jobstreamv1.JobServiceClient) (receiver, error)

// receiver receives the messages of a stream.
type receiver interface {
	Header() (metadata.MD, error)
	next() (watchMessage, error)
}

type watchStream struct {
	grpc.ServerStreamingClient[jobstreamv1.WatchResultResponse]
}

func (s watchStream) next() (watchMessage, error) {
	message, err := s.Recv()
	return watchMessage{message.GetEvent(), message.GetGap()}, err
}

// resume opens a watch stream after the last delivered sequence.
func (w *watcher) resume(ctx context.Context, jobs jobstreamv1.JobServiceClient) (receiver, error) {
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
func (w *watcher) stream(ctx context.Context, open opener) error {
	links := w.client.links
	held := links.acquire()
	defer links.release(held)
	awaitReconnect(ctx, held.conn)
	streamContext, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The timer runs only while the watch waits for the server, not while the reader is busy.
	opening := w.client.settings.callTimeout
	if !w.openDeadline.IsZero() {
		opening = min(opening, time.Until(w.openDeadline))
	}
	idleTimer := time.AfterFunc(opening, func() { cancel(errIdle) })
	defer idleTimer.Stop()

	stream, err := open(streamContext, jobstreamv1.NewJobServiceClient(held.conn))
	if err == nil {
		_, err = stream.Header()
	}
	for err == nil && !w.isEnded && !w.isStopped {
		var message watchMessage
		idleTimer.Reset(heartbeatsMissedMax * w.heartbeat)
		if message, err = stream.next(); err == nil {
			idleTimer.Stop()
			w.recordBoot()
			w.reconnect.reset()
			w.deliver(message)
		}
	}
	switch {
	case w.isStopped:
		return nil
	case w.isEnded:
		finish(stream, idleTimer)
		return nil
	case context.Cause(streamContext) == errIdle:
		links.replace(held)
		return unreachable(w.client.Address(), errIdle.Error())
	case err == io.EOF:
		// The server closes a stream without an error only after the final event. A proxy closed this one.
		return unreachable(w.client.Address(), "the stream ended before the job ended")
	default:
		return w.client.readError(ctx, err)
	}
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

// finish waits for the server to close the stream, because a cancel would reset it. Errors are ignored: the outcome is
// known.
func finish(stream receiver, idleTimer *time.Timer) {
	idleTimer.Reset(closeTimeout)
	_, _ = stream.next()
}
