package jobstream

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// State is the state of a job.
type State string

// The states of a job. The last three are final.
const (
	StateScheduled State = "SCHEDULED"
	StateQueued    State = "QUEUED"
	StateRunning   State = "RUNNING"
	StateSucceeded State = "SUCCEEDED"
	StateFailed    State = "FAILED"
	StateCancelled State = "CANCELLED"
)

// IsFinal reports whether the job has ended.
func (s State) IsFinal() bool {
	return s == StateSucceeded || s == StateFailed || s == StateCancelled
}

// LogLevel is the level of a log line; empty if unspecified.
type LogLevel string

// The levels of log lines.
const (
	LevelDebug LogLevel = "debug"
	LevelInfo  LogLevel = "info"
	LevelWarn  LogLevel = "warn"
	LevelError LogLevel = "error"
)

// Failure is the failure of an attempt, or of a job.
type Failure struct {
	// Reason is the failure reason: HANDLER, PANIC, ATTEMPT_TIMEOUT, WORKER_LOST, DEADLINE, EXIT_STATUS, UNKNOWN_KIND,
	// BAD_PAYLOAD, RESULT_TOO_LARGE or NOT_STARTED.
	Reason string
	// Type is the error type of the handler; may be empty.
	Type string
	// Message is human-readable text.
	Message string
	// Details has machine-readable details; may be empty.
	Details Payload
	// Attempt is the number of the failed attempt, from 1.
	Attempt int
	// Retryable reports whether a retry may succeed.
	Retryable bool
}

// Event is an item of a watch: a [*StateChange], [*Progress], [*Output], [*Log] or [*Gap].
type Event interface {
	// LastSequence returns the sequence to resume after: a watch after it continues with the next event.
	LastSequence() uint32
}

// Moment has the fields of every event except [Gap].
type Moment struct {
	// Sequence is the number of the event in its job, from 1, without gaps.
	Sequence uint32
	// Time is the time of the event by the server's clock.
	Time time.Time
	// Attempt is the attempt that produced the event; 0 before the first.
	Attempt int
}

// LastSequence returns the sequence of the event.
func (m Moment) LastSequence() uint32 { return m.Sequence }

// StateChange means that the job changed its state, or that its cancellation was requested.
type StateChange struct {
	Moment
	// State is the new state.
	State State
	// WaitReason is why a waiting job is not running, such as BACK_OFF.
	WaitReason string
	// Failure is the failure of the attempt that ended, or of a job that ended FAILED; otherwise nil.
	Failure *Failure
	// NextAttempt is the earliest start of the next attempt; zero unless SCHEDULED.
	NextAttempt time.Time
	// CancelRequested is true once the cancellation of a running job was requested.
	CancelRequested bool
}

// Output is a chunk of output. A RUNNING event of a later attempt invalidates the output of earlier attempts.
type Output struct {
	Moment
	Payload Payload
	// Channel is the name of the output channel, if the handler set one.
	Channel string
}

// Log is a log line of the handler.
type Log struct {
	Moment
	Level LogLevel
	Text  string
	// Stream is the source of the line: STDOUT, STDERR or LOG.
	Stream string
}

// Gap stands for events that are no longer retained, from the first to the last sequence.
type Gap struct{ First, Last uint32 }

// LastSequence returns the last missing sequence.
func (g *Gap) LastSequence() uint32 { return g.Last }

// readEvent returns nil for an event type that this client does not know.
func readEvent(wire *jobstreamv1.JobEvent) Event {
	moment := Moment{wire.Sequence, wire.Time.AsTime(), int(wire.Attempt)}
	switch event := wire.Event.(type) {
	case *jobstreamv1.JobEvent_StateChange:
		return readStateChange(moment, event.StateChange)
	case *jobstreamv1.JobEvent_Progress:
		return readProgress(moment, event.Progress)
	case *jobstreamv1.JobEvent_Output:
		return &Output{moment, readPayload(event.Output.Payload), event.Output.Channel}
	case *jobstreamv1.JobEvent_Log:
		level := strings.ToLower(short(event.Log.Level.String(), "LOG_LEVEL_"))
		return &Log{moment, LogLevel(level), event.Log.Text, short(event.Log.Stream.String(), "LOG_STREAM_")}
	default:
		return nil
	}
}

func readStateChange(moment Moment, wire *jobstreamv1.StateChange) *StateChange {
	change := &StateChange{
		Moment:          moment,
		State:           readState(wire.State),
		WaitReason:      readWaitReason(wire.WaitReason),
		NextAttempt:     readTime(wire.NextAttemptTime),
		CancelRequested: wire.CancelRequested,
	}
	failed := wire.Failure
	if failed == nil {
		failed = wire.Outcome.GetFailure()
	}
	if failed != nil {
		failure := readFailure(failed)
		change.Failure = &failure
	}
	return change
}

func readState(wire jobstreamv1.JobState) State {
	return State(short(wire.String(), "JOB_STATE_"))
}

func readWaitReason(wire jobstreamv1.WaitReason) string {
	return short(wire.String(), "WAIT_REASON_")
}

func readTime(wire *timestamppb.Timestamp) time.Time {
	if wire == nil {
		return time.Time{}
	}
	return wire.AsTime()
}

func readFailure(wire *jobstreamv1.Failure) Failure {
	return Failure{
		Reason:    readReason(wire),
		Type:      wire.Type,
		Message:   wire.Message,
		Details:   readPayload(wire.Details),
		Attempt:   int(wire.Attempt),
		Retryable: wire.Retryable,
	}
}

func readReason(wire *jobstreamv1.Failure) string {
	return short(wire.Reason.String(), "FAILURE_REASON_")
}

// short returns the name of an enum value without its prefix; empty if it is unspecified.
func short(name, prefix string) string {
	name = strings.TrimPrefix(name, prefix)
	if name == "UNSPECIFIED" {
		return ""
	}
	return name
}
