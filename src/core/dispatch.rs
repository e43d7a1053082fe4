//! Who runs what next: pairing ready lanes with free slots.
//!
//! The rule that holds between commands: no group of sessions has both a free slot and a ready lane.

use rand::RngExt;

use super::course::Live;
use super::effects::{Effect, Effects};
use super::keys::{GroupKey, JobKey, LaneKey, SessionKey};
use super::moment::Moment;
use super::record::{Link, Record};
use super::state::Core;
use crate::clock::Now;
use crate::job::Assignment;

impl Core {
    /// Has a job that no worker accepted wait again. The number of the attempt is not used again: the worker may run it.
    pub(super) fn take_back(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let entry = &mut self.table[key];
        entry.set_live(None);
        entry.deadline = Moment::NEVER;
        self.arm(key);
        self.wait_in_front(now, key, effects);
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

    /// After a job was added to the lane that none of the free sessions reads: has them pass it over.
    pub(super) fn set_aside_for_idle(&mut self, now: Now, lane: LaneKey, effects: &mut Effects) {
        if !self.sessions.is_any_limited() {
            return;
        }
        for group in self.lanes[lane].groups.clone() {
            self.dispatch(now, group, effects);
        }
    }
}
