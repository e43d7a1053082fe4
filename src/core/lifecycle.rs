//! The lifecycle of a job after its acceptance: failures, retries, cancels, timeouts and the end.

use std::sync::Arc;
use std::time::Duration;

use super::effects::{Effect, Effects};
use super::execution::{End, INLINE_TRANSITIONS};
use super::history::Detail;
use super::keys::JobKey;
use super::moment::Moment;
use super::record::{Cancel, Record};
use super::refusals::check_size;
use super::state::Core;
use crate::clock::Now;
use crate::job::{AfterFailure, AttemptEnd, Cancellation, Failure, FailureReason, JobState, Outcome, Stop};

/// How often a job may be released without counting the attempt. Each release is a state change in its history.
const RELEASES_MAX: u32 = 10_000;
/// Shortest retention of a job that is watched when it ends, so that a broken watch can be resumed.
const WATCHED_RETENTION_MIN: Duration = Duration::from_secs(5);
/// How long the removal of a watched job is postponed.
const WATCHED_RECHECK: Duration = Duration::from_secs(1);

/// A request to cancel a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CancelRequest<'a> {
    pub(crate) reason: &'a str,
    /// How long the handler may take to stop.
    pub(crate) grace: Duration,
    /// The principal that sent the request; `None` if it was anonymous.
    pub(crate) principal: Option<&'a Arc<str>>,
}

impl Core {
    /// Applies the end of an attempt, as its worker reported it. The job is in no list.
    pub(super) fn apply_attempt_end(
        &mut self,
        now: Now,
        key: JobKey,
        end: AttemptEnd,
        effects: &mut Effects,
    ) {
        let limit = self.options.payload_bytes_max;
        let failure = match end {
            AttemptEnd::Success(result) => match check_size("result", result.bytes.len(), limit) {
                Ok(()) => return self.finish(now, key, Outcome::Result(result), effects),
                Err(error) => Failure::new(FailureReason::ResultTooLarge, error.message()).permanent(),
            },
            AttemptEnd::Failure(failure, retry_after) => {
                return self.attempt_failed(now, key, failure, retry_after, effects);
            }
            AttemptEnd::Cancelled | AttemptEnd::Release(_) if self.table[key].cancel_requested => {
                return self.end_cancel(now, key, false, effects);
            }
            AttemptEnd::Cancelled => {
                let message = "the handler stopped although no cancel was requested";
                Failure::new(FailureReason::Handler, message)
            }
            AttemptEnd::Release(_) if self.table[key].was_released(RELEASES_MAX) => {
                let message = format!("the job was released {RELEASES_MAX} times, the limit");
                Failure::new(FailureReason::Handler, message)
            }
            AttemptEnd::Release(after) => {
                self.table[key].execution_mut().released += 1;
                return self.retry_attempt(now, key, after, Detail::None, effects);
            }
        };
        self.attempt_failed(now, key, failure, None, effects);
    }

