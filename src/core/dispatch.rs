//! Who runs what next: pairing ready lanes with free slots.
//!
//! The rule that holds between commands: no group of sessions has both a free slot and a ready lane.

use std::cmp::Reverse;
use std::time::Duration;

use rand::RngExt;

use super::Core;
use super::course::Live;
use super::effects::{Effect, Effects};
use super::entry::{LaneKey, Moment};
use super::history::Detail;
use super::lanes::Standing;
use super::record::Record;
use super::sessions::{GroupKey, Link, SessionKey};
use super::table::JobKey;
use crate::clock::Now;
use crate::job::{
    Assignment, Failure, FailureReason, JobState, Peer, SessionSpec, WaitReason, assignment_bytes_max,
};

impl Core {
    /// Opens a session of the server's own workers; it may get assignments at once.
    pub(crate) fn open_session(&mut self, now: Now, spec: &SessionSpec, effects: &mut Effects) -> SessionKey {
        let key = self.sessions.open(now, spec, Link::Pool, Peer::default());
        self.admit(now, key, effects);
        key
    }

    /// Ends a session: what it ran is lost and counted as such; what it had not accepted is not.
    pub(crate) fn close_session(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        self.dismiss(key);
        let Some(session) = self.sessions.get(key) else { return };
        let message = format!("worker {} went away during the attempt", session.name);
        if let (Link::Stream(instance), 1..) = (&session.link, session.reports_taken) {
            effects.record(|| Record::ReportsTaken(*instance, 0));
        }
        let held = self.held_by(key);
        for job in &held {
            self.leave_session(*job, true, effects);
        }
        self.sessions.remove(key);
        self.give_back(now, held, &message, effects);
    }

    /// Lets a session have jobs.
    pub(super) fn admit(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        let Some((group, is_new)) = self.sessions.join(key) else { return };
        if is_new {
            self.connect_group(group);
        }
        self.dispatch(now, group, effects);
    }

    /// Lets a session have no further jobs.
    pub(super) fn dismiss(&mut self, key: SessionKey) {
        if let Some(gone) = self.sessions.leave(key) {
            self.disconnect_group(gone);
        }
    }

    /// Jobs the session was given, in the order in which it got them.
    pub(super) fn held_by(&self, key: SessionKey) -> Vec<JobKey> {
        self.sessions.get(key).map(|session| session.held.keys(&self.table)).unwrap_or_default()
    }

    /// What follows for jobs that were taken from a worker that is gone. The newest come first: each waits in front of
    /// those before it.
    pub(super) fn give_back(&mut self, now: Now, jobs: Vec<JobKey>, lost: &str, effects: &mut Effects) {
        for job in jobs.into_iter().rev() {
            if self.table[job].is_offered() {
                self.take_back(now, job, effects);
            } else {
                let failure = Failure::new(FailureReason::WorkerLost, lost);
                self.attempt_failed(now, job, failure, None, effects);
            }
        }
    }

    /// Has a job that no worker accepted wait again. The number of the attempt is not used again: the worker may run it.
    pub(super) fn take_back(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let entry = &mut self.table[key];
        entry.set_live(None);
        entry.deadline = Moment::NEVER;
        self.arm(key);
        self.wait_in_front(now, key, effects);
    }

    /// Changes how many attempts a session runs at a time; 0 lets it finish what it runs and gives it nothing more.
    pub(crate) fn set_slots(&mut self, now: Now, key: SessionKey, slots: u32, effects: &mut Effects) {
        self.sessions.set_slots(key, slots);
        self.dispatch_to(now, key, effects);
    }

    /// Starts a job that just became ready, or has it wait as the last of its priority.
    pub(super) fn start_or_wait(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let lane = self.table[key].lane;
        match self.free_session(lane, key) {
            Some(session) => self.start(now, key, session, effects),
            None => {
                self.lanes[lane].push_back(&mut self.table, key);
                self.refresh_standing(lane);
                self.set_aside_for_idle(now, lane, effects);
            }
        }
    }

