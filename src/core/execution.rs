//! The part of a job's record that exists from its first attempt on.

use std::num::NonZeroU64;
use std::time::Duration;

use smallvec::SmallVec;

use super::history::{Stream, Transition};
use super::keys::SessionKey;
use super::moment::Moment;
use super::record::Cancel;
use crate::job::{ContentDigest, LeaseId, Outcome, Timestamp};

/// State changes that need no further allocation: start and end of a job with one attempt.
pub(super) const INLINE_TRANSITIONS: usize = 2;

/// The state of a job from its first attempt on, in one allocation.
#[derive(Default)]
pub(super) struct Execution {
    pub(super) phase: Phase,
    /// Number of the newest attempt that began.
    pub(super) attempt: u32,
    /// Attempt numbers that do not count against the retry policy: attempts that were lost with their worker; attempts
    /// that were released, and numbers that were offered but not accepted.
    pub(super) lost: u32,
    pub(super) released: u32,
    /// The newest number that a remote worker was offered, accepted or not.
    pub(super) offered: u32,
    /// State changes after the first event.
    pub(super) history: SmallVec<[Transition; INLINE_TRANSITIONS]>,
    /// Progress, output and log lines, if there are any.
    pub(super) stream: Option<Box<Stream>>,
}

#[derive(Default)]
pub(super) enum Phase {
    #[default]
    Waiting,
    /// RUNNING, or QUEUED with an offer that is not accepted yet.
    Active(ActiveAttempt),
    Ended(End),
}

/// An attempt that runs or is offered.
pub(super) struct ActiveAttempt {
    pub(super) lease: LeaseId,
    /// The number of the attempt.
    pub(super) attempt: u32,
    pub(super) session: SessionKey,
    /// Monotonic time at which the attempt times out. Set when it begins.
    pub(super) attempt_deadline: Moment,
    /// Monotonic time at which the lease expires, or the offer if it is not accepted yet. Never, for the server's own
    /// workers.
    pub(super) lease_deadline: Moment,
    /// The cancel of the attempt, if one was requested.
    pub(super) cancel: Option<Box<Cancel>>,
}

impl ActiveAttempt {
    /// Extends the lease. A lease of the server's own workers never expires.
    pub(super) fn renew(&mut self, until: Duration) {
        if self.lease_deadline != Moment::NEVER {
            self.lease_deadline = until.into();
        }
    }

    /// Monotonic time of the earliest deadline.
    pub(super) fn deadline(&self) -> Moment {
        let forced = self.cancel.as_ref().map_or(Moment::NEVER, |cancel| cancel.force_at.into());
        self.attempt_deadline.min(self.lease_deadline).min(forced)
    }
}

pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) finish_time: Timestamp,
    pub(super) expire_time: Timestamp,
    /// The entry of the log with the end, or with the newest snapshot.
    pub(super) written: Option<NonZeroU64>,
    /// Set while the contents are evicted.
    pub(super) evicted: Option<Box<Evicted>>,
}

/// Metadata of evicted contents.
pub(super) struct Evicted {
    /// The weight of the job with its contents.
    pub(super) weight: u64,
    /// The size of the job in a list with payloads.
    pub(super) listed_bytes: usize,
    pub(super) payload_bytes: u64,
    pub(super) payload: ContentDigest,
    pub(super) needs_all: bool,
    pub(super) ring_from: u32,
}

#[cfg(test)]
mod tests {
    use super::Execution;

    /// The memory of finished jobs depends on this size.
    #[test]
    fn a_course_is_as_small_as_it_is_said_to_be() {
        assert_eq!(size_of::<Execution>(), 224);
    }
}
