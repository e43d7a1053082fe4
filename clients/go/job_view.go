package jobstream

import (
	"time"

	"github.com/jobstream/jobstream/clients/go/jobstreamv1"
)

// JobView is a job as it was when the server responded. Times that do not apply are zero.
type JobView struct {
	// ID is the job id.
	ID string
	// Kind, Queue, Priority, Labels and Headers are those of the submit, with defaults filled in.
	Kind, Queue     string
	Priority        int
	Labels, Headers map[string]string
	// TraceContext is the trace of the submitter; empty if it has none.
	TraceContext TraceContext
	// Payload is the input. It is empty in a listing.
	Payload Payload
	// State is the state of the job.
	State State
	// WaitReason is why a waiting job is not running, such as NO_WORKER.
	WaitReason string
	// Attempt is the number of the newest attempt; 0 before the first.
	Attempt int
	// Progress is the newest progress of that attempt, without its sequence and time; nil if none was reported.
	Progress *Progress
	// Failure is the last failure of a job that ended FAILED; otherwise nil.
	Failure *Failure
	// CancelRequested is true once the cancellation of a running job was requested.
	CancelRequested bool
	// Created is when the job was accepted, Started when the newest attempt started, Finished when the job ended.
	Created, Started, Finished time.Time
	// NextAttempt is the earliest start of the next attempt of a SCHEDULED job.
	NextAttempt time.Time
	// Expires is when the finished job will be removed.
	Expires time.Time
	// Sequence is that of the newest event.
	Sequence uint32
	// OriginID is the job from which [Retry] created this one; empty if none.
	OriginID string
	// Message is the whole message of the server, with the submitted spec and the attempts.
	Message *jobstreamv1.Job
}

func readJob(wire *jobstreamv1.Job) *JobView {
	spec := wire.GetSpec()
	view := &JobView{
		ID:              wire.GetJobId(),
		Kind:            spec.GetKind(),
		Queue:           spec.GetQueue(),
		Priority:        int(spec.GetPriority()),
		Labels:          spec.GetLabels(),
		Headers:         spec.GetHeaders(),
		TraceContext:    readTraceContext(spec.GetTraceContext()),
		Payload:         readPayload(spec.GetPayload()),
		State:           readState(wire.GetState()),
		WaitReason:      readWaitReason(wire.GetWaitReason()),
		Attempt:         int(wire.GetAttempt()),
		CancelRequested: wire.GetCancelRequested(),
		Created:         readTime(wire.GetCreateTime()),
		Started:         readTime(wire.GetStartTime()),
		Finished:        readTime(wire.GetFinishTime()),
		NextAttempt:     readTime(wire.GetNextAttemptTime()),
		Expires:         readTime(wire.GetExpireTime()),
		Sequence:        wire.GetSequence(),
		OriginID:        wire.GetOriginJobId(),
		Message:         wire,
	}
	if progress := wire.GetProgress(); progress != nil {
		view.Progress = readProgress(Moment{Attempt: view.Attempt}, progress)
	}
	if failed := wire.GetOutcome().GetFailure(); failed != nil {
		failure := readFailure(failed)
		view.Failure = &failure
	}
	return view
}
