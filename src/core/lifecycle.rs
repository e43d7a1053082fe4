//! How one job moves through its life: events, failures, retries, cancels, timeouts and the end.

use std::sync::Arc;
use std::time::Duration;

use super::effects::{Effect, Effects, Record, Stop};
use super::entry::{End, LeaseId};
use super::history::{Detail, RingItem, Stream, Transition};
use super::sessions::SessionKey;
use super::table::JobKey;
use super::wheel::TICK_MAX;
use super::{Core, cancelled};
use crate::clock::Now;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{
    AfterFailure, Event, EventBody, Failure, FailureReason, JobId, JobState, Log, Outcome, Output, Payload,
    Progress, Start, WaitReason,
};

/// How often a job may be given back without counting the attempt; each leaves its mark in the job's history.
const RELEASES_MAX: u32 = 10_000;
/// A job that is watched when it ends is kept at least this long, so that its watchers come to read the end.
const WATCHED_RETENTION_MIN: Duration = Duration::from_secs(5);
/// Reports are refused from this sequence on, so that state changes never run out of numbers.
const REPORTS_END: u32 = u32::MAX - 1_000_000;

/// State changes after the first of a job that runs once: its start and its end.
const USUAL_TRANSITIONS: usize = 2;

/// How a worker says an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptEnd {
    /// With a result.
    Success(Payload),
    /// With a failure, and the pause the handler asks for before another attempt.
    Failure(Failure, Option<Duration>),
    /// The handler stopped because it was told to.
    Cancelled,
    /// The job is given back without counting an attempt, to be tried again after this long.
    Release(Duration),
}

/// What a worker reports while an attempt runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// How far it is.
    Progress(Progress),
    /// A chunk of output.
    Output(Output),
    /// A log line.
    Log(Log),
}

impl Core {
    /// Ends an attempt as its worker says.
    ///
    /// # Errors
    ///
    /// `LeaseLost` if the lease no longer stands: nothing changed but that the worker's slot is free.
    pub(crate) fn end_attempt(
        &mut self,
        now: Now,
        session: SessionKey,
        (id, lease): (JobId, LeaseId),
        end: AttemptEnd,
        effects: &mut Effects,
    ) -> Result<()> {
        let held = self.held(session, id, lease);
        if let Ok(key) = held {
            self.leave_running(key, false, effects);
            self.settle(now, key, end, effects);
        } else {
            let revoked =
                self.sessions.get_mut(session).is_some_and(|session| session.revoked.remove(&lease));
            if revoked {
                self.sessions.free_slot(session);
            }
        }
        if let Some(group) = self.sessions.get(session).map(|session| session.group) {
            self.dispatch(now, group, effects);
        }
        held.map(|_| ())
    }

    /// Adds what a running attempt reports to the job's events.
    ///
    /// # Errors
    ///
    /// `LeaseLost` if the lease no longer stands; `PayloadTooLarge` for a chunk beyond the payload limit.
    pub(crate) fn report(
        &mut self,
        now: Now,
        session: SessionKey,
        (id, lease): (JobId, LeaseId),
        report: Report,
        effects: &mut Effects,
    ) -> Result<()> {
        let key = self.held(session, id, lease)?;
        let (limit, ring_max) = (self.options.payload_bytes_max, self.options.event_ring_bytes_max);
        if let Report::Output(output) = &report {
            check_size("output", output.payload.bytes.len(), limit)?;
        }
        let entry = &mut self.table[key];
        if entry.sequence >= REPORTS_END {
            return Err(too_many_events(id));
        }
        let bytes_before = entry.live_bytes();
        entry.sequence += 1;
        let (sequence, attempt, time) = (entry.sequence, entry.attempt, now.wall);
        let history = &entry.history;
        let stream: &mut Stream = entry.stream.get_or_insert_default();
        let body = match report {
            Report::Progress(progress) => {
                let progress = Arc::new(progress.bounded());
                stream.set_progress(sequence, attempt, time, progress.clone());
                EventBody::Progress(progress)
            }
            Report::Output(output) => {
                let output = output.bounded();
                stream.push(sequence, attempt, time, RingItem::Output(output.clone()), ring_max, history);
                EventBody::Output(output)
            }
            Report::Log(log) => {
                let log = log.bounded();
                stream.push(sequence, attempt, time, RingItem::Log(log.clone()), ring_max, history);
                EventBody::Log(log)
            }
        };
        self.live_bytes = self.live_bytes - bytes_before + entry.live_bytes();
        effects.record(|| Record::Event(id, Event { sequence, time, attempt, body }));
        self.wake(key, effects);
        Ok(())
    }

