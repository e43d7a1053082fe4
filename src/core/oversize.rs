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
        }
        self.lanes[from].remove(&mut self.table, key);
        self.lanes[from].counts.remove(JobState::Queued);
        self.refresh_standing(from);
        self.lanes.remove_if_empty(from);
        self.table[key].lane = to;
        self.lanes[to].counts.add(JobState::Queued);
        self.lanes[to].push_back(&mut self.table, key);
        self.refresh_standing(to);
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
