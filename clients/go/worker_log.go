package jobstream

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// failuresPerSecond is the largest number of failed attempts that a worker logs in a second, so that a stream of failures
// does not fill the log.
const failuresPerSecond = 10

// log logs an event of the worker. A panic of the log handler must not end the worker.
func (w *Worker) log(level slog.Level, message string, facts ...any) {
	defer func() { _ = recover() }()
	w.logger.With("worker", w.name).Log(context.Background(), level, message, facts...)
}

// logFailure logs the failure of an attempt in one line, without the payload.
func (w *Worker) logFailure(task *Task, end *jobstreamv1.AttemptReport) {
	failure := end.GetFail().GetFailure()
	if failure == nil || !w.failures.isLogged(w.logLeftOut) {
		return
	}
	reason := readReason(failure)
	facts := []any{"job_id", task.JobID, "kind", task.Kind, "queue", task.Queue, "attempt", task.Attempt, "reason", reason}
	if failure.Type != "" {
		facts = append(facts, "error_type", failure.Type)
	}
	if failure.Reason == jobstreamv1.FailureReason_FAILURE_REASON_BAD_PAYLOAD {
		// The error of a decoder or of Validate may quote the payload.
		facts = append(facts, "error", ErrBadPayload.Error())
	} else {
		facts = append(facts, "error", failure.Message)
		if stack := failure.GetDetails().GetText(); stack != "" {
			facts = append(facts, "stack", stack)
		}
	}
	w.log(slog.LevelWarn, "attempt failed", facts...)
}

func (w *Worker) logLeftOut(count int) {
	if count > 0 {
		w.log(slog.LevelWarn, "attempts failed, left out of the log", "count", count)
	}
}

// failureLog counts the failed attempts of a second that are logged and those that are left out.
type failureLog struct {
	mu              sync.Mutex
	logged, leftOut int
	// timer ends the second; nil if no attempt failed in it.
	timer *time.Timer
}

// isLogged reports whether another failed attempt is logged. At the end of its second it calls report with the number of
// those that were left out.
func (f *failureLog) isLogged(report func(leftOut int)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timer == nil {
		f.timer = time.AfterFunc(time.Second, func() { report(f.reset()) })
	}
	if f.logged == failuresPerSecond {
		f.leftOut++
		return false
	}
	f.logged++
	return true
}

// reset ends the second. It returns the number of attempts that were left out.
func (f *failureLog) reset() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timer != nil {
		f.timer.Stop()
	}
	count := f.leftOut
	f.logged, f.leftOut, f.timer = 0, 0, nil
	return count
}
