//! The part of a job's record that begins with its first attempt. A job that only waits has none.

use std::num::NonZeroU64;
use std::time::Duration;

use smallvec::SmallVec;

use super::history::{Stream, Transition};
use super::keys::SessionKey;
use super::moment::Moment;
use crate::job::{ContentDigest, LeaseId, Outcome, Timestamp};

/// State changes after the first of a job that runs once: its start and its end.
pub(super) const USUAL_TRANSITIONS: usize = 2;

/// One allocation for all that a job which runs once comes to have.
#[derive(Default)]
pub(super) struct Course {
    pub(super) phase: Phase,
    /// Number of the newest attempt that began.
    pub(super) attempt: u32,
    /// Of the numbers up to it, those that do not count against the retry policy: attempts that were lost with their
    /// worker; those that were given back, and numbers that were offered and never accepted.
    pub(super) lost: u32,
    pub(super) released: u32,
    /// The newest number that the worker of a stream was offered, accepted or not.
    pub(super) offered: u32,
    /// State changes after the first event.
    pub(super) history: SmallVec<[Transition; USUAL_TRANSITIONS]>,
    /// Progress, output and logs, once there are any.
    pub(super) stream: Option<Box<Stream>>,
}

#[derive(Default)]
pub(super) enum Phase {
    #[default]
    Waits,
    /// RUNNING, or QUEUED after a worker was given the job until it accepts.
    Lives(Live),
    Ended(End),
}

/// The attempt that runs, or is about to.
pub(super) struct Live {
    pub(super) lease: LeaseId,
    /// Its number.
    pub(super) attempt: u32,
    pub(super) session: SessionKey,
    /// Monotonic time at which the attempt is given up; never before it begins.
    pub(super) attempt_deadline: Moment,
    /// Monotonic time at which the lease runs out; before the job is accepted, at which it is taken back. Never
    /// in the server's own workers.
    pub(super) lease_deadline: Moment,
    /// After a cancel: when it is forced, and its reason.
    pub(super) cancel: Option<Box<(Duration, String)>>,
}

impl Live {
    /// Has the lease last until then; one of the server's own workers never runs out.
    pub(super) fn renew(&mut self, until: Duration) {
        if self.lease_deadline != Moment::NEVER {
            self.lease_deadline = until.into();
        }
    }

    /// Monotonic time of whatever ends the attempt first.
    pub(super) fn deadline(&self) -> Moment {
        let forced = self.cancel.as_ref().map_or(Moment::NEVER, |cancel| cancel.0.into());
        self.attempt_deadline.min(self.lease_deadline).min(forced)
    }
}

pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) finish_time: Timestamp,
    pub(super) expire_time: Timestamp,
    /// The entry of the log with the end, or with the job's newest image.
    pub(super) written: Option<NonZeroU64>,
    /// Set while the job's contents are in the log alone.
    pub(super) evicted: Option<Box<Evicted>>,
}

/// What is known of contents that are not in memory.
pub(super) struct Evicted {
    /// The job's weight with them.
    pub(super) weight: u64,
    /// Bytes of the job in a list with payloads.
    pub(super) listed_bytes: usize,
    pub(super) payload_bytes: u64,
    pub(super) payload: ContentDigest,
    pub(super) needs_all: bool,
    pub(super) ring_from: u32,
}

impl Evicted {
    /// The bytes of the payload's content, and its digest.
    pub(super) fn payload(&self) -> (u64, ContentDigest) {
        (self.payload_bytes, self.payload)
    }
}

#[cfg(test)]
mod tests {
    use super::Course;

    /// Every finished job has one for an hour: no field is added without looking at this.
    #[test]
    fn a_course_is_as_small_as_it_is_said_to_be() {
        assert_eq!(size_of::<Course>(), 224);
    }
}
