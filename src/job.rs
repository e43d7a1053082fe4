//! Domain types: jobs, attempts, events, outcomes, retry policies and workers. No async, no I/O, no clock.

mod attempt;
mod change;
mod digest;
mod event;
mod filter;
mod name;
mod number;
mod payload;
mod retry;
mod spec;
mod stats;
mod trace;
mod view;
mod worker;

pub(crate) use attempt::assignment_bytes_max;
pub use attempt::{Assignment, AttemptEnd, InlineHandler, LeaseId, Report};
pub use change::{ChangeFilter, FeedCursor, JobChange};
pub(crate) use digest::{ContentDigest, Spec, SpecDigest};
pub use event::{
    Event, EventBody, EventTypes, Log, LogLevel, LogStream, MESSAGE_BYTES_MAX, Output, Progress, StateChange,
    WatchItem,
};
pub use filter::{JobFilter, StateSet};
pub use name::{JobId, Kind, QueueName, Timestamp};
pub(crate) use name::{NAME_CHARS_MAX, quoted};
pub use number::json_arm_carries;
pub(crate) use number::{JSON_DEPTH_MAX, JSON_NUMBER_MAX, double_as_json, json_too_deep};
pub(crate) use payload::JSON_WIRE_BYTES_MAX;
pub use payload::{Encoding, JSON, Payload};
pub use retry::{AfterFailure, RetryPolicy};
pub use spec::{JobOptions, NewJob, PRIORITY_MAX, Start};
pub(crate) use stats::{AttemptClass, BUCKETS, bucket_of};
pub use stats::{BUCKET_BOUNDS_MS, DurationHistogram, SeriesTotals, StatsFilter, StatsPoint, StatsWindow};
pub use trace::{BAGGAGE_BYTES_MAX, TRACEPARENT_CHARS, TRACESTATE_BYTES_MAX, TraceContext, TraceParent};
pub use view::{
    AttemptView, EndCounts, JobView, MemoryUse, QueueView, StateCounts, WorkerLink, WorkerState, WorkerView,
};
pub(crate) use worker::{AttemptReport, AttemptUpdate, Hello, Peer, WorkerFrame};
pub use worker::{Drain, Order, SessionSpec, Stop};

use std::sync::Arc;

/// The state of a job. The last three states are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum JobState {
    /// Not eligible yet: its start time or the back-off before its next attempt has not passed.
    Scheduled,
    /// Waiting for a free slot.
    Queued,
    /// An attempt is running.
    Running,
    /// Ended with a result.
    Succeeded,
    /// Ended with a failure.
    Failed,
    /// Ended by a cancel or a purge.
    Cancelled,
}

impl JobState {
    /// Whether the job has ended.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The displayed name, such as `QUEUED`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// Why a job is not running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum WaitReason {
    /// Its start time has not passed.
    NotDue,
    /// It waits for the back-off after a failed attempt.
    BackOff,
    /// Its queue is paused.
    QueuePaused,
    /// No worker serves its kind in its queue.
    NoWorker,
    /// No worker that serves it has a free slot.
    WorkersBusy,
    /// The server drains and starts no attempts.
    Draining,
    /// It is assigned to a worker that has not accepted it yet.
    Starting,
    /// Its assignment exceeds the message limit of every worker that serves it.
    WorkerLimit,
}

impl WaitReason {
    /// The displayed name, such as `NO_WORKER`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotDue => "NOT_DUE",
            Self::BackOff => "BACK_OFF",
            Self::QueuePaused => "QUEUE_PAUSED",
            Self::NoWorker => "NO_WORKER",
            Self::WorkersBusy => "WORKERS_BUSY",
            Self::Draining => "DRAINING",
            Self::Starting => "STARTING",
            Self::WorkerLimit => "WORKER_LIMIT",
        }
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The result that the handler returned.
    Result(Payload),
    /// The failure of the last attempt.
    Failure(Arc<Failure>),
    /// The cancellation of the job.
    Cancellation(Arc<Cancellation>),
}

impl Outcome {
    /// The final state of a job with this outcome.
    pub fn state(&self) -> JobState {
        match self {
            Self::Result(_) => JobState::Succeeded,
            Self::Failure(_) => JobState::Failed,
            Self::Cancellation(_) => JobState::Cancelled,
        }
    }
}

/// How a job was cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancellation {
    /// The reason that the client gave.
    pub reason: String,
    /// The principal that cancelled the job; `None` if it was anonymous.
    pub principal: Option<Arc<str>>,
    /// Whether the attempt was ended by force.
    pub forced: bool,
}

