//! Finished jobs: kept by age and by bytes, and remembered for a while after they are gone.

use super::Core;
use super::effects::Effects;
use super::entry::RECORD_BYTES;
use super::expired::Expired;
use super::list::List;
use super::record::Record;
use super::table::{JobKey, Table};
use crate::clock::Now;
use crate::job::Timestamp;

#[derive(Default)]
pub(super) struct Finished {
    /// Finished jobs, oldest end first.
    pub(super) list: List,
    pub(super) bytes: u64,
    /// Bytes of contents that are in memory and may be dropped.
    pub(super) warm_bytes: u64,
    /// Every job before this one has been looked at to drop its contents.
    warm_from: Option<JobKey>,
    /// Those that were removed.
    pub(super) expired: Expired,
}

impl Finished {
    /// The oldest job that may have contents to drop.
    pub(super) fn warm_from(&self) -> Option<JobKey> {
        self.warm_from
    }

    /// Goes on to the job after it.
    pub(super) fn pass_warm(&mut self, table: &Table) {
        self.warm_from = self.warm_from.and_then(|key| List::next(table, key));
    }
}

impl Core {
    /// Keeps a job that just ended; the oldest ones make room if there are too many bytes.
    pub(super) fn retain(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        self.keep(key);
        // The job that just ended stays: its end must be seen.
        self.make_room(now, Some(key), effects);
    }

    /// Removes the oldest finished jobs, up to this one, while there are too many bytes of them.
    pub(super) fn make_room(&mut self, now: Now, up_to: Option<JobKey>, effects: &mut Effects) {
        let stored_max = self.options.stored_bytes_max.saturating_sub(self.live_weight());
        let bytes_max = self.options.retention_bytes_max.min(stored_max);
        while self.finished.bytes > bytes_max {
            let Some(oldest) = self.finished.list.first().filter(|oldest| Some(*oldest) != up_to) else {
                break;
            };
            self.expire(now, oldest, effects);
        }
    }

    /// Bytes that jobs that have not ended are taken to hold.
    pub(super) fn live_weight(&self) -> u64 {
        self.live_bytes + u64::from(self.live_jobs) * RECORD_BYTES as u64
    }

    /// Puts a job behind those that ended before.
    pub(super) fn keep(&mut self, key: JobKey) {
        self.finished.list.push_back(&mut self.table, key);
        self.finished.bytes += self.table[key].weight();
        if self.log_entry.is_some() {
            self.finished.warm_bytes += self.table[key].warm_bytes();
            self.finished.warm_from.get_or_insert(key);
        }
    }

    /// Removes a finished job whose time is over, or whose room is needed, and remembers that it was there.
    pub(super) fn expire(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let entry = &self.table[key];
        let expire_time = entry.end().map_or(now.wall, |end| end.expire_time.min(now.wall));
        self.finished.expired.remember(entry.id, expire_time);
        self.remove(key, Some(expire_time), effects);
    }

    /// Removes a finished job; if its retention passed, that was at `expired`.
    pub(super) fn remove(&mut self, key: JobKey, expired: Option<Timestamp>, effects: &mut Effects) {
        if self.finished.warm_from == Some(key) {
            self.finished.pass_warm(&self.table);
        }
        if self.log_entry.is_some() {
            self.finished.warm_bytes -= self.table[key].warm_bytes();
        }
        self.finished.list.remove(&mut self.table, key);
        self.finished.bytes -= self.table[key].weight();
        self.wheel.clear(&mut self.table, key);
        let entry = self.table.remove(key);
        self.lanes[entry.lane].counts.remove(entry.state);
        self.lanes.remove_if_empty(entry.lane);
        effects.record(|| Record::Removed(entry.id, expired));
    }
}
