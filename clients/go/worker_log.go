package jobstream

import (
	"context"
	"log/slog"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// log logs an event of the worker. A panic of the log handler must not end the worker.
func (w *Worker) log(level slog.Level, message string, facts ...any) {
	defer func() { _ = recover() }()
	w.logger.With("worker", w.name).Log(context.Background(), level, message, facts...)
}

// logFailure logs the failure of an attempt in one line, without the payload.
func (w *Worker) logFailure(task *Task, end *jobstreamv1.AttemptReport) {
	failure := end.GetFail().GetFailure()
	if failure == nil {
		return
	}
	message := failure.Message
	if failure.Reason == jobstreamv1.FailureReason_FAILURE_REASON_BAD_PAYLOAD {
		// The error of a decoder or of Validate may quote the payload.
		message = "the input does not fit the type of the handler"
	}
	w.log(slog.LevelWarn, "jobstream attempt failed", "job_id", task.JobID, "kind", task.Kind, "attempt", task.Attempt,
		"reason", readReason(failure), "error", message)
}