    /// Ends a failed attempt: the job is retried or ends. The job is in no list.
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
            entry.execution_mut().lost += 1;
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
                let failure = Arc::new(failure);
                self.log_retry(now, key, &failure, pause, effects);
                self.retry_attempt(now, key, pause, Detail::Failure(failure), effects);
            }
        }
    }

    fn retry_attempt(
        &mut self,
        now: Now,
        key: JobKey,
        pause: Duration,
        detail: Detail,
        effects: &mut Effects,
    ) {
        let (state, deadline) = match pause.is_zero() {
            true => (JobState::Queued, Moment::NEVER),
            false => (JobState::Scheduled, now.monotonic.saturating_add(pause).into()),
        };
        self.table[key].deadline = deadline;
        self.transition(now, key, state, detail, effects);
        self.drop_earlier_attempts(key, effects);
        self.arm_timer(key);
        if state == JobState::Queued {
            return self.requeue(now, key, effects);
        }
        let lane = self.table[key].lane;
        self.lanes[lane].scheduled.push_back(&mut self.table, key);
    }

    /// Drops the earlier attempts from the history of a retried job if jobs exceed their bound, so that the outcome of
    /// every job can be stored.
    fn drop_earlier_attempts(&mut self, key: JobKey, effects: &mut Effects) {
        if self.added_bytes() <= self.added_bytes_max() {
            return;
        }
        let entry = &mut self.table[key];
        let bytes_before = entry.live_bytes();
        if entry.drop_history(INLINE_TRANSITIONS) {
            self.live_bytes = self.live_bytes - bytes_before + entry.live_bytes();
            effects.record(|| Record::Dropped(entry.id, entry.gaps()));
        }
    }

    /// Queues a scheduled job that is due.
    pub(super) fn enqueue_due(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        if self.is_past_timeout(now, key) {
            return self.time_out(now, key, effects);
        }
        self.dequeue(key, effects);
        self.table[key].deadline = Moment::NEVER;
        self.transition(now, key, JobState::Queued, Detail::None, effects);
        self.arm_timer(key);
        self.start_or_enqueue(now, key, effects);
    }

    pub(super) fn request_cancel(
        &mut self,
        now: Now,
        key: JobKey,
        request: CancelRequest<'_>,
        effects: &mut Effects,
    ) {
        let CancelRequest { reason, grace, principal } = request;
        let force_at = now.monotonic.saturating_add(grace);
        let entry = &mut self.table[key];
        let Some(active) = entry.active_mut() else { return };
        let (lease, session) = (active.lease, active.session);
        let is_sooner = active.cancel.as_ref().is_none_or(|earlier| force_at < earlier.force_at);
        if !is_sooner && !grace.is_zero() {
            return;
        }
        let cancel = match active.cancel.take() {
            Some(first) => Cancel { force_at, ..*first },
            None => {
                let cancel = Cancel { force_at, reason: reason.to_owned(), principal: principal.cloned() };
                self.live_bytes += cancel.bytes() as u64;
                cancel
            }
        };
        active.cancel = Some(Box::new(cancel));
        let is_first = !std::mem::replace(&mut entry.cancel_requested, true);
        if grace.is_zero() {
            return self.end_cancel(now, key, true, effects);
        }
        let id = entry.id;
        match is_first {
            true => {
                let detail = principal.map_or(Detail::None, |name| Detail::Canceller(name.clone()));
                self.transition(now, key, JobState::Running, detail, effects);
            }
            false => effects.record(|| Record::CancelDeadline(id, force_at)),
        }
        effects.push(Effect::Stop(session, lease, Stop::Cancel(grace)));
        self.arm_attempt(key);
    }

    /// Ends a job whose cancel was requested. `forced` is set if its handler did not stop in time.
    fn end_cancel(&mut self, now: Now, key: JobKey, forced: bool, effects: &mut Effects) {
        let cancel = self.table[key].active().and_then(|active| active.cancel.as_deref());
        let (reason, principal) =
            cancel.map(|cancel| (cancel.reason.clone(), cancel.principal.clone())).unwrap_or_default();
        if forced {
            self.leave_session(key, true, effects);
        }
        self.finish_cancelled(now, key, Cancellation { reason, principal, forced }, effects);
    }

    pub(super) fn finish_cancelled(
        &mut self,
        now: Now,
        key: JobKey,
        cancellation: Cancellation,
        effects: &mut Effects,
    ) {
        self.finish(now, key, Outcome::Cancellation(Arc::new(cancellation)), effects);
    }

    /// Ends a job. It is in no list.
    pub(super) fn finish(&mut self, now: Now, key: JobKey, outcome: Outcome, effects: &mut Effects) {
        self.broken_streams.remove(&key);
        self.log_end(now, key, &outcome, effects);
        if let Outcome::Result(result) = &outcome {
            self.lanes.stats.payloads.result.record(result.bytes.len());
        }
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
        entry.caller = self.callers.end_job(entry.caller, submitted_bytes);
        let written = self.log_entry;
        entry.set_end(End { outcome, finish_time, expire_time, written, evicted: None });
        self.ended.add(state);
        self.live_jobs -= 1;
        let lane = entry.lane;
        self.lanes[lane].finished.add(now.monotonic);
        self.transition(now, key, state, Detail::None, effects);
        self.arm_timer(key);
        self.add_finished(key);
        // The job that just ended is not removed, so that its outcome can be read.
        self.enforce_retention(now, Some(key), effects);
    }

    /// Handles the job's timer.
    pub(super) fn timer_fired(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        if self.is_past_timeout(now, key) {
            return self.time_out(now, key, effects);
        }
        let entry = &self.table[key];
        let is_due = entry.deadline.is_past(now);
        match entry.state {
            JobState::Scheduled if is_due => self.enqueue_due(now, key, effects),
            JobState::Running if is_due => self.attempt_overdue(now, key, effects),
            JobState::Queued if is_due && entry.is_offered() => {
                self.leave_session(key, true, effects);
                self.requeue_offered(now, key, effects);
            }
            JobState::Succeeded | JobState::Failed | JobState::Cancelled if is_due => {
                self.retention_passed(now, key, effects);
            }
            _ => self.arm_timer(key),
        }
    }

    /// Removes a finished job. If a watch of it is open, the removal is postponed.
    fn retention_passed(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        if !self.table[key].is_watched() {
            self.finished.removed.ttl += 1;
            return self.expire(now, key, effects);
        }
        self.table[key].deadline = now.monotonic.saturating_add(WATCHED_RECHECK).into();
        self.arm_timer(key);
    }

    fn is_past_timeout(&self, now: Now, key: JobKey) -> bool {
        self.table[key].overall_deadline().is_some_and(|deadline| deadline.is_past(now))
    }

    /// Ends a job whose timeout passed.
    fn time_out(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let timeout =
            self.table[key].options.as_ref().and_then(|options| options.timeout).unwrap_or_default();
        match self.table[key].state {
            JobState::Running => self.leave_session(key, true, effects),
            _ => self.dequeue(key, effects),
        }
        let message = format!("the job's timeout of {timeout:?} passed");
        let attempt = self.table[key].attempt();
        let failure = Failure { attempt, ..Failure::new(FailureReason::Deadline, message).permanent() };
        self.finish(now, key, Outcome::Failure(Arc::new(failure)), effects);
    }

    /// Ends an attempt whose deadline passed: the grace period of its cancel, its attempt timeout, or its lease.
    fn attempt_overdue(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        if self.table[key].cancel_requested {
            return self.end_cancel(now, key, true, effects);
        }
        let Some(active) = self.table[key].active() else { return };
        let (is_late, session) = (active.attempt_deadline.is_past(now), active.session);
        let failure = if is_late {
            let timeout = self.attempt_timeout(key);
            Failure::new(FailureReason::AttemptTimeout, format!("the attempt ran longer than {timeout:?}"))
        } else {
            let session = self.sessions.get(session);
            let name = session.map(|session| session.name.clone()).unwrap_or_default();
            let message = match session.is_some_and(|session| !session.connected) {
                true => format!("the connection of worker {name} broke, and it did not reconnect in time"),
                false => format!("the lease of worker {name} expired during the attempt"),
            };
            Failure::new(FailureReason::WorkerLost, message)
        };
        self.leave_session(key, true, effects);
        self.attempt_failed(now, key, failure, None, effects);
    }
}
