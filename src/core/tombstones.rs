//! Tombstones: what is left of removed jobs, so that an id names one job for the whole idempotency window.
//!
//! They stand in chunks, in the order of removal, which is that of their eviction. A chunk knows the oldest entry of the log
//! that holds one of them: a checkpoint writes the chunk again before that entry is given back.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::num::NonZeroU64;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::record::Removed;
use crate::job::{JobId, JobState, SpecDigest, Timestamp};

/// Tombstones of a chunk, and of one piece of a checkpoint.
const CHUNK: usize = 1024;
/// The index is split, so that growing one part never stalls a command for long.
const INDEX_PARTS: usize = 64;
/// About how many bytes of the log a tombstone takes.
const RECORD_BYTES: u64 = 64;
/// Most tombstones that one command drops because their time is over.
const PRUNED_MAX: usize = 16;

/// What is left of a removed job. About 60 bytes with its place in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tombstone {
    pub(super) id: JobId,
    /// How it ended, and the digest of its spec. Unknown of jobs whose ids the server minted, and of those that a version
    /// before removed.
    pub(super) end: Option<(JobState, SpecDigest)>,
    /// Monotonic time of its removal in seconds, rounded up.
    removed: u32,
    /// When its result was gone.
    pub(super) expire_time: Timestamp,
}

impl Tombstone {
    pub(super) fn new(removed: &Removed, expire_time: Timestamp) -> Self {
        let Removed { id, removed, end, .. } = *removed;
        let seconds = removed.as_secs() + u64::from(removed.subsec_nanos() > 0);
        Self { id, end, removed: u32::try_from(seconds).unwrap_or(u32::MAX), expire_time }
    }

