//! Storage of job records in chunks: growth copies no record, and memory is freed after a peak.

use std::ops::{Index, IndexMut};

use slab::Slab;

use super::entry::Entry;
use super::keys::JobKey;

/// Slightly less than a size class of allocators.
const CHUNK_BYTES: usize = (160 << 10) - 64;
const CHUNK_RECORDS: usize = CHUNK_BYTES / size_of::<Entry>();

#[derive(Default)]
pub(super) struct Slots {
    chunks: Vec<Slab<Entry>>,
    /// Chunks with a vacant slot. The last one is filled next.
    vacant: Vec<u32>,
    /// The chunk that stays allocated while it is empty, so that a small number of jobs causes no allocations.
    spare: usize,
}

impl Slots {
    pub(super) fn insert(&mut self, entry: Entry) -> JobKey {
        let at = match self.vacant.last() {
            Some(at) => *at as usize,
            None => {
                self.chunks.push(Slab::new());
                self.vacant.push(self.chunks.len() as u32 - 1);
                self.chunks.len() - 1
            }
        };
        let chunk = &mut self.chunks[at];
        if chunk.capacity() == 0 {
            chunk.reserve_exact(CHUNK_RECORDS);
        }
        let slot = chunk.insert(entry);
        if chunk.len() == CHUNK_RECORDS {
            self.vacant.pop();
        }
        JobKey((at * CHUNK_RECORDS + slot) as u32)
    }

    pub(super) fn remove(&mut self, key: JobKey) -> Entry {
        let (at, slot) = position_of(key);
        let chunk = &mut self.chunks[at];
        if chunk.len() == CHUNK_RECORDS {
            self.vacant.push(at as u32);
        }
        let entry = chunk.remove(slot);
        if chunk.is_empty() {
            match self.chunks[self.spare].is_empty() && self.spare != at {
                true => self.chunks[at] = Slab::new(),
                false => self.spare = at,
            }
        }
        entry
    }

    pub(super) fn get(&self, key: JobKey) -> Option<&Entry> {
        let (at, slot) = position_of(key);
        self.chunks.get(at)?.get(slot)
    }

    /// The records in every `step`th slot from `offset` on.
    pub(super) fn sample(&self, step: usize, offset: usize) -> impl Iterator<Item = &Entry> {
        let slots = (offset..self.chunks.len() * CHUNK_RECORDS).step_by(step);
        slots.filter_map(move |slot| self.get(JobKey(slot as u32)))
    }

    /// Records that memory is allocated for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.chunks.iter().map(Slab::capacity).sum()
    }
}

fn position_of(key: JobKey) -> (usize, usize) {
    (key.0 as usize / CHUNK_RECORDS, key.0 as usize % CHUNK_RECORDS)
}

impl Index<JobKey> for Slots {
    type Output = Entry;

    fn index(&self, key: JobKey) -> &Entry {
        let (at, slot) = position_of(key);
        &self.chunks[at][slot]
    }
}

impl IndexMut<JobKey> for Slots {
    fn index_mut(&mut self, key: JobKey) -> &mut Entry {
        let (at, slot) = position_of(key);
        &mut self.chunks[at][slot]
    }
}

#[cfg(test)]
mod tests {
    use super::Entry;

    /// The memory of waiting jobs depends on this size.
    #[test]
    fn a_record_has_160_bytes() {
        assert_eq!(size_of::<Entry>(), 160);
    }
}
