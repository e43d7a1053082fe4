package jobstream

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// What is longer is cut before it is sent: a server refuses a message that holds more.
const (
	unitBytesMax            = 64
	channelBytesMax         = 64
	progressMessageBytesMax = 1 << 10
	logBytesMax             = 16 << 10
)

// Task is one attempt at a job, as its handler sees it. Its methods may be called from any goroutine; after the attempt
// ended they do nothing.
type Task struct {
	// JobID is the job's id. With Attempt it is the key for side effects that must not happen twice: no two workers are
	// ever sent the same pair.
	JobID string
	// Attempt is the number of this attempt, from 1. Numbers grow and may have gaps.
	Attempt int
	// Kind and Queue are the job's.
	Kind, Queue string
	// Deadline is when the attempt's time is over, which ends the handler's context.
	Deadline time.Time
	// Headers and Labels are as submitted.
	Headers, Labels map[string]string
	// Payload is the input as it came.
	Payload Payload

	lease  string
	teller teller
	// ctx is the handler's context.
	ctx context.Context
}

// teller takes the news of an attempt: to a server, or for a rehearsal.
type teller interface {
	progress(lease string, news *jobstreamv1.Progress)
	output(ctx context.Context, lease string, news *jobstreamv1.Output) error
	log(lease string, news *jobstreamv1.Log)
}

func newTask(wire *jobstreamv1.Assignment, teller teller) *Task {
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
		teller:   teller,
	}
}

// Progress tells the share done, 0 to 1, with a message of at most 1 KiB. Only the newest is kept and sent: calling it
// in a tight loop is fine.
func (t *Task) Progress(fraction float64, message string) {
	t.teller.progress(t.lease, &jobstreamv1.Progress{Fraction: share(fraction), Message: cut(message, progressMessageBytesMax)})
}

// ProgressOf tells how many units of how many are done, such as files. Otherwise as [Task.Progress].
func (t *Task) ProgressOf(done, total float64, unit string) {
	t.teller.progress(t.lease, &jobstreamv1.Progress{
		Fraction: share(done / total), Done: finite(done), Total: finite(total), Unit: cut(unit, unitBytesMax),
	})
}

// Output sends a chunk to those who watch, on a channel of at most 64 bytes, or none. It does not become part of the
// result. It waits while the server has not taken the earlier ones.
//
// The error is an [InvalidRequest] if the chunk cannot be sent or is larger than a payload may be, and the cause of the
// handler's context if that ended.
func (t *Task) Output(chunk Payload, channel string) error {
	wire, err := chunk.wire()
	if err != nil {
		return invalid("output", err.Error())
	}
	if data, isData := wire.Body.(*jobstreamv1.Payload_Data); isData {
		data.Data = bytes.Clone(data.Data) // It is sent later, and handlers reuse their buffers.
	}
	return t.teller.output(t.ctx, t.lease, &jobstreamv1.Output{Payload: wire, Channel: cut(channel, channelBytesMax)})
}

// Log sends a line of at most 16 KiB to those who watch. When lines come faster than they can be sent, some are dropped,
// and a later line tells how many.
func (t *Task) Log(text string, level LogLevel) {
	number := jobstreamv1.LogLevel_value["LOG_LEVEL_"+strings.ToUpper(string(level))]
	t.teller.log(t.lease, &jobstreamv1.Log{
		Level:  jobstreamv1.LogLevel(number),
		Text:   cut(text, logBytesMax),
		Stream: jobstreamv1.LogStream_LOG_STREAM_LOG,
	})
}

func share(fraction float64) *float64 {
	return finite(max(0, min(1, fraction)))
}

func finite(number float64) *float64 {
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return nil
	}
	return &number
}

// cut makes UTF-8 of a text, and shortens it between characters.
func cut(text string, bytesMax int) string {
	if len(text) > bytesMax {
		text = text[:bytesMax]
	}
	return strings.ToValidUTF8(text, "")
}

func tooLarge(what string, size, limit int) string {
	return fmt.Sprintf("the %s is %d bytes, the limit is %d: store it elsewhere and send a reference", what, size, limit)
}