    /// The job whose newest lease this is, if the session holds it.
    fn held(&self, session: SessionKey, id: JobId, lease: LeaseId) -> Result<JobKey> {
        let key = lease.job_key();
        let live = self.table.get(key).filter(|entry| entry.id == id).and_then(|entry| entry.live.as_ref());
        match live {
            Some(live) if live.lease == lease && live.session == session => Ok(key),
            _ => Err(Error::new(
                ErrorKind::LeaseLost,
                format!("the lease on job {id} no longer stands: stop the attempt and drop its result"),
            )),
        }
    }

    fn settle(&mut self, now: Now, key: JobKey, end: AttemptEnd, effects: &mut Effects) {
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
            AttemptEnd::Cancelled if self.table[key].cancel_requested => self.end_cancel(now, key, effects),
            AttemptEnd::Cancelled => {
                let failure = Failure::new(
                    FailureReason::Handler,
                    "the handler stopped although no cancel was requested",
                );
                self.attempt_failed(now, key, failure, None, effects);
            }
            AttemptEnd::Release(_) if self.table[key].cancel_requested => self.end_cancel(now, key, effects),
            AttemptEnd::Release(_) if self.table[key].released >= RELEASES_MAX => {
                let message = format!("the job was given back {RELEASES_MAX} times, the limit");
                self.attempt_failed(now, key, Failure::new(FailureReason::Handler, message), None, effects);
            }
            AttemptEnd::Release(after) => {
                self.table[key].released += 1;
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
            return self.end_cancel(now, key, effects);
        }
        if failure.reason == FailureReason::WorkerLost {
            entry.lost += 1;
        }
        let failure = Failure { attempt: entry.attempt, ..failure.bounded() };
        let (id, counted, lost) = (entry.id, entry.counted(), entry.lost);
        match entry.retry().after(&failure, id, counted, lost, retry_after) {
            AfterFailure::End => self.finish(now, key, Outcome::Failure(Arc::new(failure)), effects),
            AfterFailure::Retry(pause) => {
                self.try_again(now, key, pause, Detail::Failure(Arc::new(failure)), effects);
            }
        }
    }

    fn try_again(&mut self, now: Now, key: JobKey, pause: Duration, detail: Detail, effects: &mut Effects) {
        let lane = self.table[key].lane;
        if pause.is_zero() {
            self.table[key].deadline = Duration::MAX;
            self.transition(now, key, JobState::Queued, detail, effects);
            self.arm(key);
            return self.wait_in_front(now, key, effects);
        }
        self.table[key].deadline = now.monotonic.saturating_add(pause);
        self.lanes[lane].scheduled.push_back(&mut self.table, key);
        self.transition(now, key, JobState::Scheduled, detail, effects);
        self.arm(key);
    }

    /// Moves a scheduled job whose time has come to its lane.
    pub(super) fn enqueue_due(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        if self.is_past_timeout(now, key) {
            return self.give_up(now, key, effects);
        }
        self.leave_waiting(key);
        self.table[key].deadline = Duration::MAX;
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
        let Some(live) = entry.live.as_mut() else { return };
        let (lease, session) = (live.lease, live.session);
        let is_sooner = live.cancel.as_ref().is_none_or(|(earlier, _)| force_at < *earlier);
        if !is_sooner && !grace.is_zero() {
            return;
        }
        let reason = live.cancel.take().map_or_else(|| reason.to_owned(), |(_, first_reason)| first_reason);
        live.cancel = Some((force_at, reason));
        entry.deadline = live.attempt_deadline.min(force_at);
        let is_first = !std::mem::replace(&mut entry.cancel_requested, true);
        if grace.is_zero() {
            return self.force_cancel(now, key, effects);
        }
        if is_first {
            self.transition(now, key, JobState::Running, Detail::None, effects);
        }
        effects.push(Effect::Stop(session, lease, Stop::Cancel(grace)));
        self.arm(key);
    }

