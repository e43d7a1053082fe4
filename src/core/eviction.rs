//! Eviction: drops the contents of the oldest finished jobs from memory above a bound.

use std::num::NonZeroU64;

use super::contents::LogPosition;
use super::effects::Effects;
use super::execution::Evicted;
use super::keys::JobKey;
use super::record::Record;
use super::state::Core;
use crate::job::ContentDigest;

/// One command rewrites at most about so many bytes of jobs.
const REWRITTEN_BYTES_MAX: u64 = 1 << 20;

impl Core {
    /// Sets the entry of the log that contains the next records.
    pub(crate) fn set_log_entry(&mut self, entry: NonZeroU64) {
        self.log_entry = Some(entry);
    }

    /// Sets the entry of these records. It is called if the records of one command did not fit into one entry.
    pub(crate) fn set_written(&mut self, records: &[Record], entry: NonZeroU64) {
        for record in records {
            match record {
                Record::Accepted(accepted) => {
                    if let Some(key) = self.table.find(accepted.id) {
                        self.table[key].written = Some(entry);
                    }
                }
                Record::StateChanged(changed) => {
                    let end = self.table.find(changed.id).and_then(|key| self.table[key].end_mut());
                    if let Some(end) = end.filter(|_| changed.expire_time.is_some()) {
                        end.written = Some(entry);
                    }
                }
                _ => {}
            }
        }
    }

    /// Evicts the contents of the oldest finished jobs while they exceed the bound. A job whose records span too many
    /// entries of the log is rewritten first.
    pub(crate) fn evict_excess(&mut self, effects: &mut Effects) {
        let mut rewritten_bytes = 0;
        while self.finished.evictable_bytes > self.options.retention_memory_bytes_max {
            let Some(key) = self.finished.next_eviction else { return };
            let entry = &self.table[key];
            let bytes = entry.evictable_bytes();
            if bytes > 0 && !entry.log_position().is_some_and(|position| position.is_loadable()) {
                if rewritten_bytes > REWRITTEN_BYTES_MAX || self.log_entry.is_none() {
                    return;
                }
                rewritten_bytes += entry.weight();
                self.snapshot(key, None).into_iter().for_each(|record| effects.record(|| record));
            }
            self.finished.advance_eviction(&self.table);
            if bytes > 0 {
                self.finished.evictable_bytes -= bytes;
                self.evict(key);
            }
        }
    }

    /// Evicts the contents of a finished job, if they can be loaded from the log.
    pub(super) fn evict(&mut self, key: JobKey) {
        let entry = &self.table[key];
        let Some(LogPosition { needs_all, ring_from, .. }) =
            entry.log_position().filter(LogPosition::is_loadable)
        else {
            return;
        };
        let (weight, listed_bytes) = (entry.weight(), entry.listed_bytes(true));
        let (payload_bytes, payload) =
            (entry.payload.bytes.len() as u64, ContentDigest::of(&entry.payload.bytes));
        let evicted = Evicted { weight, listed_bytes, payload_bytes, payload, needs_all, ring_from };
        self.table[key].evict_contents(evicted);
    }
}
