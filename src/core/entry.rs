//! The record of a job in the table. Everything after its first attempt is in a separate allocation.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::callers::CallerKey;
use super::execution::{ActiveAttempt, End, Evicted, Execution, Phase};
use super::history::{Detail, Gap, Stream, Transition};
use super::keys::{JobKey, LaneKey};
use super::moment::Moment;
use crate::clock::Now;
use crate::job::{
    AttemptClass, JobId, JobOptions, JobState, NewJob, Outcome, Payload, RetryPolicy, Start, Timestamp,
    WaitReason,
};

/// The bit of `observer` that is set while a watch of the job is open.
pub(super) const WATCHED: u32 = 1 << 31;

pub(crate) struct Entry {
    pub(super) id: JobId,
    pub(super) payload: Payload,
    pub(super) options: Option<Arc<JobOptions>>,
    pub(super) accepted: u64,
    /// The entry of the log with the acceptance, or with the newest snapshot.
    pub(super) written: Option<NonZeroU64>,
    pub(super) create_time: Timestamp,
    /// Monotonic time of acceptance.
    pub(super) created: Moment,
    /// Monotonic time of the next step: due while SCHEDULED, end of the attempt while RUNNING, removal after the end.
    pub(super) deadline: Moment,
    pub(super) links: ListLinks,
    /// Monotonic time of the entry in the timers.
    pub(super) timer: Moment,
    pub(super) lane: LaneKey,
    /// The caller that submitted the job. After the end it is no connection.
    pub(super) caller: CallerKey,
    /// Sequence of the newest event.
    pub(super) sequence: u32,
    /// The observer that receives the job's effects, and [`WATCHED`]; 0 is none.
    pub(super) observer: u32,
    pub(super) priority: i8,
    pub(super) state: JobState,
    /// The wait reason at acceptance, which the first event shows.
    pub(super) first_wait: Option<WaitReason>,
    pub(super) cancel_requested: bool,
    /// Set from the first attempt on.
    pub(super) execution: Option<Box<Execution>>,
}

impl Entry {
    /// A job that is accepted now. It is in no list yet.
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
            caller: CallerKey::EMBEDDER,
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
            links: ListLinks::NONE,
            timer: Moment::NEVER,
            execution: None,
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

    /// Whether the job is offered to a worker that has not accepted it yet.
    pub(super) fn is_offered(&self) -> bool {
        self.state == JobState::Queued && self.active().is_some()
    }

    /// Monotonic deadline of an unfinished job, if its spec has a timeout.
    pub(super) fn overall_deadline(&self) -> Option<Moment> {
        let timeout = self.options.as_ref().and_then(|options| options.timeout)?;
        (!self.state.is_final()).then(|| Duration::from(self.created).saturating_add(timeout).into())
    }

    pub(super) fn execution_mut(&mut self) -> &mut Execution {
        self.execution.get_or_insert_default()
    }

    /// The attempt that runs or is offered.
    pub(super) fn active(&self) -> Option<&ActiveAttempt> {
        match &self.execution.as_ref()?.phase {
            Phase::Active(active) => Some(active),
            Phase::Waiting | Phase::Ended(_) => None,
        }
    }

    pub(super) fn active_mut(&mut self) -> Option<&mut ActiveAttempt> {
        match &mut self.execution.as_mut()?.phase {
            Phase::Active(active) => Some(active),
            Phase::Waiting | Phase::Ended(_) => None,
        }
    }

    /// Sets or removes the attempt that runs or is offered.
    pub(super) fn set_active(&mut self, active: Option<ActiveAttempt>) {
        match active {
            Some(active) => self.execution_mut().phase = Phase::Active(active),
            None if self.active().is_some() => self.execution_mut().phase = Phase::Waiting,
            None => {}
        }
    }

    /// The end of the job, if it ended.
    pub(super) fn end(&self) -> Option<&End> {
        match &self.execution.as_ref()?.phase {
            Phase::Ended(end) => Some(end),
            Phase::Waiting | Phase::Active(_) => None,
        }
    }

    pub(super) fn end_mut(&mut self) -> Option<&mut End> {
        match &mut self.execution.as_mut()?.phase {
            Phase::Ended(end) => Some(end),
            Phase::Waiting | Phase::Active(_) => None,
        }
    }

    /// Metadata of the contents while they are evicted.
    pub(super) fn evicted(&self) -> Option<&Evicted> {
        self.end()?.evicted.as_deref()
    }

    /// Ends the job.
    pub(super) fn set_end(&mut self, end: End) {
        self.execution_mut().phase = Phase::Ended(end);
    }

    /// State changes after the first event.
    pub(super) fn history(&self) -> &[Transition] {
        self.execution.as_ref().map_or(&[], |execution| &execution.history)
    }

    pub(super) fn history_mut(&mut self) -> &mut [Transition] {
        self.execution.as_mut().map_or(&mut [], |execution| &mut execution.history)
    }

    /// The state change with this sequence.
    pub(super) fn transition(&self, sequence: u32) -> Option<&Transition> {
        let at = self.history().binary_search_by_key(&sequence, |transition| transition.sequence).ok()?;
        self.history().get(at)
    }

