//! Lanes: which lane a job waits in, which lanes are ready, and why a job waits.
//!
//! If the first job of a lane is too large for a worker with a free slot, it moves to an oversize lane of the same kind
//! and queue, which such workers do not serve. A job moves at most once for each size limit of the workers.

use std::cmp::Reverse;

use super::keys::{JobKey, LaneKey};
use super::lanes::Rank;
use super::state::Core;
use crate::job::{JobState, WaitReason, assignment_bytes_max};

impl Core {
    /// Updates the entry of the lane in the ready sets of its groups.
    pub(super) fn refresh_rank(&mut self, key: LaneKey) {
        let can_start = !self.draining && !self.lanes[key].paused;
        let lane = &mut self.lanes[key];
        let first = lane.first().filter(|_| can_start);
        let rank = first.map(|(priority, _)| {
            let negated_priority = -i16::from(priority);
            Rank {
                negated_priority,
                last_served: lane.last_served,
                negated_bytes_above: Reverse(lane.bytes_above),
                lane: key,
            }
        });
        let before = std::mem::replace(&mut lane.rank, rank);
        if before == rank {
            return;
        }
        for group in &lane.groups {
            let ready = &mut self.sessions.group_mut(*group).ready;
            before.map(|before| ready.remove(&before));
            rank.map(|rank| ready.insert(rank));
        }
    }

    pub(super) fn refresh_queue(&mut self, name: &str) {
        let lanes =
            self.lanes.queues.get(name).map(|queue| queue.all().map(|(_, lane)| lane).collect::<Vec<_>>());
        for lane in lanes.unwrap_or_default() {
            self.refresh_rank(lane);
        }
    }

    /// Why a queued job waits; `None` if it would start at once.
    pub(super) fn wait_reason_of(&self, key: JobKey) -> Option<WaitReason> {
        let lane = &self.lanes[self.table[key].lane];
        if self.draining {
            return Some(WaitReason::Draining);
        }
        if lane.paused {
            return Some(WaitReason::QueuePaused);
        }
        if lane.groups.is_empty() {
            let is_too_large = lane.bytes_above > 0 && self.sessions.any_matches(lane);
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

    /// Upper bound of the bytes of the job's assignment in a message; 0 if no worker has a size limit.
    pub(super) fn assignment_bytes_max(&self, key: JobKey) -> usize {
        if !self.sessions.is_any_limited() {
            return 0;
        }
        let entry = &self.table[key];
        let lane = &self.lanes[entry.lane];
        assignment_bytes_max(&entry.payload, entry.options.as_deref(), lane.kind.len() + lane.queue.len())
    }

    /// Moves the first job of its lane to the oversize lane of assignments above this size.
    pub(super) fn move_oversize(&mut self, key: JobKey, limit: usize) {
        let from = self.table[key].lane;
        let (to, is_new) = self.lanes.oversize(from, limit);
        if is_new {
            self.lanes[to].groups = self.sessions.groups_for(&self.lanes[to]);
            self.lanes[to].last_served = self.lanes[from].last_served;
            let creator = self.lanes[from].creator;
            self.lanes[to].creator = creator;
            self.callers.add_lane(creator);
        }
        self.lanes[from].remove(&mut self.table, key);
        self.change_lane(key, to);
        self.lanes[to].push_back(&mut self.table, key);
        self.refresh_rank(to);
    }

    /// Returns the lane in which a job is requeued; the job is in no list. If an oversize lane fits its size, it is
    /// that lane, because the jobs of oversize lanes come before the others of their kind and queue.
    pub(super) fn lane_for_requeue(&mut self, key: JobKey) -> LaneKey {
        let from = self.table[key].lane;
        let bytes = self.assignment_bytes_max(key);
        let siblings = self.lanes.siblings(from).into_iter();
        let larger = siblings
            .map(|lane| (self.lanes[lane].bytes_above, lane))
            .filter(|(bytes_above, _)| *bytes_above < bytes);
        match larger.max().filter(|(bytes_above, _)| *bytes_above > self.lanes[from].bytes_above) {
            Some((_, to)) => {
                self.change_lane(key, to);
                to
            }
            None => from,
        }
    }

    /// Moves a queued job, which is in no list, to another lane.
    pub(super) fn change_lane(&mut self, key: JobKey, to: LaneKey) {
        let from = std::mem::replace(&mut self.table[key].lane, to);
        self.lanes[from].counts.remove(JobState::Queued);
        self.lanes[to].counts.add(JobState::Queued);
        self.refresh_rank(from);
        self.remove_lane_if_empty(from);
    }

    /// Sets the last dispatch of lanes of the same kind and queue: in the order of lanes they count as one.
    pub(super) fn sync_siblings(&mut self, lane: LaneKey) {
        let served = self.lanes[lane].last_served;
        for sibling in self.lanes.siblings(lane) {
            self.lanes[sibling].last_served = served;
            self.refresh_rank(sibling);
        }
    }

    pub(super) fn remove_lane_if_empty(&mut self, lane: LaneKey) {
        if let Some(creator) = self.lanes.remove_if_empty(lane) {
            self.callers.remove_lane(creator);
        }
    }
}