    /// Has a job that was given back wait as the first of its priority, and starts what can start.
    pub(super) fn wait_in_front(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let lane = self.lane_of_returned(key);
        self.lanes[lane].push_front(&mut self.table, key);
        self.refresh_standing(lane);
        for group in self.lanes[lane].groups.clone() {
            self.dispatch(now, group, effects);
        }
    }

    /// Gives the session what it has room for now.
    pub(super) fn dispatch_to(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        if let Some(group) = self.sessions.group_of(key) {
            self.dispatch(now, group, effects);
        }
    }

    /// Pairs the group's free slots with its ready lanes until one of them runs out.
    pub(super) fn dispatch(&mut self, now: Now, group: GroupKey, effects: &mut Effects) {
        while self.sessions.group(group).has_free_slot() {
            let Some(standing) = self.sessions.group(group).ready.first().copied() else { break };
            let Some((_, key)) = self.lanes[standing.lane].first() else { break };
            let bytes = self.assignment_bytes_max(key);
            let limit = self.sessions.group(group).assignment_bytes_max();
            if bytes > limit {
                self.set_aside(key, limit);
                continue;
            }
            let Some(session) = self.sessions.take_slot(group, bytes) else { break };
            self.lanes[standing.lane].remove(&mut self.table, key);
            self.start(now, key, session, effects);
        }
    }

    pub(super) fn dispatch_all(&mut self, now: Now, effects: &mut Effects) {
        let mut groups: Vec<_> =
            self.lanes.keys().iter().flat_map(|lane| self.lanes[*lane].groups.clone()).collect();
        groups.sort_unstable();
        groups.dedup();
        for group in groups {
            self.dispatch(now, group, effects);
        }
    }

    /// Brings the lane's place in the ready sets of its groups up to date.
    pub(super) fn refresh_standing(&mut self, key: LaneKey) {
        let can_start = !self.draining && !self.lanes[key].paused;
        let lane = &mut self.lanes[key];
        let first = lane.first().filter(|_| can_start);
        let standing = first.map(|(priority, _)| {
            let negated_priority = -i16::from(priority);
            Standing { negated_priority, served: lane.served, negated_floor: Reverse(lane.floor), lane: key }
        });
        let before = std::mem::replace(&mut lane.standing, standing);
        if before == standing {
            return;
        }
        for group in &lane.groups {
            let ready = &mut self.sessions.group_mut(*group).ready;
            before.map(|before| ready.remove(&before));
            standing.map(|standing| ready.insert(standing));
        }
    }

    pub(super) fn refresh_queue(&mut self, name: &str) {
        let lanes =
            self.lanes.queues.get(name).map(|queue| queue.all().map(|(_, lane)| lane).collect::<Vec<_>>());
        for lane in lanes.unwrap_or_default() {
            self.refresh_standing(lane);
        }
    }

    /// Why a job that waits in its lane waits; `None` if it would start at once.
    pub(super) fn wait_reason_of(&self, key: JobKey) -> Option<WaitReason> {
        let lane = &self.lanes[self.table[key].lane];
        if self.draining {
            return Some(WaitReason::Draining);
        }
        if lane.paused {
            return Some(WaitReason::QueuePaused);
        }
        if lane.groups.is_empty() {
            let is_too_large = lane.floor > 0 && self.sessions.any_names(lane);
            return Some(if is_too_large { WaitReason::WorkerLimit } else { WaitReason::NoWorker });
        }
        let bytes = self.assignment_bytes_max(key);
        let groups = lane.groups.iter().map(|group| self.sessions.group(*group));
        let mut takers = groups.filter(|group| bytes <= group.assignment_bytes_max()).peekable();
        if takers.peek().is_none() {
            return Some(WaitReason::WorkerLimit);
        }
        takers.all(|group| !group.has_free_slot()).then_some(WaitReason::WorkersBusy)
    }

