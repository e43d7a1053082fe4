//! Eviction: the contents of the oldest finished jobs are dropped from memory while there are too many.

use std::num::NonZeroU64;

use super::contents::LogPlace;
use super::course::Evicted;
use super::effects::Effects;
use super::keys::JobKey;
use super::record::Record;
use super::state::Core;
use crate::job::ContentDigest;

/// Bytes after which a command writes no further job again.
const IMAGES_BYTES_MAX: u64 = 1 << 20;

impl Core {
    /// What is recorded from now on will be this entry of the log.
    pub(crate) fn write_to(&mut self, entry: NonZeroU64) {
        self.log_entry = Some(entry);
    }

    /// These records of a command were written to this entry: one was not enough for all of them.
    pub(crate) fn were_written(&mut self, records: &[Record], entry: NonZeroU64) {
        for record in records {
            match record {
                Record::Accepted(accepted) => {
                    if let Some(key) = self.table.find(accepted.id) {
                        self.table[key].written = Some(entry);
                    }
                }
                Record::Moved(moved) => {
                    let end = self.table.find(moved.id).and_then(|key| self.table[key].end_mut());
                    if let Some(end) = end.filter(|_| moved.expire_time.is_some()) {
                        end.written = Some(entry);
                    }
                }
                _ => {}
            }
        }
    }

    /// Drops the contents of the oldest finished jobs while there are too many. Jobs that cannot be read from where they
    /// were written are recorded again.
    pub(crate) fn cool(&mut self, effects: &mut Effects) {
        let mut images_bytes = 0;
        while self.finished.evictable_bytes > self.options.retention_memory_bytes_max {
            let Some(key) = self.finished.evict_from else { return };
            let entry = &self.table[key];
            let bytes = entry.evictable_bytes();
            if bytes > 0 && !entry.place().is_some_and(|place| place.is_near()) {
                if images_bytes > IMAGES_BYTES_MAX || self.log_entry.is_none() {
                    return;
                }
                images_bytes += entry.weight();
                self.write_again(key).into_iter().for_each(|record| effects.record(|| record));
            }
            self.finished.pass_evicted(&self.table);
            if bytes > 0 {
                self.finished.evictable_bytes -= bytes;
                self.evict(key);
            }
        }
    }

    /// Drops the contents of a finished job that has a place.
    pub(super) fn evict(&mut self, key: JobKey) {
        let entry = &self.table[key];
        let Some(LogPlace { needs_all, ring_from, .. }) = entry.place().filter(LogPlace::is_near) else {
            return;
        };
        let (weight, listed_bytes) = (entry.weight(), entry.listed_bytes(true));
        let (payload_bytes, payload) =
            (entry.payload.bytes.len() as u64, ContentDigest::of(&entry.payload.bytes));
        let evicted = Evicted { weight, listed_bytes, payload_bytes, payload, needs_all, ring_from };
        self.table[key].evict_contents(evicted);
    }
}
