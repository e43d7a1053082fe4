//! Jobs whose assignments are larger than a worker reads: they are set aside for others, so that those behind them go on.
//!
//! A job is set aside when it comes first for a worker that cannot read it: it moves to a lane of its kind and queue that
//! such workers do not serve. Each job moves at most once for each limit of the workers there are.

use super::Core;
use super::effects::Effects;
use super::entry::LaneKey;
use super::table::JobKey;
use crate::clock::Now;
use crate::job::JobState;

impl Core {
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
    fn change_lane(&mut self, key: JobKey, to: LaneKey) {
        let from = std::mem::replace(&mut self.table[key].lane, to);
        self.lanes[from].counts.remove(JobState::Queued);
        self.lanes[to].counts.add(JobState::Queued);
        self.refresh_standing(from);
        self.remove_lane_if_empty(from);
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

    /// After a lane was served: lanes of the same kind and queue take turns with others as one.
    pub(super) fn serve_siblings(&mut self, lane: LaneKey) {
        let served = self.lanes[lane].served;
        for sibling in self.lanes.siblings(lane) {
            self.lanes[sibling].served = served;
            self.refresh_standing(sibling);
        }
    }
}