    /// Drops the oldest state changes until `count_max` are left, and the events before the last dropped one. Returns
    /// whether any was dropped.
    pub(super) fn drop_history(&mut self, count_max: usize) -> bool {
        let execution = self.execution_mut();
        let surplus = execution.history.len().saturating_sub(count_max);
        let Some([first, .., last] | [first @ last]) = execution.history.get(..surplus) else { return false };
        let (from, to) = (first.sequence, last.sequence);
        execution.history.drain(..surplus);
        execution.history.shrink_to_fit();
        execution.stream.get_or_insert_default().drop_until(from, to, surplus);
        true
    }

    /// Restores recorded gaps, and drops the events in them.
    pub(super) fn set_gaps(&mut self, gaps: &[Gap]) {
        let execution = self.execution_mut();
        execution.history.retain(|transition| !gaps.iter().any(|gap| gap.contains(transition.sequence)));
        execution.stream.get_or_insert_default().set_gaps(gaps);
        // The newest event may have been dropped. Its sequence is not used again.
        self.sequence = gaps.iter().map(|gap| gap.to).fold(self.sequence, u32::max);
    }

    /// Progress, output and log lines, if there are any.
    pub(super) fn stream(&self) -> Option<&Stream> {
        self.execution.as_ref()?.stream.as_deref()
    }

    /// The gaps in the job's events, as they are recorded.
    pub(super) fn gaps(&self) -> Arc<[Gap]> {
        self.stream().map(Stream::gaps).unwrap_or_default().into()
    }

    pub(super) fn stream_and_history(&mut self) -> (&mut Stream, &[Transition]) {
        let execution = self.execution_mut();
        (execution.stream.get_or_insert_default(), &execution.history)
    }

    /// The newest attempt number that a remote worker was offered.
    pub(super) fn offered(&self) -> u32 {
        self.execution.as_ref().map_or(0, |execution| execution.offered)
    }

    /// The number of the next attempt. A number that was offered is not used again, because that worker may run it.
    pub(super) fn next_attempt(&self) -> u32 {
        self.attempt().max(self.offered()) + 1
    }

    /// Whether handlers released the job so many times. Offers that no worker accepted are not counted.
    pub(super) fn was_released(&self, times: u32) -> bool {
        self.released() >= times && {
            let begun = self.history().iter().filter(|change| matches!(change.detail, Detail::Worker(_)));
            self.released() - (self.attempt() - begun.count() as u32) >= times
        }
    }

    /// Begins the offered attempt. Its number counts from now on. Numbers before it that were only offered do not
    /// count.
    pub(super) fn begin_attempt(&mut self) {
        let Some(attempt) = self.active().map(|active| active.attempt) else { return };
        let execution = self.execution_mut();
        execution.released += attempt - execution.attempt - 1;
        execution.attempt = attempt;
    }

    /// Number of the newest attempt that began.
    pub(super) fn attempt(&self) -> u32 {
        self.execution.as_ref().map_or(0, |execution| execution.attempt)
    }

    /// How an attempt ends if the job changes to this state.
    pub(super) fn attempt_class(&self, state: JobState, detail: &Detail) -> AttemptClass {
        let failure = match (detail, self.end().map(|end| &end.outcome)) {
            (Detail::Failure(failure), _) | (_, Some(Outcome::Failure(failure))) => Some(failure.reason),
            _ => None,
        };
        match (state, failure) {
            (_, Some(reason)) => AttemptClass::Failed(reason),
            (JobState::Succeeded, None) => AttemptClass::Succeeded,
            (JobState::Cancelled, None) => AttemptClass::Cancelled,
            _ => AttemptClass::Released,
        }
    }

    /// How long a queued job has waited.
    pub(super) fn wait_time(&self, now: Now) -> Duration {
        match self.history().last() {
            Some(queued) => now.wall.since(queued.time),
            None => now.monotonic.saturating_sub(self.created.into()),
        }
    }

    /// How long the running attempt has run.
    pub(super) fn run_time(&self, now: Now) -> Duration {
        let begun = self.history().iter().rev().find(|change| matches!(change.detail, Detail::Worker(_)));
        begun.map(|begun| now.wall.since(begun.time)).unwrap_or_default()
    }

    /// The time since the job could have started.
    pub(super) fn time_since_due(&self, now: Now) -> Duration {
        now.wall.since(self.first_attempt_time().unwrap_or(self.create_time))
    }

    /// Attempts that were lost with their worker.
    pub(super) fn lost(&self) -> u32 {
        self.execution.as_ref().map_or(0, |execution| execution.lost)
    }

    /// Attempts that were released, and earlier offers that no worker accepted.
    pub(super) fn released(&self) -> u32 {
        self.execution.as_ref().map_or(0, |execution| execution.released)
    }
}

/// The neighbors of a record in its list.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListLinks {
    pub(super) previous: JobKey,
    pub(super) next: JobKey,
}

impl ListLinks {
    pub(super) const NONE: Self = Self { previous: JobKey::NONE, next: JobKey::NONE };
}
