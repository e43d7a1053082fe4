//! How one job moves through its life: events, failures, retries, cancels, timeouts and the end.

use std::sync::Arc;
use std::time::Duration;

use super::course::{End, USUAL_TRANSITIONS};
use super::effects::{Effect, Effects};
use super::history::Detail;
use super::keys::JobKey;
use super::moment::Moment;
use super::record::Record;
use super::refusals::check_size;
use super::state::Core;
use crate::clock::Now;
use crate::job::{AfterFailure, AttemptEnd, Cancellation, Failure, FailureReason, JobState, Outcome, Stop};

/// How often a job may be given back without counting the attempt; each leaves its mark in the job's history.
const RELEASES_MAX: u32 = 10_000;
/// A job that is watched when it ends is kept at least this long, so that a watch that was cut off can be resumed.
const WATCHED_RETENTION_MIN: Duration = Duration::from_secs(5);
/// How often a job is looked at whose retention passed while a watch of it was open.
const WATCHED_RECHECK: Duration = Duration::from_secs(1);

impl Core {
    /// What follows a worker's end of an attempt whose job is in no list.
    pub(super) fn settle(&mut self, now: Now, key: JobKey, end: AttemptEnd, effects: &mut Effects) {
        let limit = self.options.payload_bytes_max;
        match end {
            AttemptEnd::Success(result) => match check_size("result", result.bytes.len(), limit) {
                Ok(()) => self.finish(now, key, Outcome::Result(result), effects),
                Err(error) => {
                    let failure = Failure::new(FailureReason::ResultTooLarge, error.message()).permanent();
                    self.attempt_failed(now, key, failure, None, effects);
                }
            },
            AttemptEnd::Failure(failure, retry_after) => {
                self.attempt_failed(now, key, failure, retry_after, effects);
            }
            AttemptEnd::Cancelled if self.table[key].cancel_requested => {
                self.end_cancel(now, key, false, effects)
            }
            AttemptEnd::Cancelled => {
                let failure = Failure::new(
                    FailureReason::Handler,
                    "the handler stopped although no cancel was requested",
                );
                self.attempt_failed(now, key, failure, None, effects);
            }
            AttemptEnd::Release(_) if self.table[key].cancel_requested => {
                self.end_cancel(now, key, false, effects)
            }
            AttemptEnd::Release(_) if self.table[key].was_given_back(RELEASES_MAX) => {
                let message = format!("the job was given back {RELEASES_MAX} times, the limit");
                self.attempt_failed(now, key, Failure::new(FailureReason::Handler, message), None, effects);
            }
            AttemptEnd::Release(after) => {
                self.table[key].course_mut().released += 1;
                self.try_again(now, key, after, Detail::None, effects);
            }
        }
    }

    /// What follows a failed attempt of a job that is in no list: another one, or the end.
    pub(super) fn attempt_failed(
        &mut self,
        now: Now,
        key: JobKey,
        failure: Failure,
        retry_after: Option<Duration>,
        effects: &mut Effects,
    ) {
        let entry = &mut self.table[key];
        if entry.cancel_requested {
            return self.end_cancel(now, key, false, effects);
        }
        if failure.reason == FailureReason::WorkerLost {
            entry.course_mut().lost += 1;
        }
        let failure = Failure { attempt: entry.attempt(), ..failure.bounded() };
        let (id, counted, lost) = (entry.id, entry.counted(), entry.lost());
        match entry.retry().after(&failure, id, counted, lost, retry_after) {
            AfterFailure::End => self.finish(now, key, Outcome::Failure(Arc::new(failure)), effects),
            AfterFailure::Retry(pause) => {
                let failure = match self.added_bytes() + failure.bytes(true) as u64 > self.added_bytes_max() {
                    true => failure.shortened(),
                    false => failure,
                };
                self.try_again(now, key, pause, Detail::Failure(Arc::new(failure)), effects);
            }
        }
    }

