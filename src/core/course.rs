//! What came of a job since it was accepted. A job that only waits has none.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::contents::{Cold, Contents};
use super::entry::{Entry, Moment};
use super::history::{Detail, Stream, Transition, is_in};
use super::sessions::SessionKey;
use crate::job::{Failure, LeaseId, Outcome, Timestamp};

/// State changes after the first of a job that runs once: its start and its end.
pub(super) const USUAL_TRANSITIONS: usize = 2;

/// One allocation for all that a job which runs once comes to have.
#[derive(Default)]
pub(super) struct Course {
    phase: Phase,
    /// Number of the newest attempt that began.
    pub(super) attempt: u32,
    /// Of the numbers up to it, those that do not count against the retry policy: attempts that were lost with their
    /// worker; those that were given back, and numbers that were offered and never accepted.
    pub(super) lost: u32,
    pub(super) released: u32,
    /// The newest number that the worker of a stream was offered, accepted or not.
    pub(super) offered: u32,
    /// State changes after the first event.
    history: SmallVec<[Transition; USUAL_TRANSITIONS]>,
    /// Progress, output and logs, once there are any.
    stream: Option<Box<Stream>>,
}

#[derive(Default)]
enum Phase {
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
    pub(super) cold: Option<Box<Cold>>,
}

impl Entry {
    pub(super) fn course_mut(&mut self) -> &mut Course {
        self.course.get_or_insert_default()
    }

    /// The attempt that runs, or is about to.
    pub(super) fn live(&self) -> Option<&Live> {
        match &self.course.as_ref()?.phase {
            Phase::Lives(live) => Some(live),
            Phase::Waits | Phase::Ended(_) => None,
        }
    }

    pub(super) fn live_mut(&mut self) -> Option<&mut Live> {
        match &mut self.course.as_mut()?.phase {
            Phase::Lives(live) => Some(live),
            Phase::Waits | Phase::Ended(_) => None,
        }
    }

    /// The job has this attempt from now on, or none.
    pub(super) fn set_live(&mut self, live: Option<Live>) {
        match live {
            Some(live) => self.course_mut().phase = Phase::Lives(live),
            None if self.live().is_some() => self.course_mut().phase = Phase::Waits,
            None => {}
        }
    }

    /// How the job ended, once it did.
    pub(super) fn end(&self) -> Option<&End> {
        match &self.course.as_ref()?.phase {
            Phase::Ended(end) => Some(end),
            Phase::Waits | Phase::Lives(_) => None,
        }
    }

    /// How the job ended, with these contents if its own are evicted.
    pub(super) fn outcome<'a>(&'a self, contents: Option<&'a Contents>) -> Option<&'a Outcome> {
        self.end().map(|end| contents.map_or(&end.outcome, Contents::outcome))
    }

    /// Why the attempt that a state change ended failed, likewise.
    pub(super) fn failure<'a>(
        &'a self,
        transition: &'a Transition,
        contents: Option<&'a Contents>,
    ) -> Option<&'a Arc<Failure>> {
        let Detail::Failure(resident) = &transition.detail else { return None };
        Some(contents.and_then(|contents| contents.failure(transition.sequence)).unwrap_or(resident))
    }

    pub(super) fn end_mut(&mut self) -> Option<&mut End> {
        match &mut self.course.as_mut()?.phase {
            Phase::Ended(end) => Some(end),
            Phase::Waits | Phase::Lives(_) => None,
        }
    }

    /// The attempt is over with it, if there was one.
    pub(super) fn set_end(&mut self, end: End) {
        self.course_mut().phase = Phase::Ended(end);
    }

    /// State changes after the first event.
    pub(super) fn history(&self) -> &[Transition] {
        self.course.as_ref().map_or(&[], |course| &course.history)
    }

    pub(super) fn history_mut(&mut self) -> &mut [Transition] {
        self.course.as_mut().map_or(&mut [], |course| &mut course.history)
    }

    /// The state change that is the event with this sequence.
    pub(super) fn transition(&self, sequence: u32) -> Option<&Transition> {
        let at = self.history().binary_search_by_key(&sequence, |transition| transition.sequence).ok()?;
        self.history().get(at)
    }

    pub(super) fn push_transition(&mut self, transition: Transition) {
        self.course_mut().history.push(transition);
    }

    /// Forgets the oldest state changes but for so many, and what was written before the last of them. Answers whether there
    /// were more.
    pub(super) fn forget_history(&mut self, kept: usize) -> bool {
        let course = self.course_mut();
        let surplus = course.history.len().saturating_sub(kept);
        let Some([first, .., last] | [first @ last]) = course.history.get(..surplus) else { return false };
        let (from, to) = (first.sequence, last.sequence);
        course.history.drain(..surplus);
        course.history.shrink_to_fit();
        course.stream.get_or_insert_default().forget_until(from, to, surplus);
        true
    }

    /// Forgets the state changes that fell out in an earlier life.
    pub(super) fn forget_dropped(&mut self, ranges: &[[u32; 3]]) {
        self.course_mut().history.retain(|transition| !is_in(ranges, transition.sequence));
    }

    /// Progress, output and logs, once there are any.
    pub(super) fn stream(&self) -> Option<&Stream> {
        self.course.as_ref()?.stream.as_deref()
    }

    /// What fell out of the job's events, as it is recorded.
    pub(super) fn dropped(&self) -> Arc<[[u32; 3]]> {
        self.stream().map(Stream::dropped).unwrap_or_default().into()
    }

    pub(super) fn stream_mut(&mut self) -> &mut Stream {
        self.stream_and_history().0
    }

    pub(super) fn stream_and_history(&mut self) -> (&mut Stream, &[Transition]) {
        let course = self.course_mut();
        (course.stream.get_or_insert_default(), &course.history)
    }

    /// The newest number that the worker of a stream was offered.
    pub(super) fn offered(&self) -> u32 {
        self.course.as_ref().map_or(0, |course| course.offered)
    }

    /// The number of the next attempt. One that was sent to a worker is never used again, because that worker may run it
    /// though it was not heard of.
    pub(super) fn next_attempt(&self) -> u32 {
        self.attempt().max(self.offered()) + 1
    }

    /// Whether handlers gave the job back so often; offers that no worker accepted are none of theirs.
    pub(super) fn was_given_back(&self, times: u32) -> bool {
        self.released() >= times && {
            let begun = self.history().iter().filter(|change| matches!(change.detail, Detail::Worker(_)));
            self.released() - (self.attempt() - begun.count() as u32) >= times
        }
    }

    /// The attempt that the worker has begins now: its number counts from here on, those before it that were only offered
    /// do not.
    pub(super) fn begin_attempt(&mut self) {
        let Some(attempt) = self.live().map(|live| live.attempt) else { return };
        let course = self.course_mut();
        course.released += attempt - course.attempt - 1;
        course.attempt = attempt;
    }

    /// Number of the newest attempt that began.
    pub(super) fn attempt(&self) -> u32 {
        self.course.as_ref().map_or(0, |course| course.attempt)
    }

    /// Attempts that were lost with their worker.
    pub(super) fn lost(&self) -> u32 {
        self.course.as_ref().map_or(0, |course| course.lost)
    }

    /// Attempts that were given back, and offers before the newest attempt that no worker accepted.
    pub(super) fn released(&self) -> u32 {
        self.course.as_ref().map_or(0, |course| course.released)
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