/// The category of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FailureReason {
    /// The handler returned an error.
    Handler,
    /// The handler panicked.
    Panic,
    /// The attempt ran longer than its timeout.
    AttemptTimeout,
    /// The worker disconnected or its lease expired.
    WorkerLost,
    /// The job's timeout passed.
    Deadline,
    /// A program exited with a non-zero status or was terminated by a signal.
    ExitStatus,
    /// The worker has no handler for the kind.
    UnknownKind,
    /// The payload did not match the handler's input type.
    BadPayload,
    /// The result exceeded the limit.
    ResultTooLarge,
    /// The program could not be started.
    NotStarted,
}

impl FailureReason {
    /// All reasons.
    pub const ALL: [Self; 10] = [
        Self::Handler,
        Self::Panic,
        Self::AttemptTimeout,
        Self::WorkerLost,
        Self::Deadline,
        Self::ExitStatus,
        Self::UnknownKind,
        Self::BadPayload,
        Self::ResultTooLarge,
        Self::NotStarted,
    ];

    /// The displayed name, such as `ATTEMPT_TIMEOUT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handler => "HANDLER",
            Self::Panic => "PANIC",
            Self::AttemptTimeout => "ATTEMPT_TIMEOUT",
            Self::WorkerLost => "WORKER_LOST",
            Self::Deadline => "DEADLINE",
            Self::ExitStatus => "EXIT_STATUS",
            Self::UnknownKind => "UNKNOWN_KIND",
            Self::BadPayload => "BAD_PAYLOAD",
            Self::ResultTooLarge => "RESULT_TOO_LARGE",
            Self::NotStarted => "NOT_STARTED",
        }
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The category of the failure.
    pub reason: FailureReason,
    /// An error type that the handler defines; may be empty.
    pub error_type: String,
    /// A human-readable description.
    pub message: String,
    /// Machine-readable details.
    pub details: Option<Payload>,
    /// The number of the failed attempt.
    pub attempt: u32,
    /// Whether another attempt may succeed.
    pub retryable: bool,
}

/// Most bytes of a failure's type; a longer type is truncated.
pub const FAILURE_TYPE_BYTES_MAX: usize = 256;
/// Most bytes of a failure's message; a longer message is truncated.
pub const FAILURE_MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// Most bytes of a failure's details; larger details are dropped.
pub const FAILURE_DETAILS_BYTES_MAX: usize = 16 * 1024;

/// Most bytes of a type and of a message while the memory bound of running jobs is reached.
pub const FAILURE_SHORT_BYTES_MAX: usize = 64;

impl Failure {
    /// The message for the log of a server or worker. That of a decoder may quote the payload, so BAD_PAYLOAD has a fixed one.
    #[cfg(feature = "worker")]
    pub(crate) fn log_message(&self) -> &str {
        match self.reason {
            FailureReason::BadPayload => "the input does not fit the type of the handler",
            _ => &self.message,
        }
    }

    /// A retryable failure with this reason and message, without type and details.
    pub fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { reason, error_type: String::new(), message, details: None, attempt: 0, retryable: true }
    }

    /// The same failure, not retryable.
    pub fn permanent(mut self) -> Self {
        self.retryable = false;
        self
    }

    /// Size of the failure in bytes, in memory and encoded.
    pub(crate) fn bytes(&self, with_details: bool) -> usize {
        let details = self.details.as_ref().filter(|_| with_details).map_or(0, |details| details.bytes.len());
        size_of::<Self>() + self.message.len() + self.error_type.len() + details
    }

    /// The failure without its details.
    pub(crate) fn without_details(self: &Arc<Self>) -> Arc<Self> {
        match self.details {
            Some(_) => Arc::new(Self { details: None, ..Self::clone(self) }),
            None => self.clone(),
        }
    }

    /// The failure under memory pressure: type and message are truncated, details are dropped.
    pub(crate) fn shortened(mut self) -> Self {
        truncate(&mut self.error_type, FAILURE_SHORT_BYTES_MAX);
        truncate(&mut self.message, FAILURE_SHORT_BYTES_MAX);
        self.error_type.shrink_to_fit();
        self.message.shrink_to_fit();
        Self { details: None, ..self }
    }

    /// The failure within the bounds above.
    pub(crate) fn bounded(mut self) -> Self {
        truncate(&mut self.error_type, FAILURE_TYPE_BYTES_MAX);
        truncate(&mut self.message, FAILURE_MESSAGE_BYTES_MAX);
        self.details = self.details.filter(|details| details.bytes.len() <= FAILURE_DETAILS_BYTES_MAX);
        self
    }
}

/// Truncates a text to at most `bytes_max` bytes at a character boundary.
pub(crate) fn truncate(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
}
