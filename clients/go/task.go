package jobstream

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// Limits of the server in bytes. Longer text is truncated before it is sent, because the server rejects it.
const (
	unitBytesMax            = 64
	channelBytesMax         = 64
	progressMessageBytesMax = 1 << 10
	logBytesMax             = 16 << 10
)

// Task is one attempt of a job. Its methods are safe for concurrent use and do nothing after the attempt ended.
type Task struct {
	// JobID is the job id. (JobID, Attempt) is the idempotency key for side effects: no pair is assigned twice.
	JobID string
	// Attempt is the number of this attempt, from 1. Numbers increase and may have gaps.
	Attempt int
	// Kind and Queue are those of the job.
	Kind, Queue string
	// Deadline is when the attempt times out, which ends the handler's context.
	Deadline time.Time
	// Headers and Labels are those of the job.
	Headers, Labels map[string]string
	// TraceContext is the trace of the submitter; empty if it has none.
	TraceContext TraceContext
	// Payload is the undecoded input.
	Payload Payload

	lease    string
	reporter reporter
	attempt  *attempt
	// ctx is the handler's context.
	ctx context.Context
}

// reporter receives the progress, output and logs of an attempt, and the callbacks for its end.
type reporter interface {
	progress(lease string, progress *jobstreamv1.Progress)
	output(ctx context.Context, lease string, progress *jobstreamv1.Output) error
	log(lease string, progress *jobstreamv1.Log)
	onSettled(a *attempt, settled func(error))
}

func newTask(wire *jobstreamv1.Assignment, reporter reporter) *Task {
	return &Task{
		JobID:    wire.JobId,
		Attempt:  int(wire.Attempt),
		Kind:     wire.Kind,
		Queue:    wire.Queue,
		Deadline: time.Now().Add(wire.TimeLeft.AsDuration()),
		Headers:  wire.Headers,
		Labels:   wire.Labels,
		Payload:  readPayload(wire.Payload),
		lease:    wire.LeaseId,
		reporter: reporter,

		TraceContext: readTraceContext(wire.TraceContext),
	}
}

// Progress reports the completed fraction, 0 to 1, with a message of at most 1 KiB. It is cheap in a tight loop: only
// the newest value is sent.
func (t *Task) Progress(fraction float64, message string) {
	t.reporter.progress(t.lease, &jobstreamv1.Progress{Fraction: clampFraction(fraction), Message: truncate(message, progressMessageBytesMax)})
}

// ProgressOf reports done of total units, such as files, and done/total as the fraction if total is positive. Otherwise
// as [Task.Progress].
func (t *Task) ProgressOf(done, total float64, unit string) {
	progress := &jobstreamv1.Progress{Done: finite(done), Total: finite(total), Unit: truncate(unit, unitBytesMax)}
	progress.Fraction = fractionOf(progress)
	t.reporter.progress(t.lease, progress)
}

// Output sends a chunk of output to watchers, on a channel name of at most 64 bytes or none. It is not part of the
// result. It waits while the send buffer is full (backpressure).
//
// The error is an [InvalidRequest] if the chunk cannot be encoded or is over the payload limit, and the cause of the
// handler's context if that ended.
func (t *Task) Output(chunk Payload, channel string) error {
	wire, err := chunk.wire()
	if err != nil {
		return invalid("output", err.Error())
	}
	if data, isData := wire.Body.(*jobstreamv1.Payload_Data); isData {
		data.Data = bytes.Clone(data.Data) // The data is sent later, and handlers may reuse their buffers.
	}
	return t.reporter.output(t.ctx, t.lease, &jobstreamv1.Output{Payload: wire, Channel: truncate(channel, channelBytesMax)})
}

// Log sends a log line of at most 16 KiB to watchers. Lines are dropped while the send buffer is full; a later line has
// the number of dropped lines.
func (t *Task) Log(text string, level LogLevel) {
	number := jobstreamv1.LogLevel_value["LOG_LEVEL_"+strings.ToUpper(string(level))]
	t.reporter.log(t.lease, &jobstreamv1.Log{
		Level:  jobstreamv1.LogLevel(number),
		Text:   truncate(text, logBytesMax),
		Stream: jobstreamv1.LogStream_LOG_STREAM_LOG,
	})
}

// truncate makes a text valid UTF-8 and shortens it between characters.
func truncate(text string, bytesMax int) string {
	if len(text) > bytesMax {
		text = text[:bytesMax]
	}
	return strings.ToValidUTF8(text, "")
}

func tooLarge(what string, size, limit int) string {
	return fmt.Sprintf("%s is %d bytes, limit is %d: store it elsewhere and send a reference", what, size, limit)
}
