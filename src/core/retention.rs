//! Finished jobs: kept by age and by bytes. Tombstones follow them.

use super::effects::{Effect, Effects};
use super::entry::WATCHED;
use super::keys::JobKey;
use super::record::{Record, Removed};
use super::state::Core;
use super::tombstones::Tombstone;
use crate::clock::Now;
use crate::job::{ContentDigest, Spec, SpecDigest, Timestamp};

/// Why a finished job is removed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Removal {
    /// Its retention passed, or its bytes were needed: its result is gone from this time on.
    Expired(Timestamp),
    /// A caller asked for it.
    Deleted,
}

/// Bytes of finished jobs beyond the retention's bound that stay for the sake of open watches: 16 MiB. Beyond it the oldest
/// are removed, watched or not.
pub(super) const WATCHED_BYTES_MAX: u64 = 16 << 20;
/// Watched jobs that one command passes over, so that it stays short.
const WATCHED_PASSED_MAX: usize = 16;

impl Core {
    /// Keeps a job that just ended; the oldest ones make room if there are too many bytes.
    pub(super) fn retain(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        self.keep(key);
        // The job that just ended stays: its end must be seen.
        self.make_room(now, Some(key), effects);
    }

    /// Removes the oldest finished jobs, up to this one, while there are too many bytes of them. Those with an open watch
    /// are passed over within [`WATCHED_BYTES_MAX`]: their end must be seen, too.
    pub(super) fn make_room(&mut self, now: Now, up_to: Option<JobKey>, effects: &mut Effects) {
        let stored_max = self.options.stored_bytes_max.saturating_sub(self.live_weight());
        let bytes_max = self.options.retention_bytes_max.min(stored_max);
        let watched_max = bytes_max.saturating_add(WATCHED_BYTES_MAX).min(stored_max);
        let mut passed = 0;
        while self.finished.bytes > bytes_max {
            let Some(oldest) = self.finished.list.first().filter(|oldest| Some(*oldest) != up_to) else {
                break;
            };
            if !self.table[oldest].is_watched() || self.finished.bytes > watched_max {
                self.expire(now, oldest, effects);
            } else if passed < WATCHED_PASSED_MAX {
                passed += 1;
                self.pass_over(oldest);
            } else {
                break;
            }
        }
    }

    /// Puts a finished job behind all others.
    fn pass_over(&mut self, key: JobKey) {
        if self.finished.evict_from == Some(key) {
            self.finished.pass_evicted(&self.table);
        }
        self.finished.list.remove(&mut self.table, key);
        self.finished.list.push_back(&mut self.table, key);
        if self.log_entry.is_some() {
            self.finished.evict_from.get_or_insert(key);
        }
    }

    /// Puts a job behind those that ended before.
    pub(super) fn keep(&mut self, key: JobKey) {
        self.finished.list.push_back(&mut self.table, key);
        self.finished.bytes += self.table[key].weight();
        if self.log_entry.is_some() {
            self.finished.evictable_bytes += self.table[key].evictable_bytes();
            self.finished.evict_from.get_or_insert(key);
        }
    }

    /// Removes a finished job whose time is over, or whose room is needed.
    pub(super) fn expire(&mut self, now: Now, key: JobKey, effects: &mut Effects) {
        let expire_time = self.table[key].end().map_or(now.wall, |end| end.expire_time.min(now.wall));
        self.remove(now, key, Removal::Expired(expire_time), effects);
    }

    /// Removes a finished job and leaves its tombstone.
    pub(super) fn remove(&mut self, now: Now, key: JobKey, why: Removal, effects: &mut Effects) {
        if self.finished.evict_from == Some(key) {
            self.finished.pass_evicted(&self.table);
        }
        if self.log_entry.is_some() {
            self.finished.evictable_bytes -= self.table[key].evictable_bytes();
        }
        self.finished.list.remove(&mut self.table, key);
        self.finished.bytes -= self.table[key].weight();
        self.wheel.clear(&mut self.table, key);
        let removed = self.removed(now, key, why);
        let entry = self.table.remove(key);
        match entry.observer & !WATCHED {
            0 => {}
            observer => effects.push(Effect::Removed(observer)),
        }
        self.lanes[entry.lane].counts.remove(entry.state);
        self.remove_lane_if_empty(entry.lane);
        if let Some(expire_time) = removed.expire_time {
            let stone = Tombstone::new(&removed, expire_time);
            let written = self.log_entry;
            self.finished.tombstones(&stone).push(stone, written);
        }
        effects.record(|| Record::Removed(removed));
    }

    /// The record of a removal.
    fn removed(&self, now: Now, key: JobKey, why: Removal) -> Removed {
        let entry = &self.table[key];
        let end = self.table.is_id_chosen(key).then(|| (entry.state, self.spec_digest(key)));
        let (expire_time, deleted) = match why {
            Removal::Expired(time) => (Some(time), false),
            Removal::Deleted => (end.map(|_| now.wall), true),
        };
        Removed { id: entry.id, expire_time, removed: now.monotonic, end, deleted }
    }

    fn spec_digest(&self, key: JobKey) -> SpecDigest {
        let entry = &self.table[key];
        let lane = &self.lanes[entry.lane];
        let (content_bytes, content) = match entry.evicted() {
            Some(evicted) => evicted.payload(),
            None => (entry.payload.bytes.len() as u64, ContentDigest::of(&entry.payload.bytes)),
        };
        SpecDigest::of_spec(&Spec {
            kind: &lane.kind,
            queue: &lane.queue,
            payload: &entry.payload,
            content_bytes,
            content,
            priority: entry.priority,
            options: entry.options.as_deref(),
        })
    }
}
