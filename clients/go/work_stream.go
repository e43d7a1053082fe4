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
	// welcomeTimeout is the time for the server to respond to Hello.
	welcomeTimeout = 10 * time.Second
	// missedPingsMax is the number of ping intervals without a message after which the connection is closed.
	// idleTimeoutMin is the shortest such timeout.
	missedPingsMax = 3
	idleTimeoutMin = 50 * time.Millisecond
)

type workStream = grpc.BidiStreamingClient[jobstreamv1.WorkRequest, jobstreamv1.WorkResponse]

// connect runs one Work stream. It returns why the stream ended.
func (s *session) connect() error {
	links := s.client.links
	held := links.acquire()
	defer links.release(held)
	awaitReconnect(s.open, held.conn)
	ctx, cancel := context.WithCancelCause(s.open)
	defer cancel(nil)
	idleTimer := time.AfterFunc(welcomeTimeout, func() { cancel(errIdle) })
	defer idleTimer.Stop()
	stream, err := jobstreamv1.NewWorkerServiceClient(held.conn).Work(ctx)
	if err == nil {
		err = s.runStream(ctx, stream, idleTimer)
	}
	switch {
	case context.Cause(ctx) == errIdle:
		links.replace(held)
		return status.Error(codes.Unavailable, errIdle.Error())
	case err == io.EOF:
		return status.Error(codes.Unavailable, "the server closed the stream")
	default:
		return err
	}
}

// runStream runs a stream from Hello to its end.
func (s *session) runStream(ctx context.Context, stream workStream, idleTimer *time.Timer) error {
	// After io.EOF, Recv returns the error of the stream.
	if err := stream.Send(s.buffer.beginStream(s.hello)); err != nil && err != io.EOF {
		return err
	}
	response, err := stream.Recv()
	if err != nil {
		return err
	}
	welcome := response.Welcome
	if welcome == nil {
		return errors.New("the first message of the server is not Welcome")
	}
	s.refuse(welcome.Refusals)
	s.buffer.applyWelcome(welcome)
	s.leaseTimer.Reset(welcome.Lease.AsDuration())
	s.isConnected = true
	s.log(slog.LevelInfo, "jobstream worker connected", "server", s.client.Address(), "worker_id", welcome.WorkerId)
	s.notifyConnected(welcome.WorkerId)
	writing, stopWriting := context.WithCancel(ctx)
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.write(writing, stream)
	}()
	// The writer of a stream must end before the next stream begins.
	defer func() { stopWriting(); <-written }()
	idleTimeout := max(missedPingsMax*welcome.PingInterval.AsDuration(), idleTimeoutMin)
	for err == nil {
		idleTimer.Reset(idleTimeout)
		s.process(ctx, response)
		response, err = stream.Recv()
	}
	return err
}

// write sends the buffered requests until the stream ends.
func (s *session) write(ctx context.Context, stream workStream) {
	for {
		request, isEnding := s.buffer.nextRequest()
		switch {
		case request != nil:
			if stream.Send(request) != nil {
				return // The reader gets the error.
			}
			s.buffer.markAccepted(request.AcceptedLeaseIds)
		case isEnding:
			_ = stream.CloseSend() // CloseSend never fails.
			return
		default:
			select {
			case <-s.buffer.wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

// process handles a message in the order of its fields.
func (s *session) process(ctx context.Context, response *jobstreamv1.WorkResponse) {
	for _, assignment := range response.Assignments {
		s.start(assignment)
	}
	for _, cancel := range response.Cancels {
		cause := ErrCancelled
		if cancel.Revoked {
			cause = ErrLeaseLost
		}
		s.buffer.stop(cancel.LeaseId, cause)
	}
	if response.Ack != nil {
		s.acknowledge(response.Ack)
	}
	if response.Ping != nil {
		s.buffer.requestHeartbeat()
	}
	if drain := response.Drain; drain != nil {
		if drain.ServerShutdown {
			go s.drainStream(ctx, drain.TimeLeft.AsDuration())
		} else {
			s.drainWithin(drain.TimeLeft.AsDuration())
		}
	}
}

func (s *session) acknowledge(ack *jobstreamv1.ReportAck) {
	s.refuse(ack.Refusals)
	s.buffer.acknowledge(ack.ReportSequence)
}

// refuse records that the server refused reports.
func (s *session) refuse(refusals []*jobstreamv1.ReportRefusal) {
	for _, refusal := range refusals {
		err := s.readRefusal(refusal)
		s.buffer.refuse(refusal, err)
		if err != ErrLeaseLost {
			s.log(slog.LevelWarn, "jobstream server rejected a report", "error", err)
		}
	}
}
