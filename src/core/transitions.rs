//! How one job changes its state: the event, the timer, and the place that it leaves.

use std::time::Duration;

use super::course::Live;
use super::effects::{Effect, Effects};
use super::entry::WATCHED;
use super::history::{Detail, Transition};
use super::keys::{JobKey, SessionKey};
use super::moment::Moment;
use super::record::{Link, Moved, Record};
use super::sessions::Session;
use super::state::Core;
use super::weight::added_bytes;
use crate::clock::Now;
use crate::job::{JobState, Start, Stop, WaitReason};

impl Core {
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
            entry.set_live(None);
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
            pause: Transition::pause(now.wall, next_attempt_time),
            detail,
        };
        effects.record(|| {
            let running = entry.live().and_then(|live| self.sessions.running(live));
            Record::Moved(Moved::of(entry, entry.transition_event(&transition, None), running))
        });
        if !state.is_final() {
            self.live_bytes += added_bytes(entry.history().len(), &transition) as u64;
        }
        entry.push_transition(transition);
        self.wake(key, effects);
    }

    pub(super) fn wait_reason_in(&self, key: JobKey, state: JobState) -> Option<WaitReason> {
        match state {
            JobState::Scheduled => Some(WaitReason::BackOff),
            JobState::Queued => self.wait_reason_of(key),
            _ => None,
        }
    }

    /// Sets the job's timer to the first thing that is due of it.
    pub(super) fn arm(&mut self, key: JobKey) {
        let entry = &self.table[key];
        let first = entry.overall_deadline().unwrap_or(Moment::NEVER).min(entry.deadline);
        match first {
            Moment::NEVER => self.wheel.clear(&mut self.table, key),
            first => self.wheel.set(&mut self.table, key, first.tick()),
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

    /// Takes a waiting job out of its lane.
    pub(super) fn leave_waiting(&mut self, key: JobKey, effects: &mut Effects) {
        let entry = &self.table[key];
        let (lane, start, accepted) = (entry.lane, entry.start(), entry.accepted);
        match entry.state {
            JobState::Queued if entry.is_offered() => self.leave_session(key, true, effects),
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

    /// Takes a job from the session that has it. Revoked, its slot stays taken until the worker says the handler stopped.
    pub(super) fn leave_session(&mut self, key: JobKey, revoke: bool, effects: &mut Effects) {
        let Some(live) = self.table[key].live() else { return };
        let (lease, session_key) = (live.lease, live.session);
        let Some(session) = self.sessions.get_mut(session_key) else { return };
        session.held.remove(&mut self.table, key);
        self.recovered.forget(lease);
        if session.link == Link::Unary {
            // A call is given its number of jobs once, and who calls to report does not say that it stopped.
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
        self.forget_if_done(session_key);
    }

    /// The attempt a worker was given begins.
    pub(super) fn begin(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let attempt_timeout = self.attempt_timeout(key);
        let lease = self.options.lease;
        let entry = &mut self.table[key];
        let Some(live) = entry.live_mut() else { return };
        live.attempt_deadline = now.monotonic.saturating_add(attempt_timeout).into();
        live.renew(now.monotonic.saturating_add(lease));
        let session = live.session;
        entry.begin_attempt();
        self.clear_suspect(key);
        let worker = self.sessions.get(session).map(|session| session.name.clone()).unwrap_or_default();
        self.transition(now, key, JobState::Running, Detail::Worker(worker), effects);
        self.await_deadline(key);
    }

    /// Sets the timer of a job that a worker has to whatever ends the attempt first.
    pub(super) fn await_deadline(&mut self, key: JobKey) {
        let entry = &mut self.table[key];
        if let Some(deadline) = entry.live().map(Live::deadline) {
            entry.deadline = deadline;
        }
        self.arm(key);
    }

    pub(super) fn attempt_timeout(&self, key: JobKey) -> Duration {
        let options = self.table[key].options.as_ref();
        options.and_then(|options| options.attempt_timeout).unwrap_or(self.options.attempt_timeout)
    }

    /// The job was accepted, or has ended.
    pub(super) fn clear_suspect(&mut self, key: JobKey) {
        if !self.suspects.is_empty() {
            self.suspects.remove(&key);
        }
    }

    /// A worker that takes leases by call is forgotten once it holds none and asks for none.
    pub(super) fn forget_if_done(&mut self, key: SessionKey) {
        let is_done =
            |session: &Session| session.link == Link::Unary && !session.connected && session.held.is_empty();
        if self.sessions.get(key).is_some_and(is_done) {
            self.sessions.remove(key);
        }
    }
}