    fn try_again(&mut self, now: Now, key: JobKey, pause: Duration, detail: Detail, effects: &mut Effects) {
        let (state, deadline) = match pause.is_zero() {
            true => (JobState::Queued, Moment::NEVER),
            false => (JobState::Scheduled, now.monotonic.saturating_add(pause).into()),
        };
        self.table[key].deadline = deadline;
        self.transition(now, key, state, detail, effects);
        self.forget_attempts(key, effects);
        self.arm(key);
        if state == JobState::Queued {
            return self.wait_in_front(now, key, effects);
        }
        let lane = self.table[key].lane;
        self.lanes[lane].scheduled.push_back(&mut self.table, key);
    }

    /// Forgets the earlier attempts of a job that is tried again, if jobs hold too many bytes: the end of no job is lost for
    /// them.
    fn forget_attempts(&mut self, key: JobKey, effects: &mut Effects) {
        if self.added_bytes() <= self.added_bytes_max() {
            return;
        }
        let entry = &mut self.table[key];
        let bytes_before = entry.live_bytes();
        if entry.forget_history(USUAL_TRANSITIONS) {
            self.live_bytes = self.live_bytes - bytes_before + entry.live_bytes();
            effects.record(|| Record::Dropped(entry.id, entry.dropped()));
        }
    }

    /// Moves a scheduled job whose time has come to its lane.
    pub(super) fn enqueue_due(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        if self.is_past_timeout(now, key) {
            return self.give_up(now, key, effects);
        }
        self.leave_waiting(key, effects);
        self.table[key].deadline = Moment::NEVER;
        self.transition(now, key, JobState::Queued, Detail::None, effects);
        self.arm(key);
        self.start_or_wait(now, key, effects);
    }

    pub(super) fn request_cancel(
        &mut self,
        now: Now,
        key: JobKey,
        reason: &str,
        grace: Duration,
        effects: &mut Effects,
    ) {
        let force_at = now.monotonic.saturating_add(grace);
        let entry = &mut self.table[key];
        let Some(live) = entry.live_mut() else { return };
        let (lease, session) = (live.lease, live.session);
        let is_sooner = live.cancel.as_ref().is_none_or(|earlier| force_at < earlier.0);
        if !is_sooner && !grace.is_zero() {
            return;
        }
        let reason = match live.cancel.take() {
            Some(first) => first.1,
            None => {
                self.live_bytes += reason.len() as u64;
                reason.to_owned()
            }
        };
        live.cancel = Some(Box::new((force_at, reason)));
        let is_first = !std::mem::replace(&mut entry.cancel_requested, true);
        if grace.is_zero() {
            return self.end_cancel(now, key, true, effects);
        }
        let id = entry.id;
        match is_first {
            true => self.transition(now, key, JobState::Running, Detail::None, effects),
            false => effects.record(|| Record::CancelHastened(id, force_at)),
        }
        effects.push(Effect::Stop(session, lease, Stop::Cancel(grace)));
        self.await_deadline(key);
    }

    /// Ends a job whose cancel was requested; `forced` if its handler did not stop in time.
    fn end_cancel(&mut self, now: Now, key: JobKey, forced: bool, effects: &mut Effects) {
        let cancel = self.table[key].live().and_then(|live| live.cancel.as_deref());
        let reason = cancel.map(|(_, reason)| reason.clone()).unwrap_or_default();
        if forced {
            self.leave_session(key, true, effects);
        }
        self.finish_cancelled(now, key, reason, forced, effects);
    }

    pub(super) fn finish_cancelled(
        &mut self,
        now: Now,
        key: JobKey,
        reason: String,
        forced: bool,
        effects: &mut Effects,
    ) {
        let outcome = Outcome::Cancellation(Arc::new(Cancellation { reason, forced }));
        self.finish(now, key, outcome, effects);
    }