    /// The record that tells it again.
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

/// The tombstones of one sort, at most so many.
pub(super) struct Tombstones {
    max: usize,
    chunks: VecDeque<Chunk>,
    /// The number of the first tombstone of the first chunk. Numbers go on from one to the next.
    first: u64,
    /// How many of the first chunk were dropped.
    dropped: usize,
    /// The lower half of the number of each that counts.
    index: Vec<HashTable<u32>>,
    hasher: DefaultHashBuilder,
}

struct Chunk {
    /// The oldest entry of the log with one of them, if there is a log.
    written: Option<NonZeroU64>,
    stones: Vec<Tombstone>,
}

impl Tombstones {
    pub(super) fn new(max: u32) -> Self {
        Self {
            max: max as usize,
            chunks: VecDeque::new(),
            first: 0,
            dropped: 0,
            index: (0..INDEX_PARTS).map(|_| HashTable::new()).collect(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        let last = self.chunks.back().map_or(0, |chunk| chunk.stones.len());
        (self.chunks.len().saturating_sub(1) * CHUNK + last).saturating_sub(self.dropped)
    }

    /// Most of them.
    pub(super) fn max(&self) -> u32 {
        self.max as u32
    }

    pub(super) fn get(&self, id: JobId) -> Option<&Tombstone> {
        let hash = self.hasher.hash_one(id);
        let number = self.index[part(hash)].find(hash, |number| self.at(*number).id == id)?;
        Some(self.at(*number))
    }

    /// The one with this lower half of a number.
    fn at(&self, number: u32) -> &Tombstone {
        at(&self.chunks, self.first, number)
    }

    /// The job was removed, as this entry of the log says; its id has no tombstone.
    pub(super) fn push(&mut self, stone: Tombstone, written: Option<NonZeroU64>) {
        if self.max == 0 {
            return;
        }
        while self.len() >= self.max {
            self.drop_oldest();
        }
        self.append(stone, written);
    }

    /// [`Tombstones::push`] of an earlier life, in any order until they are [sorted](Tombstones::sort).
    pub(super) fn replay(&mut self, stone: Tombstone, written: Option<NonZeroU64>) {
        // A checkpoint tells again what is known.
        if self.max == 0 || self.get(stone.id).is_some() {
            return;
        }
        if self.len() >= 2 * self.max {
            self.sort();
        }
        self.append(stone, written);
    }

    fn append(&mut self, stone: Tombstone, written: Option<NonZeroU64>) {
        debug_assert_eq!(self.get(stone.id), None, "an id is removed once in a window");
        if self.chunks.back().is_none_or(|chunk| chunk.stones.len() == CHUNK) {
            self.chunks.push_back(Chunk { written, stones: Vec::new() });
        }
        let number = self.first + (self.dropped + self.len()) as u64;
        if let Some(last) = self.chunks.back_mut() {
            last.written = last.written.min(written);
            last.stones.push(stone);
        }
        let hash = self.hasher.hash_one(stone.id);
        let (chunks, first, hasher) = (&self.chunks, self.first, &self.hasher);
        let again = |number: &u32| hasher.hash_one(at(chunks, first, *number).id);
        self.index[part(hash)].insert_unique(hash, number as u32, again);
    }

    /// The id names a new job.
    pub(super) fn forget(&mut self, id: JobId) {
        let hash = self.hasher.hash_one(id);
        let (chunks, first) = (&self.chunks, self.first);
        let is_it = |number: &u32| at(chunks, first, *number).id == id;
        if let Ok(found) = self.index[part(hash)].find_entry(hash, is_it) {
            found.remove();
        }
    }

    /// Drops the oldest, some at a time, whose removal is this long ago.
    pub(super) fn prune(&mut self, now: Duration, window: Duration) {
        for _ in 0..PRUNED_MAX {
            let oldest = self.chunks.front().and_then(|chunk| chunk.stones.get(self.dropped));
            let is_over =
                |stone: &Tombstone| Duration::from_secs(stone.removed.into()).saturating_add(window) <= now;
            if !oldest.is_some_and(is_over) {
                return;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(stone) = self.chunks.front().and_then(|chunk| chunk.stones.get(self.dropped)) else {
            return;
        };
        let hash = self.hasher.hash_one(stone.id);
        let number = (self.first + self.dropped as u64) as u32;
        if let Ok(found) = self.index[part(hash)].find_entry(hash, |other| *other == number) {
            found.remove();
        }
        self.dropped += 1;
        if self.chunks.front().is_some_and(|chunk| self.dropped == chunk.stones.len()) {
            self.chunks.pop_front();
            // Numbers stay those of whole chunks.
            self.first += CHUNK as u64;
            self.dropped = 0;
        }
    }

    /// Puts them in the order of removal, and drops the oldest that are too many.
    pub(super) fn sort(&mut self) {
        let mut all = Vec::with_capacity(self.len());
        for (number, chunk) in (0_u64..).zip(&self.chunks) {
            for (place, stone) in (0_u64..).zip(&chunk.stones) {
                let number = (self.first + number * CHUNK as u64 + place) as u32;
                if self.counts(stone.id, number) {
                    all.push((chunk.written, *stone));
                }
            }
        }
        all.sort_by_key(|(_, stone)| stone.removed);
        let too_many = all.len().saturating_sub(self.max);
        *self = Self::new(self.max());
        all.into_iter().skip(too_many).for_each(|(written, stone)| self.append(stone, written));
    }

    fn counts(&self, id: JobId, number: u32) -> bool {
        let hash = self.hasher.hash_one(id);
        self.index[part(hash)].find(hash, |other| *other == number).is_some()
    }

    /// The next chunk from this place on that an entry of the log before this one holds a part of, as the records that tell
    /// it again, in the entry `now`; and the place behind it. `None` after the last.
    pub(super) fn write_again(
        &mut self,
        from: u64,
        before: Option<NonZeroU64>,
        now: Option<NonZeroU64>,
    ) -> Option<(Vec<Removed>, u64)> {
        let skipped = from.saturating_sub(self.first) / CHUNK as u64;
        let is_old = |chunk: &Chunk| before.is_none_or(|before| chunk.written.is_none_or(|at| at < before));
        let mut chunks = (skipped as usize..self.chunks.len()).filter(|chunk| is_old(&self.chunks[*chunk]));
        let chunk = chunks.next()?;
        let begin = self.first + (chunk * CHUNK) as u64;
        let counts = |place: &usize| {
            let is_dropped = chunk == 0 && *place < self.dropped;
            !is_dropped && self.counts(self.chunks[chunk].stones[*place].id, (begin + *place as u64) as u32)
        };
        let places = (0..self.chunks[chunk].stones.len()).filter(counts);
        let records = places.map(|place| self.chunks[chunk].stones[place].record()).collect();
        self.chunks[chunk].written = now;
        Some((records, begin + CHUNK as u64))
    }

    /// About how many bytes of the log are needed for those in entries before each of these, each beside those before it.
    pub(super) fn needed_between(&self, entries: &[u64]) -> Vec<u64> {
        let mut needed = vec![0; entries.len()];
        for chunk in &self.chunks {
            let written = chunk.written.map_or(0, NonZeroU64::get);
            let first = entries.partition_point(|before| *before <= written);
            if let Some(needed) = needed.get_mut(first) {
                *needed += chunk.stones.len() as u64 * RECORD_BYTES;
            }
        }
        needed
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.index.iter().map(HashTable::len).sum()
    }
}

fn at(chunks: &VecDeque<Chunk>, first: u64, number: u32) -> &Tombstone {
    let place = number.wrapping_sub(first as u32) as usize;
    &chunks[place / CHUNK].stones[place % CHUNK]
}

/// The middle bits: the table uses the lowest and the highest for itself.
fn part(hash: u64) -> usize {
    (hash >> 40) as usize % INDEX_PARTS
}
