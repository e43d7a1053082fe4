package jobstream

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// State is where a job is in its life.
type State string

// The states of a job; the last three are final and never change.
const (
	StateScheduled State = "SCHEDULED"
	StateQueued    State = "QUEUED"
	StateRunning   State = "RUNNING"
	StateSucceeded State = "SUCCEEDED"
	StateFailed    State = "FAILED"
	StateCancelled State = "CANCELLED"
)

// IsFinal tells whether the job has ended.
func (s State) IsFinal() bool {
	return s == StateSucceeded || s == StateFailed || s == StateCancelled
}

// LogLevel is the importance of a log line; empty if the writer gave none.
type LogLevel string

// The levels of log lines.
const (
	LevelDebug LogLevel = "debug"
	LevelInfo  LogLevel = "info"
	LevelWarn  LogLevel = "warn"
	LevelError LogLevel = "error"
)

// Failure tells why an attempt, and with the last one the job, failed.
type Failure struct {
	// Reason is what kind of failure it was: HANDLER, PANIC, ATTEMPT_TIMEOUT, WORKER_LOST, DEADLINE, EXIT_STATUS,
	// UNKNOWN_KIND, BAD_PAYLOAD, RESULT_TOO_LARGE or NOT_STARTED.
	Reason string
	// Type is the handler's own name for the error; may be empty.
	Type string
	// Message is for a person.
	Message string
	// Details is more, for a program; may be empty.
	Details Payload
	// Attempt is the one that failed, from 1.
	Attempt int
	// Retryable tells whether another attempt could help.
	Retryable bool
}

// Event is an item of a watch: a [*StateChange], [*Progress], [*Output], [*Log] or [*Gap].
type Event interface {
	// LastSequence is the number to resume after: a watch that begins there tells what follows.
	LastSequence() uint32
}

// Moment is what all events but gaps have.
type Moment struct {
	// Sequence is the number of the event in its job, from 1, without holes.
	Sequence uint32
	// Time is when it happened, by the server's clock.
	Time time.Time
	// Attempt it belongs to; 0 before the first.
	Attempt int
}

// LastSequence is the number of the event.
func (m Moment) LastSequence() uint32 { return m.Sequence }

// StateChange tells that the job moved to another state, or that its cancel was requested.
type StateChange struct {
	Moment
	// State from now on.
	State State
	// WaitReason is why the job is not running, such as BACK_OFF, if it waits.
	WaitReason string
	// Failure of the attempt that just ended, if the job goes on; and of the job, if it ended FAILED.
	Failure *Failure
	// NextAttempt is when the next attempt may start; zero unless SCHEDULED.
	NextAttempt time.Time
	// CancelRequested is true once a running job is told to stop.
	CancelRequested bool
}

// Progress is how far an attempt is. What was not told is nil.
type Progress struct {
	Moment
	// Fraction done, 0 to 1.
	Fraction *float64
	// Done is the units done, Total those in all.
	Done, Total *float64
	// Unit is what is counted, such as files.
	Unit string
	// Message is for a person.
	Message string
}

// Output is a chunk of output. After a RUNNING event of a later attempt, those of earlier attempts are void.
type Output struct {
	Moment
	Payload Payload
	// Channel is which of several outputs, if the handler names them.
	Channel string
}

// Log is a line that the handler wrote.
type Log struct {
	Moment
	Level LogLevel
	Text  string
	// Stream is where it came from: STDOUT, STDERR or LOG.
	Stream string
}

// Gap tells of events that are no longer kept, from the first to the last sequence.
type Gap struct{ From, To uint32 }

// LastSequence is the last sequence that is gone.
func (g *Gap) LastSequence() uint32 { return g.To }

// readEvent answers nil for an event of a sort that is newer than this client.
func readEvent(wire *jobstreamv1.JobEvent) Event {
	moment := Moment{wire.Sequence, wire.Time.AsTime(), int(wire.Attempt)}
	switch event := wire.Event.(type) {
	case *jobstreamv1.JobEvent_StateChange:
		return readStateChange(moment, event.StateChange)
	case *jobstreamv1.JobEvent_Progress:
		p := event.Progress
		return &Progress{moment, p.Fraction, p.Done, p.Total, p.Unit, p.Message}
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
		WaitReason:      short(wire.WaitReason.String(), "WAIT_REASON_"),
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

func readTime(wire *timestamppb.Timestamp) time.Time {
	if wire == nil {
		return time.Time{}
	}
	return wire.AsTime()
}

func readFailure(wire *jobstreamv1.Failure) Failure {
	return Failure{
		Reason:    short(wire.Reason.String(), "FAILURE_REASON_"),
		Type:      wire.Type,
		Message:   wire.Message,
		Details:   readPayload(wire.Details),
		Attempt:   int(wire.Attempt),
		Retryable: wire.Retryable,
	}
}

// short is the name of an enum's value without its prefix; empty if it is unspecified.
func short(name, prefix string) string {
	name = strings.TrimPrefix(name, prefix)
	if name == "UNSPECIFIED" {
		return ""
	}
	return name
}
