//! A job's record in the table. It is small while the job waits: all that follows is in a box of its own.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::callers::CallerKey;
use super::course::{Course, End, Evicted, Live, Phase};
use super::history::{Detail, Stream, Transition, is_in};
use super::keys::{JobKey, LaneKey};
use super::moment::Moment;
use crate::clock::Now;
use crate::job::{JobId, JobOptions, JobState, NewJob, Payload, RetryPolicy, Start, Timestamp, WaitReason};

/// The bit of an observer that is set while a watch of the job is open.
pub(super) const WATCHED: u32 = 1 << 31;

pub(crate) struct Entry {
    pub(super) id: JobId,
    pub(super) payload: Payload,
    pub(super) options: Option<Arc<JobOptions>>,
    pub(super) accepted: u64,
    /// The entry of the log with its acceptance, or with its newest image.
    pub(super) written: Option<NonZeroU64>,
    pub(super) create_time: Timestamp,
    /// Monotonic time of acceptance.
    pub(super) created: Moment,
    /// Monotonic time of what comes next in this state: due while SCHEDULED, given up while RUNNING, removed when ended.
    pub(super) deadline: Moment,
    pub(super) links: Links,
    pub(super) timer: Timer,
    pub(super) lane: LaneKey,
    /// Whose job it is.
    pub(super) caller: CallerKey,
    /// Sequence of the newest event.
    pub(super) sequence: u32,
    /// Whom the engine tells of news, and [`WATCHED`]; 0 is nobody.
    pub(super) observer: u32,
    pub(super) priority: i8,
    pub(super) state: JobState,
    /// Why the job waited when it was accepted, as its first event tells.
    pub(super) first_wait: Option<WaitReason>,
    pub(super) cancel_requested: bool,
    /// What came of it since.
    pub(super) course: Option<Box<Course>>,
}

impl Entry {
    /// A job that is accepted now, in no list yet.
    pub(super) fn new(now: Now, id: JobId, job: NewJob, lane: LaneKey) -> Self {
        let (state, deadline) = match job.options.as_ref().map_or(Start::Now, |options| options.start) {
            Start::At(time) if time > now.wall => (JobState::Scheduled, Moment::NEVER),
            Start::After(delay) if !delay.is_zero() => {
                (JobState::Scheduled, now.monotonic.saturating_add(delay).into())
            }
            Start::Now | Start::At(_) | Start::After(_) => (JobState::Queued, Moment::NEVER),
        };
        Self {
            id,
            payload: job.payload,
            options: job.options,
            lane,
            priority: job.priority,
            caller: CallerKey::default(),
            state,
            first_wait: (state == JobState::Scheduled).then_some(WaitReason::NotDue),
            cancel_requested: false,
            sequence: 1,
            observer: 0,
            accepted: 0,
            written: None,
            create_time: now.wall,
            created: now.monotonic.into(),
            deadline,
            links: Links::NONE,
            timer: Timer::UNSET,
            course: None,
        }
    }

    pub(super) fn retry(&self) -> RetryPolicy {
        self.options.as_ref().map(|options| options.retry).unwrap_or_default()
    }

    pub(super) fn start(&self) -> Start {
        self.options.as_ref().map(|options| options.start).unwrap_or_default()
    }

    /// Attempts that count against the retry policy.
    pub(super) fn counted(&self) -> u32 {
        self.attempt().saturating_sub(self.lost().saturating_add(self.released()))
    }

    /// Whether a watch of the job is open.
    pub(super) fn is_watched(&self) -> bool {
        self.observer & WATCHED != 0
    }

    /// Whether a worker was given the job and has not accepted it yet.
    pub(super) fn is_offered(&self) -> bool {
        self.state == JobState::Queued && self.live().is_some()
    }

    /// Monotonic end of the job's whole life, if it has one and has not ended.
    pub(super) fn overall_deadline(&self) -> Option<Moment> {
        let timeout = self.options.as_ref().and_then(|options| options.timeout)?;
        (!self.state.is_final()).then(|| Duration::from(self.created).saturating_add(timeout).into())
    }

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

    pub(super) fn end_mut(&mut self) -> Option<&mut End> {
        match &mut self.course.as_mut()?.phase {
            Phase::Ended(end) => Some(end),
            Phase::Waits | Phase::Lives(_) => None,
        }
    }

    /// What is known of the contents while they are evicted.
    pub(super) fn evicted(&self) -> Option<&Evicted> {
        self.end()?.evicted.as_deref()
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

/// A record's neighbours in its list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Links {
    pub(super) previous: JobKey,
    pub(super) next: JobKey,
}

impl Links {
    pub(super) const NONE: Self = Self { previous: JobKey::NONE, next: JobKey::NONE };
}

/// The slot of a timer that is not set.
const UNSET: u16 = u16::MAX;

/// A record's timer, in sixteen bytes: every waiting job has one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timer {
    /// The tick it is set to, and in the lowest bits its slot.
    place: u64,
    pub(super) previous: JobKey,
    pub(super) next: JobKey,
}

impl Timer {
    pub(super) const UNSET: Self = Self { place: u64::MAX, previous: JobKey::NONE, next: JobKey::NONE };

    pub(super) fn new(at: u64, slot: usize, previous: JobKey) -> Self {
        Self { place: at << u16::BITS | slot as u64, previous, next: JobKey::NONE }
    }

    pub(super) fn slot(&self) -> Option<usize> {
        Some(self.place as u16).filter(|slot| *slot != UNSET).map(usize::from)
    }

    /// The tick the timer is set to.
    pub(super) fn at(&self) -> Option<u64> {
        self.slot().map(|_| self.place >> u16::BITS)
    }
}
