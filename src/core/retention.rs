//! Retention: finished jobs are removed by age and by bytes, and leave tombstones.

use super::effects::{Effect, Effects};
use super::entry::WATCHED;
use super::keys::JobKey;
use super::record::{Record, Removed};
use super::state::Core;
use super::tombstones::Tombstone;
use crate::clock::Now;
use crate::job::Timestamp;

/// Why a finished job is removed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Removal {
    /// Its retention passed, or its bytes were needed. Its result is removed at this time.
    Expired(Timestamp),
    /// A caller deleted it.
    Deleted,
}

/// Bytes of finished jobs above the bound of the retention that are retained while they are watched: 16 MiB. Above it
/// the oldest are removed, watched or not.
pub(super) const WATCHED_BYTES_MAX: u64 = 16 << 20;
/// Most watched jobs that one command skips.
const WATCHED_SKIPPED_MAX: usize = 16;

impl Core {
    /// Removes the oldest finished jobs, up to `up_to`, while they exceed their bound. Within [`WATCHED_BYTES_MAX`],
    /// watched jobs are skipped, so that their outcome can be read.
    pub(super) fn enforce_retention(&mut self, now: Now, up_to: Option<JobKey>, effects: &mut Effects) {
        let stored_max = self.options.stored_bytes_max.saturating_sub(self.live_weight());
        let bytes_max = self.options.retention_bytes_max.min(stored_max);
        let watched_max = bytes_max.saturating_add(WATCHED_BYTES_MAX).min(stored_max);
        let mut skipped = 0;
        while self.finished.bytes > bytes_max {
            let Some(oldest) = self.finished.list.first().filter(|oldest| Some(*oldest) != up_to) else {
                break;
            };
            if !self.table[oldest].is_watched() || self.finished.bytes > watched_max {
                self.finished.removed.bytes += 1;
                self.expire(now, oldest, effects);
            } else if skipped < WATCHED_SKIPPED_MAX {
                skipped += 1;
                self.move_to_back(oldest);
            } else {
                break;
            }
        }
    }

    /// Moves a finished job to the end of the list.
    fn move_to_back(&mut self, key: JobKey) {
        if self.finished.next_eviction == Some(key) {
            self.finished.advance_eviction(&self.table);
        }
        self.finished.list.remove(&mut self.table, key);
        self.finished.list.push_back(&mut self.table, key);
        if self.log_entry.is_some() {
            self.finished.next_eviction.get_or_insert(key);
        }
    }

    /// Appends a job that ended to the finished jobs.
    pub(super) fn add_finished(&mut self, key: JobKey) {
        self.finished.list.push_back(&mut self.table, key);
        self.finished.bytes += self.table[key].weight();
        if self.log_entry.is_some() {
            self.finished.evictable_bytes += self.table[key].evictable_bytes();
            self.finished.next_eviction.get_or_insert(key);
        }
    }

    /// Removes a finished job because its retention passed or its bytes are needed.
    pub(super) fn expire(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let expire_time = self.table[key].end().map_or(now.wall, |end| end.expire_time.min(now.wall));
        self.remove(now, key, Removal::Expired(expire_time), effects);
    }

    /// Removes a finished job and adds its tombstone.
    pub(super) fn remove(&mut self, now: Now, key: JobKey, why: Removal, effects: &mut Effects) {
        if self.finished.next_eviction == Some(key) {
            self.finished.advance_eviction(&self.table);
        }
        if self.log_entry.is_some() {
            self.finished.evictable_bytes -= self.table[key].evictable_bytes();
        }
        self.finished.list.remove(&mut self.table, key);
        self.finished.bytes -= self.table[key].weight();
        self.clear_timer(key);
        let entry = &self.table[key];
        let end = self.table.is_id_chosen(key).then(|| (entry.state, self.spec_digest(key)));
        let (expire_time, deleted) = match why {
            Removal::Expired(time) => (Some(time), false),
            Removal::Deleted => {
                self.finished.removed.deleted += 1;
                (end.map(|_| now.wall), true)
            }
        };
        let removed = Removed { id: entry.id, expire_time, removed: now.monotonic, end, deleted };
        let entry = self.table.remove(key);
        self.callers.remove_job(entry.caller);
        match entry.observer & !WATCHED {
            0 => {}
            observer => effects.push(Effect::Removed(observer)),
        }
        self.lanes.remove_finished(now, entry.lane, entry.state);
        self.remove_lane_if_empty(entry.lane);
        if let Some(expire_time) = expire_time {
            let tombstone = Tombstone::new(&removed, expire_time);
            let written = self.log_entry;
            self.finished.tombstones(&tombstone).push(tombstone, written);
        }
        effects.record(|| Record::Removed(removed));
    }
}
