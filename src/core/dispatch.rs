//! Who runs what next: pairing ready lanes with free slots.
//!
//! The rule that holds between commands: no group of sessions has both a free slot and a ready lane.

use std::time::Duration;

use rand::RngExt;

use super::Core;
use super::effects::{Assignment, Effect, Effects};
use super::entry::{LaneKey, LeaseId, Live};
use super::history::Detail;
use super::lanes::Standing;
use super::sessions::{GroupKey, SessionKey, SessionSpec};
use super::table::JobKey;
use crate::clock::Now;
use crate::job::{Failure, FailureReason, JobState, WaitReason};

impl Core {
    /// Opens a worker session; it may get assignments at once.
    pub(crate) fn open_session(&mut self, now: Now, spec: &SessionSpec, effects: &mut Effects) -> SessionKey {
        let (key, is_new_group) = self.sessions.open(spec);
        let group = self.group_of(key);
        if is_new_group {
            self.connect_group(group);
        }
        self.dispatch(now, group, effects);
        key
    }

    /// Ends a session: what it ran is lost and counted as such.
    pub(crate) fn close_session(&mut self, now: Now, key: SessionKey, effects: &mut Effects) {
        let mut lost = Vec::new();
        while let Some(job) = self.sessions.get(key).and_then(|session| session.running.first()) {
            self.leave_running(job, true, effects);
            lost.push(job);
        }
        let Some((session, gone_group)) = self.sessions.close(key) else { return };
        if let Some(group) = gone_group {
            self.disconnect_group(group);
        }
        // The newest first: each waits in front of those before it.
        for job in lost.into_iter().rev() {
            let message = format!("worker {} went away during the attempt", session.name);
            self.attempt_failed(now, job, Failure::new(FailureReason::WorkerLost, message), None, effects);
        }
    }

    /// Changes how many attempts a session runs at a time; 0 lets it finish what it runs and gives it nothing more.
    pub(crate) fn set_slots(&mut self, now: Now, key: SessionKey, slots: u32, effects: &mut Effects) {
        if self.sessions.get(key).is_some() {
            self.sessions.set_slots(key, slots);
            self.dispatch(now, self.group_of(key), effects);
        }
    }

    /// Starts a job that just became ready, or has it wait as the last of its priority.
    pub(super) fn start_or_wait(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let lane = self.table[key].lane;
        match self.free_session(lane) {
            Some(session) => self.start(now, key, session, effects),
            None => {
                self.lanes[lane].push_back(&mut self.table, key);
                self.refresh_standing(lane);
            }
        }
    }

    /// Has a job that was given back wait as the first of its priority, and starts what can start.
    pub(super) fn wait_in_front(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let lane = self.table[key].lane;
        self.lanes[lane].push_front(&mut self.table, key);
        self.refresh_standing(lane);
        for group in self.lanes[lane].groups.clone() {
            self.dispatch(now, group, effects);
        }
    }

    /// Pairs the group's free slots with its ready lanes until one of them runs out.
    pub(super) fn dispatch(&mut self, now: Now, group: GroupKey, effects: &mut Effects) {
        while self.sessions.group(group).has_free_slot() {
            let Some(standing) = self.sessions.group(group).ready.first().copied() else { break };
            let Some((_, key)) = self.lanes[standing.lane].first() else { break };
            let Some(session) = self.sessions.take_slot(group) else { break };
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
        let can_start = !self.draining && !self.lanes.is_paused(key);
        let lane = &mut self.lanes[key];
        let first = lane.first().filter(|_| can_start);
        let standing = first.map(|(priority, _)| {
            let negated_priority = -i16::from(priority);
            Standing { negated_priority, served: lane.served, lane: key }
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
            self.lanes.queues.get(name).map(|queue| queue.lanes.values().copied().collect::<Vec<_>>());
        for lane in lanes.unwrap_or_default() {
            self.refresh_standing(lane);
        }
    }

    /// Why a job that waits in this lane waits; `None` if it would start at once.
    pub(super) fn wait_reason_of(&self, lane: LaneKey) -> Option<WaitReason> {
        let groups = &self.lanes[lane].groups;
        if self.draining {
            Some(WaitReason::Draining)
        } else if self.lanes.is_paused(lane) {
            Some(WaitReason::QueuePaused)
        } else if groups.is_empty() {
            Some(WaitReason::NoWorker)
        } else if groups.iter().all(|group| !self.sessions.group(*group).has_free_slot()) {
            Some(WaitReason::WorkersBusy)
        } else {
            None
        }
    }

    fn free_session(&mut self, lane: LaneKey) -> Option<SessionKey> {
        if self.draining || self.lanes.is_paused(lane) {
            return None;
        }
        let groups = &self.lanes[lane].groups;
        let group = groups.iter().copied().find(|group| self.sessions.group(*group).has_free_slot())?;
        self.sessions.take_slot(group)
    }

    /// Leases the next attempt of a job that is in no list to a session whose slot was taken for it.
    fn start(&mut self, now: Now, key: JobKey, session: SessionKey, effects: &mut Effects) {
        let lease = LeaseId(self.lease_ids.random());
        let entry = &mut self.table[key];
        let lane_key = entry.lane;
        let attempt_timeout = entry.options.as_ref().and_then(|options| options.attempt_timeout);
        let attempt_timeout = attempt_timeout.unwrap_or(self.options.attempt_timeout);
        let attempt_deadline = now.monotonic.saturating_add(attempt_timeout);
        entry.attempt += 1;
        entry.deadline = attempt_deadline;
        entry.live = Some(Box::new(Live { lease, session, attempt_deadline, cancel: None }));
        let given_up = entry.overall_deadline().unwrap_or(Duration::MAX).min(attempt_deadline);
        let time_left = given_up.saturating_sub(now.monotonic);
        self.dispatches += 1;
        let lane = &mut self.lanes[lane_key];
        lane.served = self.dispatches;
        let entry = &self.table[key];
        let assignment = Assignment {
            job_id: entry.id,
            lease,
            attempt: entry.attempt,
            kind: lane.kind.clone(),
            queue: lane.queue.clone(),
            payload: entry.payload.clone(),
            options: entry.options.clone(),
            time_left,
        };
        self.refresh_standing(lane_key);
        let worker = match self.sessions.get_mut(session) {
            Some(session) => {
                session.running.push_back(&mut self.table, key);
                session.name.clone()
            }
            None => Default::default(),
        };
        self.transition(now, key, JobState::Running, Detail::Worker(worker), effects);
        self.arm(key);
        effects.push(Effect::Assign(session, assignment));
    }

    fn group_of(&self, key: SessionKey) -> GroupKey {
        self.sessions.get(key).expect("an open session has a group").group
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
