package jobstream

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// closeTimeout is the longest time for a stream to close after its last message.
const closeTimeout = time.Second

// errIdle is the cause of the cancellation of an idle stream.
var errIdle = errors.New("the stream timed out")

// opener opens a stream.
type opener[Message any] func(ctx context.Context, jobs jobstreamv1.JobServiceClient) (receiver[Message], error)

// receiver receives the messages of a stream.
type receiver[Message any] interface {
	Header() (metadata.MD, error)
	Recv() (Message, error)
}

// action is what happens after a message of a stream.
type action int

const (
	// receive waits for the next message.
	receive action = iota
	// leave cancels the stream: the reader left.
	leave
	// finish waits for the server to close the stream, because a cancel would reset it.
	finish
)

// readStream opens a stream on a pooled connection and delivers its messages. opening limits the opening, idle the time
// between messages; a connection on which a stream timed out is replaced. It returns why the stream ended, nil after
// leave or finish.
func readStream[Message any](
	ctx context.Context, client *Client, opening, idle time.Duration, open opener[Message], deliver func(Message) action,
) error {
	held := client.links.acquire()
	defer client.links.release(held)
	awaitReconnect(ctx, held.conn)
	streamContext, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The timer runs only while the stream waits for the server, not while the reader is busy.
	idleTimer := time.AfterFunc(opening, func() { cancel(errIdle) })
	defer idleTimer.Stop()

	stream, err := open(streamContext, jobstreamv1.NewJobServiceClient(held.conn))
	if err == nil {
		_, err = stream.Header()
	}
	for err == nil {
		var message Message
		idleTimer.Reset(idle)
		if message, err = stream.Recv(); err != nil {
			break
		}
		idleTimer.Stop()
		switch deliver(message) {
		case leave:
			return nil
		case finish:
			idleTimer.Reset(closeTimeout)
			_, _ = stream.Recv() // Errors are ignored: the outcome is known.
			return nil
		}
	}
	switch {
	case context.Cause(streamContext) == errIdle:
		client.links.replace(held)
		return unreachable(client.Address(), errIdle.Error())
	case err == io.EOF:
		// The server closes a stream without an error only after the last message. A proxy closed this one.
		return unreachable(client.Address(), "the stream ended early")
	default:
		return client.readError(ctx, err)
	}
}
