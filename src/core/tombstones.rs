//! Tombstones of removed jobs: an id names one job for the whole idempotency window.
//!
//! They are in chunks, ordered by removal. The oldest are dropped first. A chunk has the sequence of the oldest log
//! entry with one of its records: compaction rewrites the chunk before it trims that entry.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::Duration;

use super::index::IdIndex;
use super::record::Removed;
use crate::job::{JobId, JobState, SpecDigest, Timestamp};

/// Tombstones of a chunk.
const CHUNK: usize = 1024;
/// Estimated size of the record of a tombstone in the log, in bytes.
const RECORD_BYTES: u64 = 64;
/// Most tombstones that one command drops because their window passed.
const PRUNED_MAX: usize = 16;

/// The tombstone of a removed job. It takes about 60 bytes with its entry in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tombstone {
    pub(super) id: JobId,
    /// The final state and the digest of the spec. `None` if the id was minted, or if an earlier version removed the
    /// job.
    pub(super) end: Option<(JobState, SpecDigest)>,
    /// Monotonic time of the removal in seconds, rounded up.
    removed: u32,
    /// When the result was removed.
    pub(super) expire_time: Timestamp,
}

impl Tombstone {
    pub(super) fn new(removed: &Removed, expire_time: Timestamp) -> Self {
        let Removed { id, removed, end, .. } = *removed;
        let seconds = removed.as_secs() + u64::from(removed.subsec_nanos() > 0);
        Self { id, end, removed: u32::try_from(seconds).unwrap_or(u32::MAX), expire_time }
    }

    /// The record that restores the tombstone.
    fn record(&self) -> Removed {
        Removed {
            id: self.id,
            expire_time: Some(self.expire_time),
            removed: Duration::from_secs(self.removed.into()),
            end: self.end,
            deleted: false,
        }
    }
}

/// A bounded set of tombstones.
pub(super) struct Tombstones {
    max: usize,
    chunks: VecDeque<Chunk>,
    /// The number of the first tombstone of the first chunk. Numbers are consecutive.
    first: u64,
    /// How many tombstones of the first chunk were dropped.
    dropped: usize,
    /// The lower half of the number of each valid tombstone.
    index: IdIndex,
}

struct Chunk {
    /// The oldest log entry with one of its records, if there is a log.
    written: Option<NonZeroU64>,
    tombstones: Vec<Tombstone>,
}

impl Tombstones {
    pub(super) fn new(max: u32) -> Self {
        Self { max: max as usize, chunks: VecDeque::new(), first: 0, dropped: 0, index: IdIndex::new() }
    }

    pub(super) fn len(&self) -> usize {
        let last = self.chunks.back().map_or(0, |chunk| chunk.tombstones.len());
        (self.chunks.len().saturating_sub(1) * CHUNK + last).saturating_sub(self.dropped)
    }

    /// The bound of the set.
    pub(super) fn max(&self) -> u32 {
        self.max as u32
    }

    pub(super) fn get(&self, id: JobId) -> Option<&Tombstone> {
        let number = self.index.find(id, |number| at(&self.chunks, self.first, number).id == id)?;
        Some(at(&self.chunks, self.first, number))
    }

    /// Adds the tombstone of a job that is removed in this log entry. The id has no other tombstone.
    pub(super) fn push(&mut self, tombstone: Tombstone, written: Option<NonZeroU64>) {
        if self.max == 0 {
            return;
        }
        while self.len() >= self.max {
            self.drop_oldest();
        }
        self.append(tombstone, written);
    }

    /// Adds a recovered tombstone. The order is restored by [`Tombstones::sort`].
    pub(super) fn replay(&mut self, tombstone: Tombstone, written: Option<NonZeroU64>) {
        // Compaction records known tombstones again.
        if self.max == 0 || self.get(tombstone.id).is_some() {
            return;
        }
        if self.len() >= 2 * self.max {
            self.sort();
        }
        self.append(tombstone, written);
    }

    fn append(&mut self, tombstone: Tombstone, written: Option<NonZeroU64>) {
        debug_assert_eq!(self.get(tombstone.id), None, "an id is removed once in a window");
        if self.chunks.back().is_none_or(|chunk| chunk.tombstones.len() == CHUNK) {
            self.chunks.push_back(Chunk { written, tombstones: Vec::new() });
        }
        let number = self.first + (self.dropped + self.len()) as u64;
        if let Some(last) = self.chunks.back_mut() {
            last.written = last.written.min(written);
            last.tombstones.push(tombstone);
        }
        let (chunks, first) = (&self.chunks, self.first);
        self.index.insert(tombstone.id, number as u32, |number| at(chunks, first, number).id);
    }