    fn free_session(&mut self, lane: LaneKey, key: JobKey) -> Option<SessionKey> {
        if self.draining || self.lanes[lane].paused {
            return None;
        }
        let bytes = self.assignment_bytes_max(key);
        while let Some(group) = self.sessions.next_in_turn(&self.lanes[lane].groups, bytes) {
            if let Some(session) = self.sessions.take_slot(group, bytes) {
                return Some(session);
            }
        }
        None
    }

    /// Bytes of an assignment of the job as an element of a message, at most; 0 while they matter to nobody.
    pub(super) fn assignment_bytes_max(&self, key: JobKey) -> usize {
        if !self.sessions.is_any_limited() {
            return 0;
        }
        let entry = &self.table[key];
        let lane = &self.lanes[entry.lane];
        assignment_bytes_max(&entry.payload, entry.options.as_deref(), lane.kind.len() + lane.queue.len())
    }

    /// Leases the next attempt of a job that is in no list to a session whose slot was taken for it. The server's own
    /// workers begin at once, others once they accept.
    fn start(&mut self, now: Now, key: JobKey, session: SessionKey, effects: &mut Effects) {
        let lease = self.table.tails().lease(self.lease_ids.random(), key);
        let link = self.sessions.get(session).map(|session| &session.link);
        let (is_pool, is_stream) = (link == Some(&Link::Pool), matches!(link, Some(Link::Stream(_))));
        let lease_deadline = match is_pool {
            true => Moment::NEVER,
            false => now.monotonic.saturating_add(self.options.accept_timeout).into(),
        };
        let attempt_timeout = self.attempt_timeout(key);
        let entry = &mut self.table[key];
        let lane_key = entry.lane;
        let attempt_deadline = Moment::NEVER;
        let attempt = entry.next_attempt();
        entry.set_live(Some(Live {
            lease,
            attempt,
            session,
            attempt_deadline,
            lease_deadline,
            cancel: None,
        }));
        if is_stream {
            // It is recorded before it is sent, so that the number is not used again after a restart either. A call for
            // leases is answered only once its attempts have begun.
            entry.course_mut().offered = attempt;
            effects.record(|| Record::Offered(entry.id, attempt));
        }
        let attempt_end = now.monotonic.saturating_add(attempt_timeout);
        let given_up = entry.overall_deadline().map_or(attempt_end, |end| attempt_end.min(end.into()));
        let time_left = given_up.saturating_sub(now.monotonic);
        self.dispatches += 1;
        let lane = &mut self.lanes[lane_key];
        lane.served = self.dispatches;
        let entry = &self.table[key];
        let assignment = Assignment {
            job_id: entry.id,
            lease,
            attempt,
            kind: lane.kind.clone(),
            queue: lane.queue.clone(),
            payload: entry.payload.clone(),
            options: entry.options.clone(),
            time_left,
        };
        self.refresh_standing(lane_key);
        self.serve_siblings(lane_key);
        if let Some(session) = self.sessions.get_mut(session) {
            session.held.push_back(&mut self.table, key);
        }
        match is_pool {
            true => self.begin(now, key, effects),
            false => self.await_deadline(key),
        }
        effects.push(Effect::Assign(session, assignment));
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

    /// Makes a new group known to the lanes it serves.
    fn connect_group(&mut self, group: GroupKey) {
        for key in self.lanes.keys() {
            if self.sessions.serves(group, &self.lanes[key]) {
                let lane = &mut self.lanes[key];
                lane.groups.push(group);
                if let Some(standing) = lane.standing {
                    self.sessions.group_mut(group).ready.insert(standing);
                }
            }
        }
    }

    fn disconnect_group(&mut self, group: GroupKey) {
        for key in self.lanes.keys() {
            self.lanes[key].groups.retain(|other| *other != group);
        }
    }
}
