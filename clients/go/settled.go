package jobstream

import (
	"context"
	"log/slog"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// OnSettled sets a callback for the end of the attempt. It is called once, after the handler and its interceptors have
// returned, as soon as it is known whether the server has the final report of the attempt (the result, failure or
// release). Use it for what must wait for the server: to delete a temporary file, or to commit an offset.
//
//	task.OnSettled(func(err error) {
//		if err == nil {
//			_ = os.Remove(upload)
//		}
//	})
//
// The error is nil once the server has acknowledged the report; with a data directory it is then durable. It is
// [ErrLeaseLost] if the lease was lost, also because a drain released the job before the handler returned: the server does
// not use what it returned, and the job runs elsewhere or has ended. It is an [Unavailable] if the worker ended before
// the acknowledgement arrived, or connected again after a restart of the server: the server may or may not have the report.
//
// Callbacks are called in the order of their registration. They must not block; the panic of one is logged. After the
// handler has returned, OnSettled does nothing.
func (t *Task) OnSettled(settled func(err error)) { t.reporter.onSettled(t.attempt, settled) }

// settlement is the part of an attempt that its OnSettled callbacks need. They are called when the attempt is settled
// and its handler has returned.
type settlement struct {
	callbacks   []func(error)
	hasReturned bool
	isSettled   bool
	// err is the error for the callbacks. It is set early if the server refused the attempt or its final report.
	err error
}

func (b *reportBuffer) onSettled(a *attempt, settled func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !a.hasReturned {
		a.callbacks = append(a.callbacks, settled)
	}
}

// handlerReturned records the final report of an attempt whose handler returned.
func (b *reportBuffer) handlerReturned(a *attempt, end *jobstreamv1.AttemptReport) {
	b.mu.Lock()
	defer b.unlock()
	a.hasReturned = true
	b.queueCallbacks(a)
	b.end(a, end)
}

// refuse records that the server refused a report. A lost lease ends the attempt.
func (b *reportBuffer) refuse(refusal *jobstreamv1.ReportRefusal, err error) {
	if err == ErrLeaseLost {
		b.stop(refusal.LeaseId, ErrLeaseLost)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	index := refusal.ReportSequence - b.first // Wraps around for a report that was acknowledged.
	if index < uint64(len(b.reports)) {
		if ended := b.reports[index].ended; ended != nil {
			ended.err = err
		}
	}
}

// abandon settles the attempts without an acknowledged final report when the worker ends. It waits for callbacks
// that are being called.
func (b *reportBuffer) abandon(ctx context.Context) {
	b.mu.Lock()
	err := endUnknown()
	for _, e := range b.reports {
		b.settle(e.ended, err)
	}
	for _, a := range b.attempts {
		b.settle(a, err)
	}
	b.unlock()
	b.await(ctx, func() bool { return b.calling == 0 })
}

// The caller of the following methods holds the lock.

// settle settles an attempt, with the error of a refusal if there was one. The attempt is nil for a report that is not
// final.
func (b *reportBuffer) settle(a *attempt, err error) {
	if a == nil || a.isSettled {
		return
	}
	a.isSettled = true
	if a.err == nil {
		a.err = err
	}
	b.queueCallbacks(a)
}

// queueCallbacks queues the callbacks of an attempt for unlock once they are due.
func (b *reportBuffer) queueCallbacks(a *attempt) {
	if a.isSettled && a.hasReturned && len(a.callbacks) > 0 {
		b.due = append(b.due, a)
		b.calling++
	}
}

// unlock releases the lock and calls the queued callbacks.
func (b *reportBuffer) unlock() {
	due := b.due
	b.due = nil
	b.mu.Unlock()
	if len(due) == 0 {
		return
	}
	for _, a := range due {
		callSettled(a.callbacks, a.err, b.logPanic)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calling -= len(due)
	b.notify()
}

// endUnknown is the error of an attempt whose final report was not acknowledged.
func endUnknown() error {
	return &Unavailable{&Error{Code: codes.Unavailable, Message: "the server did not acknowledge the end of the attempt: " +
		"it may or may not have it"}}
}

// callSettled calls the callbacks of an attempt. The panic of one must not end the worker.
func callSettled(callbacks []func(error), err error, logPanic func(panicked any)) {
	for _, settled := range callbacks {
		func() {
			defer func() {
				if panicked := recover(); panicked != nil {
					logPanic(panicked)
				}
			}()
			settled(err)
		}()
	}
}

func (w *Worker) logSettledPanic(panicked any) {
	w.log(slog.LevelWarn, "jobstream worker's OnSettled callback panicked", "panic", panicked)
}

// readRefusal returns the error of a refused report.
func (s *session) readRefusal(refusal *jobstreamv1.ReportRefusal) error {
	if codes.Code(refusal.Error.GetCode()) == codes.FailedPrecondition {
		return ErrLeaseLost
	}
	return readStatus(status.FromProto(refusal.Error), s.client.Address())
}
