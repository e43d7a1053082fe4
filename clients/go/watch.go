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
	// heartbeatsMissedMax is how many silent heartbeats end a stream.
	heartbeatsMissedMax = 3
	// closeTimeout is how long a stream may take to end after the event that ends the job.
	closeTimeout = time.Second
)

// errSilent is the cause with which a stream is cut that nothing came over.
var errSilent = errors.New("the stream fell silent")

// watchOptions are where a watch begins and how soon it notices silence.
type watchOptions struct {
	after     uint32
	heartbeat time.Duration
}

// WatchOption changes a watch.
type WatchOption func(*watchOptions)

// WithAfterSequence begins after the event of this number, see [Event.LastSequence]. Default 0: from the start.
func WithAfterSequence(sequence uint32) WatchOption {
	return func(o *watchOptions) { o.after = sequence }
}

// WithHeartbeat has the server say that it is there after each silence of this length, 1 s to 1 h. A stream that is
// silent for three of them is given up and opened anew, on another connection. Default 15 s.
func WithHeartbeat(heartbeat time.Duration) WatchOption {
	return func(o *watchOptions) { o.heartbeat = heartbeat }
}

func (h *handle) watch(ctx context.Context, options []WatchOption) iter.Seq2[Event, error] {
	chosen := watchOptions{heartbeat: defaultHeartbeat}
	for _, option := range options {
		option(&chosen)
	}
	return func(yield func(Event, error) bool) {
		f := &follower{
			handle: h, watchOptions: chosen, endurance: newEndurance(&h.client.settings), yield: yield,
		}
		if err := f.follow(ctx); err != nil {
			yield(nil, err)
		}
	}
}

// follower is a watch that survives its streams.
type follower struct {
	*handle
	// watchOptions.after is the last sequence that was told.
	watchOptions
	endurance *endurance
	yield     func(Event, error) bool
	// isEnded is set after the event that ends the job, isLeft when the reader left the loop.
	isEnded, isLeft bool
	// outcome is how the job ended, once isEnded is set.
	outcome *jobstreamv1.Outcome
	// types are the events to ask for; nil is all.
	types []jobstreamv1.EventType
	// openBy is until when a stream may take to open beside the call timeout, if it is set.
	openBy time.Time
}

// news is a message of the stream of a watch or a run.
type news struct {
	event *jobstreamv1.JobEvent
	gap   *jobstreamv1.Gap
}

// opener begins a stream and answers what receives its messages.
type opener func(ctx context.Context, jobs jobstreamv1.JobServiceClient) (receiver, error)

// receiver waits for the next message, or for the header of the stream.
type receiver interface {
	Header() (metadata.MD, error)
	next() (news, error)
}

type watchStream struct {
	grpc.ServerStreamingClient[jobstreamv1.WatchResultResponse]
}

func (s watchStream) next() (news, error) {
	message, err := s.Recv()
	return news{message.GetEvent(), message.GetGap()}, err
}

// resume opens a watch after what was seen.
func (f *follower) resume(ctx context.Context, jobs jobstreamv1.JobServiceClient) (receiver, error) {
	stream, err := jobs.WatchResult(ctx, &jobstreamv1.WatchResultRequest{
		JobId: f.id, AfterSequence: f.after, Types: f.types, Heartbeat: durationpb.New(f.heartbeat),
	})
	return watchStream{stream}, err
}

// follow answers why there is no more to tell, nil after the end of the job.
func (f *follower) follow(ctx context.Context) error {
	for {
		err := f.stream(ctx, f.resume)
		if f.isEnded || f.isLeft {
			return nil
		}
		if err := f.bear(ctx, err); err != nil {
			return err
		}
	}
}

// bear pauses before the next stream; it answers why there is to be none.
func (f *follower) bear(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		err = f.endurance.bear(ctx, f.explain(err))
	}
	if ctx.Err() != nil {
		return f.notFinished(ctx)
	}
	return err
}

// stream follows the job over one stream, and answers why that ended.
func (f *follower) stream(ctx context.Context, open opener) error {
	links := f.client.links
	held := links.hold()
	defer links.release(held)
	comeBack(ctx, held.conn)
	cuttable, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	// The timer runs while the server is awaited, not while the reader is busy.
	opening := f.client.settings.callTimeout
	if !f.openBy.IsZero() {
		opening = min(opening, time.Until(f.openBy))
	}
	silence := time.AfterFunc(opening, func() { cut(errSilent) })
	defer silence.Stop()

	stream, err := open(cuttable, jobstreamv1.NewJobServiceClient(held.conn))
	if err == nil {
		_, err = stream.Header()
	}
	for err == nil && !f.isEnded && !f.isLeft {
		var message news
		silence.Reset(heartbeatsMissedMax * f.heartbeat)
		if message, err = stream.next(); err == nil {
			silence.Stop()
			f.seen()
			f.endurance.renew()
			f.tell(message)
		}
	}
	switch {
	case f.isLeft:
		return nil
	case f.isEnded:
		finish(stream, silence)
		return nil
	case context.Cause(cuttable) == errSilent:
		links.replace(held)
		return unreachable(f.client.Address(), errSilent.Error())
	case err == io.EOF:
		// The server ends a stream well only after the event that ends the job: something between us did it.
		return unreachable(f.client.Address(), "the stream ended before the job")
	default:
		return f.client.readError(ctx, err)
	}
}

// tell passes on what was not told before.
func (f *follower) tell(message news) {
	if wire := message.event; wire != nil && wire.Sequence > f.after {
		f.after = wire.Sequence
		event := readEvent(wire)
		change, isChange := event.(*StateChange)
		f.isEnded = isChange && change.State.IsFinal()
		if f.isEnded {
			f.outcome = wire.GetStateChange().GetOutcome()
		}
		f.isLeft = event != nil && !f.yield(event, nil)
	}
	if wire := message.gap; wire != nil && wire.To > f.after {
		gap := &Gap{From: max(wire.From, f.after+1), To: wire.To}
		f.after = gap.To
		f.isLeft = !f.yield(gap, nil)
	}
}

// finish lets the stream end by itself: cutting it would reset it. Whatever comes, the job's end is known.
func finish(stream receiver, silence *time.Timer) {
	silence.Reset(closeTimeout)
	_, _ = stream.next()
}
