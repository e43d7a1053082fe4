//! The domain: what a job is, how it may change and how it ends. No async, no I/O, no clock.

mod attempt;
mod digest;
mod event;
mod filter;
mod name;
mod number;
mod payload;
mod retry;
mod spec;
mod view;
mod worker;

pub(crate) use attempt::assignment_bytes_max;
pub use attempt::{Assignment, AttemptEnd, InlineHandler, LeaseId, Report};
pub(crate) use digest::{ContentDigest, Spec, SpecDigest};
pub use event::{
    Event, EventBody, EventTypes, Log, LogLevel, LogStream, MESSAGE_BYTES_MAX, Output, Progress, StateChange,
    WatchItem,
};
pub use filter::{JobFilter, StateSet};
pub(crate) use name::quoted;
pub use name::{JobId, Kind, QueueName, Timestamp};
pub use number::json_arm_carries;
pub(crate) use number::{JSON_NUMBER_MAX, double_as_json};
pub(crate) use payload::JSON_WIRE_BYTES_MAX;
pub use payload::{Encoding, JSON, Payload};
pub use retry::{AfterFailure, RetryPolicy};
pub use spec::{JobOptions, NewJob, PRIORITY_MAX, Start};
pub use view::{
    AttemptView, EndCounts, JobView, MemoryUse, QueueView, StateCounts, WorkerLink, WorkerState, WorkerView,
};
pub(crate) use worker::{AttemptReport, AttemptUpdate, Hello, Peer, WorkerFrame};
pub use worker::{Drain, Order, SessionSpec, Stop};

use std::sync::Arc;

/// Where a job is in its life. The last three are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum JobState {
    /// Its start time or the pause before its next attempt has not passed.
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

    /// The name people see: `QUEUED`.
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
    /// Its start time has not come.
    NotDue,
    /// It waits for the pause after a failed attempt.
    BackOff,
    /// Its queue is paused.
    QueuePaused,
    /// No worker serves its kind in its queue.
    NoWorker,
    /// Every worker that serves it is full.
    WorkersBusy,
    /// The server starts no attempts any more.
    Draining,
    /// A worker was given it and has not said yet that it begins.
    Starting,
    /// Its assignment is larger than every worker that serves it reads.
    WorkerLimit,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With what the handler returned.
    Result(Payload),
    /// With its last failure.
    Failure(Arc<Failure>),
    /// Cancelled.
    Cancellation(Arc<Cancellation>),
}

impl Outcome {
    /// The state a job with this outcome is in.
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
    /// The reason given.
    pub reason: String,
    /// Whether the handler had to be ended by force.
    pub forced: bool,
}

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// The handler returned an error.
    Handler,
    /// The handler panicked.
    Panic,
    /// The attempt ran longer than its timeout.
    AttemptTimeout,
    /// The worker went away or its lease passed.
    WorkerLost,
    /// The job's timeout passed.
    Deadline,
    /// A command ended with a non-zero status or by a signal.
    ExitStatus,
    /// The worker has no handler for the kind.
    UnknownKind,
    /// The payload was not what the handler reads.
    BadPayload,
    /// The result was larger than the limit.
    ResultTooLarge,
    /// The command could not be started.
    NotStarted,
}

impl FailureReason {
    /// The name people see: `ATTEMPT_TIMEOUT`.
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
    /// What kind of failure it was.
    pub reason: FailureReason,
    /// The handler's own name for the error; may be empty.
    pub error_type: String,
    /// For a person.
    pub message: String,
    /// More, for a program.
    pub details: Option<Payload>,
    /// The attempt that failed.
    pub attempt: u32,
    /// Whether another attempt could help.
    pub retryable: bool,
}

/// Most bytes of a failure's type; longer ones are cut.
pub const FAILURE_TYPE_BYTES_MAX: usize = 256;
/// Most bytes of a failure's message; longer ones are cut.
pub const FAILURE_MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// Most bytes of a failure's details; larger ones are dropped.
pub const FAILURE_DETAILS_BYTES_MAX: usize = 16 * 1024;

/// Most bytes of a type and of a message while running jobs may not take more memory.
pub const FAILURE_SHORT_BYTES_MAX: usize = 64;

impl Failure {
    /// A failure with this reason and message; retryable, without type or details.
    pub fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { reason, error_type: String::new(), message, details: None, attempt: 0, retryable: true }
    }

    /// The same failure as one that no other attempt could mend.
    pub fn permanent(mut self) -> Self {
        self.retryable = false;
        self
    }

    /// Bytes of the failure, in memory and on the wire alike.
    pub(crate) fn bytes(&self, with_details: bool) -> usize {
        let details = self.details.as_ref().filter(|_| with_details).map_or(0, |details| details.bytes.len());
        size_of::<Self>() + self.message.len() + self.error_type.len() + details
    }

    /// Cut to what is kept of it while memory is short: the reason, and the beginnings of type and message.
    pub(crate) fn shortened(mut self) -> Self {
        cut(&mut self.error_type, FAILURE_SHORT_BYTES_MAX);
        cut(&mut self.message, FAILURE_SHORT_BYTES_MAX);
        self.error_type.shrink_to_fit();
        self.message.shrink_to_fit();
        Self { details: None, ..self }
    }

    /// Cut to the bounds above, so that history stays small.
    pub(crate) fn bounded(mut self) -> Self {
        cut(&mut self.error_type, FAILURE_TYPE_BYTES_MAX);
        cut(&mut self.message, FAILURE_MESSAGE_BYTES_MAX);
        self.details = self.details.filter(|details| details.bytes.len() <= FAILURE_DETAILS_BYTES_MAX);
        self
    }
}

/// Cuts a text to at most `bytes_max`, between characters.
pub(crate) fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
}
