package jobstream

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

const (
	// welcomeTimeout is what a server gets to answer the greeting.
	welcomeTimeout = 10 * time.Second
	// silentPingsMax is how many ping intervals without a word end a connection, silenceMin the shortest such silence,
	// whatever the server says of its pings.
	silentPingsMax = 3
	silenceMin     = 50 * time.Millisecond
)

type workStream = grpc.BidiStreamingClient[jobstreamv1.WorkRequest, jobstreamv1.WorkResponse]

// connect opens a stream and does as the server says until it ends; it answers why it did.
func (s *session) connect() error {
	links := s.client.links
	held := links.hold()
	defer links.release(held)
	comeBack(s.open, held.conn)
	ctx, cut := context.WithCancelCause(s.open)
	defer cut(nil)
	silence := time.AfterFunc(welcomeTimeout, func() { cut(errSilent) })
	defer silence.Stop()
	stream, err := jobstreamv1.NewWorkerServiceClient(held.conn).Work(ctx)
	if err == nil {
		err = s.converse(ctx, stream, silence)
	}
	if context.Cause(ctx) == errSilent {
		links.replace(held)
		return status.Error(codes.Unavailable, errSilent.Error())
	}
	return err
}

// converse is one connection, from the greeting to its end.
func (s *session) converse(ctx context.Context, stream workStream, silence *time.Timer) error {
	// What ended the stream is told by Recv.
	if err := stream.Send(s.ledger.greet(s.hello)); err != nil && err != io.EOF {
		return err
	}
	response, err := stream.Recv()
	if err != nil {
		return err
	}
	welcome := response.Welcome
	if welcome == nil {
		return errors.New("the server began the stream without a welcome")
	}
	s.ledger.welcomed(welcome)
	s.fence.Reset(welcome.Lease.AsDuration())
	s.tellConnected(welcome.WorkerId)
	writing, stopWriting := context.WithCancel(ctx)
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.write(writing, stream)
	}()
	// Two streams have not the same writer: it is gone before the next greeting.
	defer func() { stopWriting(); <-written }()
	silent := max(silentPingsMax*welcome.PingInterval.AsDuration(), silenceMin)
	for err == nil {
		silence.Reset(silent)
		s.obey(ctx, response)
		response, err = stream.Recv()
	}
	return err
}

// write sends what there is to tell until the stream ends.
func (s *session) write(ctx context.Context, stream workStream) {
	for {
		request, isEnding := s.ledger.next()
		switch {
		case request != nil:
			if stream.Send(request) != nil {
				return // The reader learns why.
			}
			s.ledger.accepted(request.AcceptedLeaseIds)
		case isEnding:
			_ = stream.CloseSend() // It never fails.
			return
		default:
			select {
			case <-s.ledger.wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

// obey does as the server says, in the order of the fields.
func (s *session) obey(ctx context.Context, response *jobstreamv1.WorkResponse) {
	for _, assignment := range response.Assignments {
		s.start(assignment)
	}
	for _, cancel := range response.Cancels {
		cause := ErrCancelled
		if cancel.Revoked {
			cause = ErrLeaseLost
		}
		s.ledger.stop(cancel.LeaseId, cause)
	}
	if response.Ack != nil {
		s.acknowledge(response.Ack)
	}
	if response.Ping != nil {
		s.ledger.beat()
	}
	if drain := response.Drain; drain != nil {
		if drain.ServerShutdown {
			go s.leave(ctx, drain.TimeLeft.AsDuration())
		} else {
			s.drainWithin(drain.TimeLeft.AsDuration())
		}
	}
}

func (s *session) acknowledge(ack *jobstreamv1.ReportAck) {
	for _, refusal := range ack.Refusals {
		if codes.Code(refusal.Error.GetCode()) == codes.FailedPrecondition {
			s.ledger.stop(refusal.LeaseId, ErrLeaseLost)
			continue
		}
		s.log(slog.LevelWarn, "jobstream server refused a report", "worker", s.name, "error", refusal.Error.GetMessage())
	}
	s.ledger.acknowledge(ack.ReportSequence)
}
