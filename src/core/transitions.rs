//! Transitions of one job: its state, event, timer, list and session.

use std::time::Duration;

use super::effects::{Effect, Effects};
use super::entry::WATCHED;
use super::execution::ActiveAttempt;
use super::history::{Detail, Transition};
use super::keys::{JobKey, SessionKey};
use super::moment::Moment;
use super::record::{Record, StateChanged};
use super::sessions::Session;
use super::state::Core;
use super::weight::added_bytes;
use crate::clock::Now;
use crate::job::{JobState, Start, Stop, WaitReason};

impl Core {
    /// Changes the state of a job and appends the event.
    pub(super) fn transition(
        &mut self,
        now: Now,
        key: JobKey,
        state: JobState,
        detail: Detail,
        effects: &mut Effects,
    ) {
        let wait_reason = match state {
            JobState::Scheduled => Some(WaitReason::BackOff),
            JobState::Queued => self.wait_reason_of(key),
            _ => None,
        };
        self.count_transition(now, key, state, &detail);
        let entry = &mut self.table[key];
        entry.state = state;
        entry.sequence += 1;
        if state != JobState::Running {
            entry.set_active(None);
        }
        let next_attempt_time = (state == JobState::Scheduled)
            .then(|| now.wall.plus(Duration::from(entry.deadline).saturating_sub(now.monotonic)));
        let transition = Transition {
            sequence: entry.sequence,
            attempt: entry.attempt(),
            time: now.wall,
            state,
            wait_reason,
            cancel_requested: entry.cancel_requested && state == JobState::Running,
            delay: Transition::delay(now.wall, next_attempt_time),
            detail,
        };
        effects.record(|| {
            let running = entry.active().and_then(|active| self.sessions.running(active));
            Record::StateChanged(StateChanged::of(entry, entry.transition_event(&transition, None), running))
        });
        if !state.is_final() {
            self.live_bytes += added_bytes(entry.history().len(), &transition) as u64;
        }
        entry.execution_mut().history.push(transition);
        self.push_change(key, effects);
        self.wake(key, effects);
    }

    /// Counts a state change, before it is applied.
    fn count_transition(&mut self, now: Now, key: JobKey, state: JobState, detail: &Detail) {
        let entry = &self.table[key];
        let series = self.lanes.change_state(now, entry.lane, entry.state, state);
        let stats = &mut self.lanes.stats;
        match (entry.state, state) {
            (JobState::Running, JobState::Running) => {}
            (JobState::Running, _) => {
                stats.attempt_ended(series, entry.attempt_class(state, detail), entry.run_time(now));
            }
            (_, JobState::Running) => stats.started(series, entry.wait_time(now)),
            _ => {}
        }
        if state.is_final() {
            stats.ended(series, state, entry.time_since_due(now));
        }
    }

    /// The time of the job's next step, in whole milliseconds.
    pub(super) fn due_time(&self, key: JobKey) -> Moment {
        let entry = &self.table[key];
        entry.overall_deadline().unwrap_or(Moment::NEVER).min(entry.deadline).whole_millis()
    }

    /// Sets the job's timer to its next step. An earlier timer is not changed: it is set again when it fires.
    pub(super) fn arm_timer(&mut self, key: JobKey) {
        let due_time = self.due_time(key);
        if due_time != Moment::NEVER && self.table[key].timer <= due_time {
            return;
        }
        self.clear_timer(key);
        if due_time != Moment::NEVER {
            self.table[key].timer = due_time;
            self.timers.insert((due_time, key));
        }
    }

    pub(super) fn clear_timer(&mut self, key: JobKey) {
        let timer = std::mem::replace(&mut self.table[key].timer, Moment::NEVER);
        if timer != Moment::NEVER {
            self.timers.remove(&(timer, key));
        }
    }

    pub(super) fn wake(&mut self, key: JobKey, effects: &mut Effects) {
        let entry = &mut self.table[key];
        let is_watched = entry.is_watched();
        match (entry.observer & !WATCHED, entry.end()) {
            (0, _) => {}
            (observer, None) => effects.push(Effect::Wake(observer)),
            (observer, Some(end)) => {
                effects.push(Effect::Ended(observer, end.outcome.clone()));
                if !is_watched {
                    entry.observer = 0;
                }
            }
        }
    }

    /// Removes a waiting job from its list.
    pub(super) fn dequeue(&mut self, key: JobKey, effects: &mut Effects) {
        let entry = &self.table[key];
        let (lane, start, accepted) = (entry.lane, entry.start(), entry.accepted);
        match entry.state {
            JobState::Queued if entry.is_offered() => self.leave_session(key, true, effects),
            JobState::Queued => {
                self.lanes[lane].remove(&mut self.table, key);
                self.refresh_rank(lane);
            }
            _ => self.lanes[lane].scheduled.remove(&mut self.table, key),
        }
        if let Start::At(time) = start {
            self.wall_starts.remove(&(time, accepted, key));
        }
    }

    /// Removes a job from its session. If the lease is revoked, its slot is in use until the worker reports that the
    /// handler stopped.
    pub(super) fn leave_session(&mut self, key: JobKey, revoke: bool, effects: &mut Effects) {
        let Some(active) = self.table[key].active() else { return };
        let (lease, session_key) = (active.lease, active.session);
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        session.jobs.remove(&mut self.table, key);
        self.recovered.leases.remove(&lease);
        if session.link.is_unary() {
            // The response of a Lease call has a fixed number of jobs, and a unary worker does not report that a
            // handler stopped.
            session.slots = session.slots.saturating_sub(1);
            self.sessions.free_slot(session_key);
        } else if revoke {
            session.revoked.insert(lease);
        } else {
            self.sessions.free_slot(session_key);
        }
        if revoke {
            effects.push(Effect::Stop(session_key, lease, Stop::Revoke));
        }
        self.remove_if_done(session_key);
    }

    /// Begins the attempt that was offered to a worker.
    pub(super) fn begin_attempt(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let attempt_timeout = self.attempt_timeout(key);
        let lease = self.options.lease;
        let entry = &mut self.table[key];
        let Some(active) = entry.active_mut() else { return };
        active.attempt_deadline = now.monotonic.saturating_add(attempt_timeout).into();
        active.renew(now.monotonic.saturating_add(lease));
        let session = active.session;
        entry.begin_attempt();
        self.broken_streams.remove(&key);
        let worker = self.sessions.get(session).map(|session| session.name.clone()).unwrap_or_default();
        self.transition(now, key, JobState::Running, Detail::Worker(worker), effects);
        self.arm_attempt(key);
    }

    /// Sets the timer of an assigned job to the first deadline of its attempt.
    pub(super) fn arm_attempt(&mut self, key: JobKey) {
        let entry = &mut self.table[key];
        if let Some(deadline) = entry.active().map(ActiveAttempt::deadline) {
            entry.deadline = deadline;
        }
        self.arm_timer(key);
    }

    pub(super) fn attempt_timeout(&self, key: JobKey) -> Duration {
        let options = self.table[key].options.as_ref();
        options.and_then(|options| options.attempt_timeout).unwrap_or(self.options.attempt_timeout)
    }

    /// Removes the session of a Lease call once it is disconnected and has no jobs.
    pub(super) fn remove_if_done(&mut self, key: SessionKey) {
        let is_done =
            |session: &Session| session.link.is_unary() && !session.connected && session.jobs.is_empty();
        if self.sessions.get(key).is_some_and(is_done) {
            self.sessions.remove(key);
        }
    }
}
