//! Jobs in lanes: in which lane a job waits, which lanes are ready, and why a job waits.
//!
//! A job that a worker cannot read is set aside when it comes first for that worker: it moves to a lane of its kind and queue that
//! such workers do not serve. Each job moves at most once for each limit of the workers there are.

use std::cmp::Reverse;

use super::keys::{JobKey, LaneKey};
use super::lanes::Rank;
use super::state::Core;
use crate::job::{JobState, WaitReason, assignment_bytes_max};

impl Core {
    /// Brings the lane's place in the ready sets of its groups up to date.
    pub(super) fn refresh_standing(&mut self, key: LaneKey) {
        let can_start = !self.draining && !self.lanes[key].paused;
        let lane = &mut self.lanes[key];
        let first = lane.first().filter(|_| can_start);
        let standing = first.map(|(priority, _)| {
            let negated_priority = -i16::from(priority);
            Rank { negated_priority, served: lane.served, negated_floor: Reverse(lane.floor), lane: key }
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

    /// Bytes of an assignment of the job as an element of a message, at most; 0 while they matter to nobody.
    pub(super) fn assignment_bytes_max(&self, key: JobKey) -> usize {
        if !self.sessions.is_any_limited() {
            return 0;
        }
        let entry = &self.table[key];
        let lane = &self.lanes[entry.lane];
        assignment_bytes_max(&entry.payload, entry.options.as_deref(), lane.kind.len() + lane.queue.len())
    }

    /// Moves the first job of its lane to the lane of jobs whose assignments have more bytes than `limit`.
    pub(super) fn set_aside(&mut self, key: JobKey, limit: usize) {
        let from = self.table[key].lane;
        let (to, is_new) = self.lanes.oversize(from, limit);
        if is_new {
            self.lanes[to].groups = self.sessions.groups_for(&self.lanes[to]);
            self.lanes[to].served = self.lanes[from].served;
            let opener = self.lanes[from].opener;
            self.lanes[to].opener = opener;
            self.callers.add_lane(opener);
        }
        self.lanes[from].remove(&mut self.table, key);
        self.change_lane(key, to);
        self.lanes[to].push_back(&mut self.table, key);
        self.refresh_standing(to);
    }

    /// Where a job that was given back and is in no list waits: among those that were set aside, if it is as large. They
    /// come before all others of their kind and queue, and it comes before them.
    pub(super) fn lane_of_returned(&mut self, key: JobKey) -> LaneKey {
        let from = self.table[key].lane;
        let bytes = self.assignment_bytes_max(key);
        let siblings = self.lanes.siblings(from).into_iter();
        let larger = siblings.map(|lane| (self.lanes[lane].floor, lane)).filter(|(floor, _)| *floor < bytes);
        match larger.max().filter(|(floor, _)| *floor > self.lanes[from].floor) {
            Some((_, to)) => {
                self.change_lane(key, to);
                to
            }
            None => from,
        }
    }

    /// Counts a queued job that is in no list to another lane.
    pub(super) fn change_lane(&mut self, key: JobKey, to: LaneKey) {
        let from = std::mem::replace(&mut self.table[key].lane, to);
        self.lanes[from].counts.remove(JobState::Queued);
        self.lanes[to].counts.add(JobState::Queued);
        self.refresh_standing(from);
        self.remove_lane_if_empty(from);
    }

    /// After a lane was served: lanes of the same kind and queue take turns with others as one.
    pub(super) fn serve_siblings(&mut self, lane: LaneKey) {
        let served = self.lanes[lane].served;
        for sibling in self.lanes.siblings(lane) {
            self.lanes[sibling].served = served;
            self.refresh_standing(sibling);
        }
    }

    pub(super) fn remove_lane_if_empty(&mut self, lane: LaneKey) {
        if let Some(opener) = self.lanes.remove_if_empty(lane) {
            self.callers.remove_lane(opener);
        }
    }
}
