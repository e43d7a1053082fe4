//! Dispatch: assigns ready jobs to free slots.
//!
//! Between commands, no group of sessions has both a free slot and a ready lane.

use rand::RngExt;

use super::effects::{Effect, Effects};
use super::execution::ActiveAttempt;
use super::keys::{GroupKey, JobKey, LaneKey, SessionKey};
use super::moment::Moment;
use super::record::{Link, Record};
use super::state::Core;
use crate::clock::Now;
use crate::job::Assignment;

impl Core {
    /// Requeues a job whose offer was not accepted. Its attempt number is not used again, because the worker may run
    /// it.
    pub(super) fn requeue_offered(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let entry = &mut self.table[key];
        entry.set_active(None);
        entry.deadline = Moment::NEVER;
        self.arm_timer(key);
        self.requeue(now, key, effects);
    }

    /// Adds a session to its group, so that it receives jobs.
    pub(super) fn activate_session(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        let Some((group, is_new)) = self.sessions.join(key) else { return };
        if is_new {
            self.connect_group(group);
        }
        self.dispatch(now, group, effects);
    }

    /// Removes a session from its group, so that it receives no further jobs.
    pub(super) fn deactivate_session(&mut self, key: SessionKey) {
        if let Some(gone) = self.sessions.leave(key) {
            self.disconnect_group(gone);
        }
    }

    /// Sets how many attempts a session runs at a time. With 0 it finishes its attempts and receives no further ones.
    pub(crate) fn set_slots(&mut self, now: Now, key: SessionKey, slots: u32, effects: &mut Effects) {
        self.sessions.set_slots(key, slots);
        self.dispatch_to(now, key, effects);
    }

    /// Starts a job that became ready, or appends it to its lane.
    pub(super) fn start_or_enqueue(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let lane = self.table[key].lane;
        match self.free_session(lane, key) {
            Some(session) => self.start(now, key, session, effects),
            None => {
                self.lanes[lane].push_back(&mut self.table, key);
                self.refresh_rank(lane);
                if self.sessions.is_any_limited() {
                    // Sessions with a free slot may not be able to read the new job: they skip it.
                    self.dispatch_lane(now, lane, effects);
                }
            }
        }
    }

    /// Puts a job at the front of its lane, and starts what can start.
    pub(super) fn requeue(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let lane = self.lane_for_requeue(key);
        self.lanes[lane].push_front(&mut self.table, key);
        self.refresh_rank(lane);
        self.dispatch_lane(now, lane, effects);
    }

    fn dispatch_lane(&mut self, now: Now, lane: LaneKey, effects: &mut Effects) {
        for group in self.lanes[lane].groups.clone() {
            self.dispatch(now, group, effects);
        }
    }

    /// Fills the free slots of a session.
    pub(super) fn dispatch_to(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        if let Some(group) = self.sessions.group_of(key) {
            self.dispatch(now, group, effects);
        }
    }

    /// Assigns ready jobs to the free slots of a group until it has none of either.
    pub(super) fn dispatch(&mut self, now: Now, group: GroupKey, effects: &mut Effects) {
        while self.sessions.group(group).has_free_slot() {
            let Some(rank) = self.sessions.group(group).ready.first().copied() else { break };
            let Some((_, key)) = self.lanes[rank.lane].first() else { break };
            let bytes = self.assignment_bytes_max(key);
            let limit = self.sessions.group(group).assignment_bytes_max();
            if bytes > limit {
                self.move_oversize(key, limit);
                continue;
            }
            let Some(session) = self.sessions.take_slot(group, bytes) else { break };
            self.lanes[rank.lane].remove(&mut self.table, key);
            self.start(now, key, session, effects);
        }
    }

    pub(super) fn dispatch_all(&mut self, now: Now, effects: &mut Effects) {
        let mut groups: Vec<_> = self.sessions.groups.keys().copied().collect();
        groups.sort_unstable();
        for group in groups {
            self.dispatch(now, group, effects);
        }
    }

    fn free_session(&mut self, lane: LaneKey, key: JobKey) -> Option<SessionKey> {
        if self.draining || self.lanes[lane].paused {
            return None;
        }
        let bytes = self.assignment_bytes_max(key);
        while let Some(group) = self.sessions.next_group(&self.lanes[lane].groups, bytes) {
            if let Some(session) = self.sessions.take_slot(group, bytes) {
                return Some(session);
            }
        }
        None
    }

    /// Leases the next attempt of a job to a session with a reserved slot. The job is in no list. In the server's own
    /// workers the attempt begins at once, in others when they accept it.
    fn start(&mut self, now: Now, key: JobKey, session: SessionKey, effects: &mut Effects) {
        let lease = self.table.tails().lease(self.lease_ids.random(), key);
        let link = self.sessions.get(session).map(|session| &session.link);
        let (is_pool, is_stream) = (link == Some(&Link::Pool), matches!(link, Some(Link::Stream(_))));
        let lease_deadline = match is_pool {
            true => Moment::NEVER,
            false => now.monotonic.saturating_add(self.options.accept_timeout).into(),
        };
        let attempt = self.table[key].next_attempt();
        let active = ActiveAttempt {
            lease,
            attempt,
            session,
            attempt_deadline: Moment::NEVER,
            lease_deadline,
            cancel: None,
        };
        let assignment = self.assignment(now, key, &active);
        let entry = &mut self.table[key];
        let lane_key = entry.lane;
        entry.set_active(Some(active));
        if is_stream {
            // The number is recorded before the offer is sent, so that a restart does not use it again. A unary call is
            // answered after its attempts have begun.
            entry.execution_mut().offered = attempt;
            effects.record(|| Record::Offered(entry.id, attempt));
        }
        self.dispatches += 1;
        self.lanes[lane_key].last_served = self.dispatches;
        self.refresh_rank(lane_key);
        self.sync_siblings(lane_key);
        if let Some(session) = self.sessions.get_mut(session) {
            session.jobs.push_back(&mut self.table, key);
        }
        match is_pool {
            true => self.begin_attempt(now, key, effects),
            false => self.arm_attempt(key),
        }
        effects.push(Effect::Assign(session, assignment));
    }

    /// The assignment of this attempt of the job.
    pub(super) fn assignment(&self, now: Now, key: JobKey, active: &ActiveAttempt) -> Assignment {
        let entry = &self.table[key];
        let lane = &self.lanes[entry.lane];
        let attempt_end = match active.attempt_deadline != Moment::NEVER {
            true => active.attempt_deadline.into(),
            // The attempt has not begun.
            false => now.monotonic.saturating_add(self.attempt_timeout(key)),
        };
        let deadline = entry.overall_deadline().map_or(attempt_end, |end| attempt_end.min(end.into()));
        Assignment {
            job_id: entry.id,
            lease: active.lease,
            attempt: active.attempt,
            kind: lane.kind.clone(),
            queue: lane.queue.clone(),
            payload: entry.payload.clone(),
            options: entry.options.clone(),
            time_left: deadline.saturating_sub(now.monotonic),
        }
    }

    /// Connects a new group with the lanes it serves.
    fn connect_group(&mut self, group: GroupKey) {
        for key in self.lanes.keys() {
            if self.sessions.serves(group, &self.lanes[key]) {
                let lane = &mut self.lanes[key];
                lane.groups.push(group);
                if let Some(rank) = lane.rank {
                    self.sessions.group_mut(group).ready.insert(rank);
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
