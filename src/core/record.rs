//! What a command appends to the log: enough to put every job back where it was.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::tails::IdSecret;
use crate::job::{Event, JobId, JobState, LeaseId, NewJob, SpecDigest, Timestamp, WaitReason};

/// One entry of the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    /// A job was accepted; its event 1 follows from it.
    Accepted(Accepted),
    /// A job moved to a state.
    Moved(Moved),
    /// A job's attempt reported progress, output or a log line.
    Reported(JobId, Event),
    /// Output, logs or early state changes of a job are no longer kept: how many state changes come before, the first
    /// sequence, the last. All of them, in place of what was recorded so before.
    Dropped(JobId, Arc<[[u32; 3]]>),
    /// A job was removed.
    Removed(Removed),
    /// A queue was paused or resumed.
    QueuePaused(Arc<str>, bool),
    /// A cancel of a job's attempt came again: it is forced at this monotonic time, sooner than before.
    CancelHastened(JobId, Duration),
    /// The server started again after it had not run for this long: what waits for a start time, a back-off or the end of its
    /// retention is due so much sooner on the monotonic clock, which stood still.
    Resumed(Duration),
    /// The secret behind the tails of minted ids and of leases.
    Secret(IdSecret),
    /// A stream's worker was offered a job's attempt of this number, which no other worker is given from then on.
    Offered(JobId, u32),
    /// The newest report that was taken of a worker's instance; 0 once the worker is forgotten.
    ReportsTaken(Uuid, u64),
}

/// A job as it was accepted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Accepted {
    pub(crate) id: JobId,
    pub(crate) job: NewJob,
    /// Its place in the order of acceptance.
    pub(crate) number: u64,
    pub(crate) create_time: Timestamp,
    /// Monotonic time of acceptance.
    pub(crate) created: Duration,
    pub(crate) first_wait: Option<WaitReason>,
    /// Monotonic time at which it is due, if it waits for that.
    pub(crate) deadline: Duration,
}

/// A job's state change, and what stands beside it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moved {
    pub(crate) id: JobId,
    pub(crate) event: Event,
    /// Attempts of it that do not count.
    pub(crate) lost: u32,
    pub(crate) released: u32,
    pub(crate) cancel_requested: bool,
    /// Monotonic time of what comes next: due while SCHEDULED, removed when ended.
    pub(crate) deadline: Duration,
    /// When it is to be removed, once ended.
    pub(crate) expire_time: Option<Timestamp>,
    /// The attempt that runs, if one does.
    pub(crate) running: Option<Running>,
}

/// The removal of a job, and what its tombstone needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Removed {
    pub(crate) id: JobId,
    /// When its result was gone. Unset if a caller deleted a job whose id the server minted: nothing is left of that.
    pub(crate) expire_time: Option<Timestamp>,
    /// Monotonic time of the removal.
    pub(crate) removed: Duration,
    /// How it ended, and the digest of its spec; only of jobs whose callers chose their ids.
    pub(crate) end: Option<(JobState, SpecDigest)>,
    /// Whether a caller deleted it.
    pub(crate) deleted: bool,
}

/// An attempt that runs, and who runs it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Running {
    pub(crate) lease: LeaseId,
    pub(crate) link: Link,
    pub(crate) worker: Arc<str>,
    pub(crate) attempt_deadline: Duration,
    /// After a cancel: when it is forced, and its reason.
    pub(crate) cancel: Option<(Duration, String)>,
}

/// How a worker is joined to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// It is part of the server: it runs what it is given and lives as long as its session.
    Pool,
    /// It holds a stream, and is known again by its instance when it connects anew.
    Stream(Uuid),
    /// It takes leases and reports with calls of their own.
    Unary,
}

impl Record {
    /// The job that it is about, if it is about one.
    pub(crate) fn job(&self) -> Option<JobId> {
        match self {
            Self::Accepted(accepted) => Some(accepted.id),
            Self::Moved(moved) => Some(moved.id),
            Self::Removed(removed) => Some(removed.id),
            Self::Reported(id, _)
            | Self::Dropped(id, _)
            | Self::Offered(id, _)
            | Self::CancelHastened(id, _) => Some(*id),
            Self::QueuePaused(..) | Self::ReportsTaken(..) | Self::Resumed(_) | Self::Secret(_) => None,
        }
    }
}