    /// Removes the tombstone of this id.
    pub(super) fn remove(&mut self, id: JobId) {
        let (chunks, first) = (&self.chunks, self.first);
        let id_of = |number| at(chunks, first, number).id;
        self.index.remove(id, |number| id_of(number) == id, id_of);
    }

    /// Drops up to `PRUNED_MAX` of the oldest tombstones whose window passed.
    pub(super) fn prune(&mut self, now: Duration, window: Duration) {
        for _ in 0..PRUNED_MAX {
            let oldest = self.chunks.front().and_then(|chunk| chunk.tombstones.get(self.dropped));
            let is_over = |tombstone: &Tombstone| {
                Duration::from_secs(tombstone.removed.into()).saturating_add(window) <= now
            };
            if !oldest.is_some_and(is_over) {
                return;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(tombstone) = self.chunks.front().and_then(|chunk| chunk.tombstones.get(self.dropped)) else {
            return;
        };
        let number = (self.first + self.dropped as u64) as u32;
        let (chunks, first) = (&self.chunks, self.first);
        self.index.remove(tombstone.id, |other| other == number, |number| at(chunks, first, number).id);
        self.dropped += 1;
        if self.chunks.front().is_some_and(|chunk| self.dropped == chunk.tombstones.len()) {
            self.chunks.pop_front();
            // Numbers count whole chunks.
            self.first += CHUNK as u64;
            self.dropped = 0;
        }
    }

    /// Orders the tombstones by removal, and drops the oldest above the bound.
    pub(super) fn sort(&mut self) {
        let mut all = Vec::with_capacity(self.len());
        for (index, chunk) in self.chunks.iter().enumerate() {
            all.extend(self.valid(index).map(|tombstone| (chunk.written, *tombstone)));
        }
        all.sort_by_key(|(_, tombstone)| tombstone.removed);
        let too_many = all.len().saturating_sub(self.max);
        *self = Self::new(self.max());
        all.into_iter().skip(too_many).for_each(|(written, tombstone)| self.append(tombstone, written));
    }

    /// The tombstones of a chunk that were not dropped or removed.
    fn valid(&self, chunk: usize) -> impl Iterator<Item = &Tombstone> {
        let first = self.first + (chunk * CHUNK) as u64;
        let numbered = (first..).zip(&self.chunks[chunk].tombstones);
        let is_valid = move |(number, tombstone): &(u64, &Tombstone)| {
            self.index.find(tombstone.id, |other| other == *number as u32).is_some()
        };
        numbered.filter(is_valid).map(|(_, tombstone)| tombstone)
    }

    /// Returns the records of the next chunk from this number on that has a record before the log entry `before`, and
    /// the number after the chunk. They are recorded in the entry `now`. `None` after the last chunk.
    pub(super) fn rewrite(
        &mut self,
        from: u64,
        before: Option<NonZeroU64>,
        now: Option<NonZeroU64>,
    ) -> Option<(Vec<Removed>, u64)> {
        let skipped = from.saturating_sub(self.first) / CHUNK as u64;
        let is_old = |chunk: &Chunk| before.is_none_or(|before| chunk.written.is_none_or(|at| at < before));
        let mut chunks = (skipped as usize..self.chunks.len()).filter(|chunk| is_old(&self.chunks[*chunk]));
        let chunk = chunks.next()?;
        let records = self.valid(chunk).map(Tombstone::record).collect();
        self.chunks[chunk].written = now;
        Some((records, self.first + ((chunk + 1) * CHUNK) as u64))
    }

    /// Estimates the bytes of records before each of these log entries, without those before the preceding one.
    pub(super) fn live_log_bytes_between(&self, entries: &[u64]) -> Vec<u64> {
        let mut live_bytes = vec![0; entries.len()];
        for chunk in &self.chunks {
            let written = chunk.written.map_or(0, NonZeroU64::get);
            let first = entries.partition_point(|before| *before <= written);
            if let Some(live_bytes) = live_bytes.get_mut(first) {
                *live_bytes += chunk.tombstones.len() as u64 * RECORD_BYTES;
            }
        }
        live_bytes
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.index.len()
    }
}

fn at(chunks: &VecDeque<Chunk>, first: u64, number: u32) -> &Tombstone {
    let offset = number.wrapping_sub(first as u32) as usize;
    &chunks[offset / CHUNK].tombstones[offset % CHUNK]
}
