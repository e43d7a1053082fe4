//! An index from job ids to small numbers. The owner of the numbers knows their ids.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::job::JobId;

/// The index is split, so that growing one part never stalls a command for long.
const PARTS: usize = 64;
/// Minimum capacity of a part that was larger.
const PART_BUCKETS_MIN: usize = 256;

pub(super) struct IdIndex {
    parts: Vec<HashTable<u32>>,
    hasher: DefaultHashBuilder,
}

impl IdIndex {
    pub(super) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| HashTable::new()).collect(), hasher: DefaultHashBuilder::default() }
    }

    /// Returns the number of this id for which `matches` is true.
    pub(super) fn find(&self, id: JobId, mut matches: impl FnMut(u32) -> bool) -> Option<u32> {
        let hash = self.hasher.hash_one(id);
        self.parts[part(hash)].find(hash, |number| matches(*number)).copied()
    }

    pub(super) fn insert(&mut self, id: JobId, number: u32, id_of: impl Fn(u32) -> JobId) {
        let (hash, hasher) = (self.hasher.hash_one(id), &self.hasher);
        self.parts[part(hash)].insert_unique(hash, number, |number| hasher.hash_one(id_of(*number)));
    }

    /// Removes the number of this id for which `matches` is true, if there is one.
    pub(super) fn remove(
        &mut self,
        id: JobId,
        mut matches: impl FnMut(u32) -> bool,
        id_of: impl Fn(u32) -> JobId,
    ) {
        let (hash, hasher) = (self.hasher.hash_one(id), &self.hasher);
        let ids = &mut self.parts[part(hash)];
        if let Ok(found) = ids.find_entry(hash, |number| matches(*number)) {
            found.remove();
        }
        if ids.len() * 16 < ids.num_buckets() && ids.num_buckets() > PART_BUCKETS_MIN {
            ids.shrink_to(ids.len() * 2, |number| hasher.hash_one(id_of(*number)));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(HashTable::len).sum()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.parts.iter().map(HashTable::num_buckets).sum()
    }
}

/// The middle bits: the tables use the lowest and the highest.
fn part(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}
