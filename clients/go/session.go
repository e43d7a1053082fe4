package jobstream

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// session is a worker at work, through all its connections.
type session struct {
	*Worker
	hello  *jobstreamv1.Hello
	ledger *ledger
	// open ends with the session; every connection is under it.
	open  context.Context
	close context.CancelFunc
	// needed ends once nothing is left to tell.
	needed context.Context
	done   context.CancelFunc
	fence  *time.Timer
}

func newSession(w *Worker, hello *jobstreamv1.Hello) *session {
	s := &session{Worker: w, hello: hello, ledger: newLedger(w.slots)}
	s.open, s.close = context.WithCancel(context.Background())
	s.needed, s.done = context.WithCancel(s.open)
	s.fence = time.AfterFunc(time.Hour, s.keepFenced)
	return s
}

// run keeps connected until the worker is told to end, and answers why the server refused it.
func (s *session) run() (refusal error) {
	defer s.close()
	defer s.fence.Stop()
	connected, disconnect := context.WithCancel(context.Background())
	go func() {
		defer disconnect()
		refusal = s.keepConnected()
	}()
	select {
	case <-s.told:
	case <-connected.Done():
		s.drainWithin(0)
	}
	s.finish(connected)
	// The server ends the stream in turn, so that it is not cut with an answer on its way.
	select {
	case <-connected.Done():
	case <-time.After(streamEndTimeout):
	}
	s.close()
	<-connected.Done()
	return refusal
}

// keepConnected connects, and again whenever the connection broke. It answers why no further try could help, nil if none
// is needed.
func (s *session) keepConnected() error {
	pauses := newBackoff(reconnectPause, reconnectPauseMax)
	for {
		began := time.Now()
		err := s.connect()
		if s.needed.Err() != nil {
			return nil
		}
		if cannotMend(err) || s.client.links.closed() {
			return s.client.readError(s.open, err)
		}
		if time.Since(began) > reconnectPauseMax {
			pauses = newBackoff(reconnectPause, reconnectPauseMax)
		}
		pause := pauses.pause(askedPause(err))
		s.log(slog.LevelInfo, "jobstream worker connects again", "worker", s.name, "pause", pause, "error", err)
		if !sleep(s.needed, pause) {
			return nil
		}
	}
}

// finish takes nothing more, lets what runs finish in its time, gives back the rest and waits until the server knows.
func (s *session) finish(connected context.Context) {
	s.ledger.setSlots(0)
	s.ledger.idle(s.overdue)
	s.giveBack()
	settling, cancel := context.WithTimeout(connected, settleTimeout)
	defer cancel()
	if !s.ledger.settled(settling) {
		s.log(slog.LevelWarn, "jobstream worker ends before its last reports were acknowledged", "worker", s.name)
	}
	s.done()
	s.ledger.endStream()
}

// giveBack ends what still runs. Handlers that do not heed it are left behind.
func (s *session) giveBack() {
	s.ledger.stopAll(ErrDraining)
	letting, cancel := context.WithTimeout(context.Background(), letGoTimeout)
	defer cancel()
	s.ledger.idle(letting)
	s.ledger.giveBack()
}

// leave makes ready for a server that shuts down within this time, and ends the stream.
func (s *session) leave(stream context.Context, within time.Duration) {
	waiting, cancel := context.WithTimeout(stream, within)
	defer cancel()
	s.ledger.idle(waiting)
	if stream.Err() != nil {
		return // It broke, and what runs goes on.
	}
	s.giveBack()
	settling, cancelSettling := context.WithTimeout(stream, settleTimeout)
	defer cancelSettling()
	s.ledger.settled(settling)
	if stream.Err() == nil {
		s.ledger.endStream()
	}
}

// keepFenced ends attempts whose leases have run out because no ping was answered in time: the server gives their jobs to
// others.
func (s *session) keepFenced() {
	left := time.Until(s.ledger.fence())
	if left <= 0 {
		s.ledger.stopAll(ErrLeaseLost)
		left = s.ledger.leaseTime()
	}
	s.fence.Reset(left)
}

// start begins an attempt, once the server was told so: an assignment that nobody accepts is given to others.
func (s *session) start(wire *jobstreamv1.Assignment) {
	task := newTask(wire, s.ledger)
	ctx, cancel := context.WithCancelCause(context.Background())
	limited, stop := context.WithDeadline(ctx, task.Deadline)
	a := &attempt{lease: wire.LeaseId, cancel: cancel, begun: make(chan struct{})}
	s.ledger.begin(a)
	tell := func(end *jobstreamv1.AttemptReport) { s.ledger.end(a, end) }
	go func() {
		defer cancel(nil)
		defer stop()
		select {
		case <-a.begun:
			runHandler(limited, s.handlerOf(wire.Kind), task, tell)
		case <-limited.Done():
			tell(endOf(limited, Payload{}, limited.Err()))
		}
	}()
}

func (s *session) handlerOf(kind string) handlerFunc {
	if handle := s.handlers[kind]; handle != nil {
		return handle
	}
	return func(context.Context, *Task) (Payload, error) { return Payload{}, unknownKind(kind) }
}

// cannotMend tells whether the server would say the same again.
func cannotMend(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unimplemented, codes.Unauthenticated, codes.PermissionDenied:
		return true
	default:
		return false
	}
}

func askedPause(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, isRetry := detail.(*errdetails.RetryInfo); isRetry {
			return info.RetryDelay.AsDuration()
		}
	}
	return 0
}
