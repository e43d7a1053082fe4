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

// session is one run of a worker, across all its connections.
type session struct {
	*Worker
	hello  *jobstreamv1.Hello
	buffer *reportBuffer
	// open ends with the session. It is the parent of every connection.
	open  context.Context
	close context.CancelFunc
	// reporting ends once all reports are acknowledged: no connection is needed any more.
	reporting     context.Context
	stopReporting context.CancelFunc
	leaseTimer    *time.Timer
	// isConnected is set once the server welcomed the worker on the newest stream.
	isConnected bool
}

func newSession(w *Worker, hello *jobstreamv1.Hello) *session {
	s := &session{Worker: w, hello: hello, buffer: newReportBuffer(w.slots, w.logSettledPanic)}
	s.open, s.close = context.WithCancel(context.Background())
	s.reporting, s.stopReporting = context.WithCancel(s.open)
	s.leaseTimer = time.AfterFunc(time.Hour, s.expireLeases)
	return s
}

// run stays connected until the worker has drained. It returns the error if the server rejected the worker.
func (s *session) run() (rejection error) {
	defer s.close()
	defer s.leaseTimer.Stop()
	connected, disconnect := context.WithCancel(context.Background())
	go func() {
		defer disconnect()
		rejection = s.keepConnected()
	}()
	select {
	case <-s.draining:
		s.log(slog.LevelInfo, "jobstream worker drains")
	case <-connected.Done():
		s.drainWithin(0)
	}
	s.finish(connected)
	// Waits for the server to close the stream, so that no response is lost.
	select {
	case <-connected.Done():
	case <-time.After(streamEndTimeout):
	}
	s.close()
	<-connected.Done()
	s.abandon()
	s.logLeftOut(s.failures.reset())
	if rejection == nil {
		s.log(slog.LevelInfo, "jobstream worker drained")
	}
	return rejection
}

// keepConnected connects, and reconnects with back-off. It returns an error that a retry cannot fix, nil once no
// connection is needed.
func (s *session) keepConnected() error {
	pauses := newBackoff(reconnectPause, reconnectPauseMax)
	level := slog.LevelWarn
	fresh := newToken{hasFunc: s.client.settings.hasTokenFunc}
	wasConnected := false
	for {
		began := time.Now()
		s.isConnected = false
		err := s.connect()
		if s.reporting.Err() != nil {
			return nil
		}
		shown := s.client.readError(s.open, err)
		wasConnected = wasConnected || s.isConnected
		if s.isConnected {
			fresh.reset()
		}
		if fresh.take(shown) {
			continue
		}
		if isPermanent(shown, wasConnected) || s.client.links.closed() {
			return shown
		}
		if time.Since(began) > reconnectPauseMax {
			pauses = newBackoff(reconnectPause, reconnectPauseMax)
		}
		pause := pauses.pause(retryDelay(err))
		message := "jobstream worker cannot connect"
		if s.isConnected {
			level, message = slog.LevelWarn, "jobstream worker lost the connection"
		}
		s.log(level, message, "pause", pause, "error", shown)
		level = slog.LevelInfo // Only the first line of an outage is a warning.
		if !sleep(s.reporting, pause) {
			return nil
		}
	}
}

// finish drains the worker: it accepts no new jobs, waits for running attempts, releases the rest and waits for the
// acknowledgement of their reports.
func (s *session) finish(connected context.Context) {
	s.buffer.setSlots(0)
	s.buffer.waitIdle(s.drainExpired)
	s.releaseRunning(context.Background())
	acknowledging, cancel := context.WithTimeout(connected, acknowledgeTimeout)
	defer cancel()
	if !s.buffer.waitAcknowledged(acknowledging) {
		s.log(slog.LevelWarn, "jobstream worker ends before its last reports were acknowledged")
	}
	s.stopReporting()
	s.buffer.endStream()
}

// releaseRunning cancels the running attempts and releases them, unless the context ends before. It does not wait for
// handlers that ignore the cancellation.
func (s *session) releaseRunning(ctx context.Context) {
	s.buffer.stopAll(ErrDraining)
	stopping, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	s.buffer.waitIdle(stopping)
	if ctx.Err() == nil {
		s.buffer.releaseAll()
	}
}

// abandon ends the attempts whose final reports were not acknowledged.
func (s *session) abandon() {
	calling, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	s.buffer.abandon(calling)
}

// drainStream drains before the server shuts down: it waits for running attempts, releases the rest, and ends the
// stream. Once the stream is broken it does nothing: attempts may run for the next one.
func (s *session) drainStream(stream context.Context, within time.Duration) {
	waiting, cancel := context.WithTimeout(stream, within)
	defer cancel()
	s.buffer.waitIdle(waiting)
	if stream.Err() != nil {
		return
	}
	s.releaseRunning(stream)
	acknowledging, cancelAcknowledging := context.WithTimeout(stream, acknowledgeTimeout)
	defer cancelAcknowledging()
	s.buffer.waitAcknowledged(acknowledging)
	if stream.Err() == nil {
		s.buffer.endStream()
	}
}

// expireLeases cancels the attempts whose leases expired because no ping was answered in time. The server assigns their
// jobs to other workers.
func (s *session) expireLeases() {
	left := time.Until(s.buffer.leaseDeadline())
	if left <= 0 {
		s.buffer.stopAll(ErrLeaseLost)
		left = s.buffer.leaseDuration()
	}
	s.leaseTimer.Reset(left)
}

// start starts an attempt once its acceptance was sent. The server assigns a job that is not accepted to another
// worker.
func (s *session) start(wire *jobstreamv1.Assignment) {
	task := newTask(wire, s.buffer)
	ctx, cancel := context.WithCancelCause(context.Background())
	limited, stop := context.WithDeadline(ctx, task.Deadline)
	a := &attempt{lease: wire.LeaseId, cancel: cancel, acceptSent: make(chan struct{})}
	task.attempt = a
	if !s.buffer.begin(a) {
		stop()
		cancel(nil)
		return
	}
	report := func(end *jobstreamv1.AttemptReport) {
		end = s.buffer.limitResult(end)
		s.logFailure(task, end)
		s.buffer.handlerReturned(a, end)
	}
	go func() {
		defer cancel(nil)
		defer stop()
		select {
		case <-a.acceptSent:
			runHandler(limited, s.handlerOf(wire.Kind), task, report)
		case <-limited.Done():
			report(finalReport(limited, Payload{}, limited.Err()))
		}
	}()
}

func (s *session) handlerOf(kind string) HandlerNext {
	if handle := s.handlers[kind]; handle != nil {
		return aroundHandler(s.interceptors, handle)
	}
	return func(context.Context, *Task) (Payload, error) { return Payload{}, unknownKind(kind) }
}

// isPermanent reports whether a retry cannot fix the error. A server that the worker was connected to may get a valid
// certificate again.
func isPermanent(err error, wasConnected bool) bool {
	if isOfCertificates(err) && !wasConnected {
		return true
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unimplemented, codes.Unauthenticated, codes.PermissionDenied:
		return true
	default:
		return false
	}
}

func retryDelay(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, isRetry := detail.(*errdetails.RetryInfo); isRetry {
			return info.RetryDelay.AsDuration()
		}
	}
	return 0
}
