//! Log records. They restore every job after a restart.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::history::Gap;
use super::tails::IdSecret;
use crate::job::{Event, JobId, JobState, LeaseId, NewJob, SpecDigest, Timestamp, WaitReason};

/// A record of the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    /// A job was accepted. Its first event follows from it.
    Accepted(Accepted),
    /// A job changed its state.
    StateChanged(StateChanged),
    /// An attempt reported progress, output or a log line.
    Reported(JobId, Event),
    /// Events of a job were dropped. The gaps replace all earlier ones of the job.
    Dropped(JobId, Arc<[Gap]>),
    /// A job was removed.
    Removed(Removed),
    /// A queue was paused or resumed.
    QueuePaused(Arc<str>, bool),
    /// A repeated cancel shortened the grace period: the job is ended at this monotonic time.
    CancelDeadline(JobId, Duration),
    /// The server started after this downtime. The monotonic clock does not advance while the server is down, but start
    /// delays, back-offs and retention do.
    Resumed(Duration),
    /// The secret of minted ids and leases.
    Secret(IdSecret),
    /// An attempt with this number was offered to a remote worker. The number is not used again.
    Offered(JobId, u32),
    /// The number of the newest report of a worker instance; 0 once its session is removed.
    ReportsTaken(Instance, u64),
}

/// An accepted job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Accepted {
    pub(crate) id: JobId,
    pub(crate) job: NewJob,
    /// Its acceptance number.
    pub(crate) number: u64,
    pub(crate) create_time: Timestamp,
    /// Monotonic time of acceptance.
    pub(crate) created: Duration,
    pub(crate) first_wait: Option<WaitReason>,
    /// Monotonic time at which a scheduled job is due.
    pub(crate) deadline: Duration,
    /// The principal that submitted it; `None` if its caller had no identity.
    pub(crate) owner: Option<Arc<str>>,
}

/// A state change of a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StateChanged {
    pub(crate) id: JobId,
    pub(crate) event: Event,
    /// Attempts that do not count against the retry policy.
    pub(crate) lost: u32,
    pub(crate) released: u32,
    pub(crate) cancel_requested: bool,
    /// Monotonic time of the next step: due while SCHEDULED, removal after the end.
    pub(crate) deadline: Duration,
    /// When the retention of an ended job passes.
    pub(crate) expire_time: Option<Timestamp>,
    /// The attempt, if one runs.
    pub(crate) running: Option<Running>,
}

/// The removal of a job, with the data of its tombstone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Removed {
    pub(crate) id: JobId,
    /// When the result was removed. `None` if a job with a minted id was deleted: it has no tombstone.
    pub(crate) expire_time: Option<Timestamp>,
    /// Monotonic time of the removal.
    pub(crate) removed: Duration,
    /// The final state and the digest of the spec, if a caller chose the id.
    pub(crate) end: Option<(JobState, SpecDigest)>,
    /// Whether a caller deleted it.
    pub(crate) deleted: bool,
}

/// A running attempt and its worker.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Running {
    pub(crate) lease: LeaseId,
    pub(crate) link: Link,
    pub(crate) worker: Arc<str>,
    /// The principal of the worker; `None` if its calls are anonymous.
    pub(crate) principal: Option<Arc<str>>,
    pub(crate) attempt_deadline: Duration,
    /// The cancel of the attempt, if one was requested.
    pub(crate) cancel: Option<Cancel>,
}

/// The cancel of a running attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cancel {
    /// Monotonic time at which the job is ended.
    pub(crate) force_at: Duration,
    /// The reason of the first request.
    pub(crate) reason: String,
    /// The principal of the first request; `None` if it was anonymous.
    pub(crate) principal: Option<Arc<str>>,
}

impl Cancel {
    /// Bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        self.reason.len() + self.principal.as_ref().map_or(0, |name| name.len())
    }
}

/// The instance of a worker with a stream. Instances of different principals are different workers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Instance {
    pub(crate) id: Uuid,
    pub(crate) principal: Option<Arc<str>>,
}

/// The connection of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Link {
    /// A worker of the server's process.
    Pool,
    /// A stream. The instance identifies the worker when it reconnects.
    Stream(Uuid),
    /// Unary calls for leases and reports. The request id identifies the Lease call when it is repeated.
    Unary(Option<Uuid>),
}

impl Link {
    pub(crate) fn is_unary(&self) -> bool {
        matches!(self, Self::Unary(_))
    }

    /// Whether it identifies one session.
    pub(super) fn is_unique(&self) -> bool {
        matches!(self, Self::Stream(_) | Self::Unary(Some(_)))
    }
}

impl Record {
    /// The id of the job that the record belongs to.
    pub(crate) fn job(&self) -> Option<JobId> {
        match self {
            Self::Accepted(accepted) => Some(accepted.id),
            Self::StateChanged(changed) => Some(changed.id),
            Self::Removed(removed) => Some(removed.id),
            Self::Reported(id, _)
            | Self::Dropped(id, _)
            | Self::Offered(id, _)
            | Self::CancelDeadline(id, _) => Some(*id),
            Self::QueuePaused(..) | Self::ReportsTaken(..) | Self::Resumed(_) | Self::Secret(_) => None,
        }
    }
}