    fn force_cancel(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let reason = self.cancel_reason(key);
        self.leave_running(key, true, effects);
        self.finish_cancelled(now, key, &reason, true, effects);
    }

    fn end_cancel(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let reason = self.cancel_reason(key);
        self.finish_cancelled(now, key, &reason, false, effects);
    }

    fn cancel_reason(&self, key: JobKey) -> String {
        let live = self.table[key].live.as_ref();
        live.and_then(|live| live.cancel.as_ref()).map(|(_, reason)| reason.clone()).unwrap_or_default()
    }

    pub(super) fn finish_cancelled(
        &mut self,
        now: Now,
        key: JobKey,
        reason: &str,
        forced: bool,
        effects: &mut Effects,
    ) {
        self.finish(now, key, cancelled(reason, forced), effects);
    }

    /// The end of a job that is in no list.
    pub(super) fn finish(&mut self, now: Now, key: JobKey, outcome: Outcome, effects: &mut Effects) {
        let entry = &mut self.table[key];
        let state = outcome.state();
        let retention =
            entry.options.as_ref().and_then(|options| options.retention).unwrap_or(self.options.retention);
        let is_watched = entry.observer != 0;
        let retention = if is_watched { retention.max(WATCHED_RETENTION_MIN) } else { retention };
        let (finish_time, expire_time) = (now.wall, now.wall.plus(retention));
        entry.live = None;
        entry.deadline = now.monotonic.saturating_add(retention);
        entry.end = Some(Box::new(End { outcome, finish_time, expire_time }));
        self.ended.add(state);
        self.live_jobs -= 1;
        self.live_bytes -= entry.live_bytes();
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
        let is_due = entry.deadline <= now.monotonic;
        match entry.state {
            JobState::Scheduled if is_due => self.enqueue_due(now, key, effects),
            JobState::Running if is_due => self.attempt_overdue(now, key, effects),
            JobState::Succeeded | JobState::Failed | JobState::Cancelled if is_due => {
                self.expire(now, key, effects)
            }
            _ => self.arm(key),
        }
    }

    fn is_past_timeout(&self, now: Now, key: JobKey) -> bool {
        self.table[key].overall_deadline().is_some_and(|deadline| deadline <= now.monotonic)
    }

    /// The job's timeout passed.
    fn give_up(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let timeout =
            self.table[key].options.as_ref().and_then(|options| options.timeout).unwrap_or_default();
        match self.table[key].state {
            JobState::Running => self.leave_running(key, true, effects),
            _ => self.leave_waiting(key),
        }
        let message = format!("the job's timeout of {timeout:?} passed");
        let attempt = self.table[key].attempt;
        let failure = Failure { attempt, ..Failure::new(FailureReason::Deadline, message).permanent() };
        self.finish(now, key, Outcome::Failure(Arc::new(failure)), effects);
    }

    /// A running attempt must end now: its cancel's grace is over, or it ran too long.
    fn attempt_overdue(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        if self.table[key].cancel_requested {
            return self.force_cancel(now, key, effects);
        }
        let timeout = self.table[key].options.as_ref().and_then(|options| options.attempt_timeout);
        let timeout = timeout.unwrap_or(self.options.attempt_timeout);
        let failure =
            Failure::new(FailureReason::AttemptTimeout, format!("the attempt ran longer than {timeout:?}"));
        self.leave_running(key, true, effects);
        self.attempt_failed(now, key, failure, None, effects);
    }

    /// Takes a waiting job out of its lane.
    pub(super) fn leave_waiting(&mut self, key: JobKey) {
        let entry = &self.table[key];
        let (lane, start, accepted) = (entry.lane, entry.start(), entry.accepted);
        match entry.state {
            JobState::Queued => {
                self.lanes[lane].remove(&mut self.table, key);
                self.refresh_standing(lane);
            }
            _ => self.lanes[lane].scheduled.remove(&mut self.table, key),
        }
        if let Start::At(time) = start {
            self.wall_starts.remove(&(time, accepted, key));
        }
    }