    /// The end of a job that is in no list.
    pub(super) fn finish(&mut self, now: Now, key: JobKey, outcome: Outcome, effects: &mut Effects) {
        self.clear_suspect(key);
        let entry = &mut self.table[key];
        let state = outcome.state();
        let retention =
            entry.options.as_ref().and_then(|options| options.retention).unwrap_or(self.options.retention);
        let is_watched = entry.observer != 0;
        let retention = if is_watched { retention.max(WATCHED_RETENTION_MIN) } else { retention };
        let (finish_time, expire_time) = (now.wall, now.wall.plus(retention));
        entry.deadline = now.monotonic.saturating_add(retention).into();
        self.live_bytes -= entry.live_bytes();
        let submitted_bytes = entry.submitted_bytes();
        self.submitted_bytes -= submitted_bytes;
        self.callers.remove_job(entry.caller, submitted_bytes);
        let written = self.log_entry;
        entry.set_end(End { outcome, finish_time, expire_time, written, evicted: None });
        self.ended.add(state);
        self.live_jobs -= 1;
        let lane = entry.lane;
        self.lanes[lane].finished.add(now.monotonic);
        self.transition(now, key, state, Detail::None, effects);
        self.arm(key);
        self.retain(now, key, effects);
    }

    /// Handles the job's timer, whatever it was for.
    pub(super) fn timer_fired(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        if self.is_past_timeout(now, key) {
            return self.give_up(now, key, effects);
        }
        let entry = &self.table[key];
        let is_due = entry.deadline.is_past(now);
        match entry.state {
            JobState::Scheduled if is_due => self.enqueue_due(now, key, effects),
            JobState::Running if is_due => self.attempt_overdue(now, key, effects),
            JobState::Queued if is_due && entry.is_offered() => {
                self.leave_session(key, true, effects);
                self.take_back(now, key, effects);
            }
            JobState::Succeeded | JobState::Failed | JobState::Cancelled if is_due => {
                self.retention_passed(now, key, effects);
            }
            _ => self.arm(key),
        }
    }

    /// Removes a finished job, unless a watch of it is open: then it is looked at again a little later.
    fn retention_passed(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        if !self.table[key].is_watched() {
            return self.expire(now, key, effects);
        }
        self.table[key].deadline = now.monotonic.saturating_add(WATCHED_RECHECK).into();
        self.arm(key);
    }

    fn is_past_timeout(&self, now: Now, key: JobKey) -> bool {
        self.table[key].overall_deadline().is_some_and(|deadline| deadline.is_past(now))
    }

    /// The job's timeout passed.
    fn give_up(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let timeout =
            self.table[key].options.as_ref().and_then(|options| options.timeout).unwrap_or_default();
        match self.table[key].state {
            JobState::Running => self.leave_session(key, true, effects),
            _ => self.leave_waiting(key, effects),
        }
        let message = format!("the job's timeout of {timeout:?} passed");
        let attempt = self.table[key].attempt();
        let failure = Failure { attempt, ..Failure::new(FailureReason::Deadline, message).permanent() };
        self.finish(now, key, Outcome::Failure(Arc::new(failure)), effects);
    }

    /// A running attempt must end now: its cancel's grace is over, it ran too long, or its worker was not heard of.
    fn attempt_overdue(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        if self.table[key].cancel_requested {
            return self.end_cancel(now, key, true, effects);
        }
        let Some(live) = self.table[key].live() else { return };
        let (is_late, lost_by) = (live.attempt_deadline.is_past(now), live.session);
        let failure = if is_late {
            let timeout = self.attempt_timeout(key);
            Failure::new(FailureReason::AttemptTimeout, format!("the attempt ran longer than {timeout:?}"))
        } else {
            let message = match self.sessions.get(lost_by) {
                Some(session) if !session.connected => {
                    format!(
                        "the connection of worker {} broke, and it did not come back in time",
                        session.name
                    )
                }
                session => {
                    let name = session.map(|session| session.name.clone()).unwrap_or_default();
                    format!("the lease of worker {name} ran out during the attempt")
                }
            };
            Failure::new(FailureReason::WorkerLost, message)
        };
        self.leave_session(key, true, effects);
        self.attempt_failed(now, key, failure, None, effects);
    }
}