    /// Takes a running job from its session. Revoked, its slot stays taken until the worker says the handler stopped.
    pub(super) fn leave_running(&mut self, key: JobKey, revoke: bool, effects: &mut Effects) {
        let Some(live) = self.table[key].live.as_ref() else { return };
        let (lease, session_key) = (live.lease, live.session);
        if let Some(session) = self.sessions.get_mut(session_key) {
            session.running.remove(&mut self.table, key);
            if revoke {
                session.revoked.insert(lease);
            }
        }
        match revoke {
            true => effects.push(Effect::Stop(session_key, lease, Stop::Revoke)),
            false => self.sessions.free_slot(session_key),
        }
    }

    /// Moves the job to a state and numbers the event that tells it.
    pub(super) fn transition(
        &mut self,
        now: Now,
        key: JobKey,
        state: JobState,
        detail: Detail,
        effects: &mut Effects,
    ) {
        let wait_reason = self.wait_reason_in(key, state);
        let entry = &mut self.table[key];
        let counts = &mut self.lanes[entry.lane].counts;
        counts.remove(entry.state);
        counts.add(state);
        entry.state = state;
        entry.sequence += 1;
        if state != JobState::Running {
            entry.live = None;
        }
        let next_attempt_time = (state == JobState::Scheduled)
            .then(|| now.wall.plus(entry.deadline.saturating_sub(now.monotonic)));
        let transition = Transition {
            sequence: entry.sequence,
            attempt: entry.attempt,
            time: now.wall,
            state,
            wait_reason,
            cancel_requested: entry.cancel_requested && state == JobState::Running,
            next_attempt_time,
            detail,
        };
        let id = entry.id;
        effects.record(|| Record::Event(id, entry.transition_event(&transition)));
        if entry.history.capacity() == 0 {
            entry.history.reserve_exact(USUAL_TRANSITIONS);
        }
        entry.history.push(transition);
        self.wake(key, effects);
    }

    fn wait_reason_in(&self, key: JobKey, state: JobState) -> Option<WaitReason> {
        match state {
            JobState::Scheduled => Some(WaitReason::BackOff),
            JobState::Queued => self.wait_reason_of(self.table[key].lane),
            _ => None,
        }
    }

    /// Sets the job's timer to the first thing that is due of it.
    pub(super) fn arm(&mut self, key: JobKey) {
        let entry = &self.table[key];
        let first = entry.overall_deadline().unwrap_or(Duration::MAX).min(entry.deadline);
        match first {
            Duration::MAX => self.wheel.clear(&mut self.table, key),
            first => self.wheel.set(&mut self.table, key, tick_after(first)),
        }
    }

    fn wake(&mut self, key: JobKey, effects: &mut Effects) {
        let entry = &mut self.table[key];
        match (entry.observer, &entry.end) {
            (0, _) => {}
            (observer, None) => effects.push(Effect::Wake(observer)),
            (observer, Some(end)) => {
                effects.push(Effect::Ended(observer, end.outcome.clone()));
                entry.observer = 0;
            }
        }
    }
}

/// The first tick at or after this time. The last tick stands for everything the wheel does not reach.
fn tick_after(time: Duration) -> u64 {
    let tick = time.as_nanos().div_ceil(1_000_000);
    u64::try_from(tick).map_or(TICK_MAX, |tick| tick.min(TICK_MAX))
}

fn too_many_events(id: JobId) -> Error {
    let kind = ErrorKind::ResourceExhausted {
        reason: "EVENTS_FULL",
        subject: format!("job:{id}"),
        retry_after: Duration::from_secs(3600),
    };
    Error::new(kind, format!("job {id} has {REPORTS_END} events, the limit: report less often"))
}

fn check_size(field: &str, size: usize, limit: usize) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    let message =
        format!("{field} is {size} bytes, the limit is {limit}: store it elsewhere and return a reference");
    Err(Error::new(ErrorKind::PayloadTooLarge { field: field.to_owned(), size, limit }, message))
}
