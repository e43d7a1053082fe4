//! The job table: records by key, keys by id, keys by acceptance number.

use std::collections::BTreeMap;

use super::entry::Entry;
use super::index::IdIndex;
use super::keys::JobKey;
use super::slots::Slots;
use super::tails::{IdSecret, Tails};
use crate::job::JobId;

pub(super) struct Table {
    slots: Slots,
    /// Keys of the jobs whose ids do not encode them: callers chose these ids, or the jobs were recovered.
    index: IdIndex,
    tails: Tails,
    /// Keys by acceptance number.
    pub(super) order: Order,
    len: u32,
}

impl Table {
    pub(super) fn new(secret: IdSecret) -> Self {
        let (slots, index, tails) = (Slots::default(), IdIndex::new(), Tails::new(secret));
        Self { slots, index, tails, order: Order::default(), len: 0 }
    }

    /// The encoding of keys in minted ids and leases.
    pub(super) fn tails(&self) -> &Tails {
        &self.tails
    }

    /// Sets the secret of ids that are minted from now on. Existing ids are still found.
    pub(super) fn set_secret(&mut self, secret: IdSecret) {
        if self.tails.secret() == secret {
            return;
        }
        self.tails = Tails::new(secret);
        self.index = IdIndex::new();
        self.in_order().into_iter().for_each(|key| self.index_id(key));
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn get(&self, key: JobKey) -> Option<&Entry> {
        self.slots.get(key)
    }

    pub(super) fn find(&self, id: JobId) -> Option<JobKey> {
        let placed = self.tails.key_of(id);
        if self.get(placed).is_some_and(|entry| entry.id == id) {
            return Some(placed);
        }
        self.index.find(id, |key| self[JobKey(key)].id == id).map(JobKey)
    }

    /// Adds a job with a new id. It gets the next acceptance number.
    pub(super) fn insert(&mut self, entry: Entry) -> JobKey {
        self.insert_numbered(entry, self.order.next)
    }

    /// Adds a job with a minted id, as [`Table::insert`] does. Its key is encoded in the id.
    pub(super) fn insert_minted(&mut self, entry: Entry) -> JobKey {
        let key = self.slots.insert(entry);
        let entry = &mut self.slots[key];
        entry.id = self.tails.minted(entry.id, key);
        self.register(key, self.order.next);
        key
    }

    /// Adds a job with a new id and this acceptance number, which is unused.
    pub(super) fn insert_numbered(&mut self, entry: Entry, number: u64) -> JobKey {
        let key = self.slots.insert(entry);
        self.register(key, number);
        key
    }

    fn register(&mut self, key: JobKey, number: u64) {
        self.slots[key].accepted = number;
        self.order.insert(number, key);
        self.len += 1;
        self.index_id(key);
    }

    fn index_id(&mut self, key: JobKey) {
        let id = self.slots[key].id;
        if !self.encodes(id, key) {
            self.index.insert(id, key.0, |key| self.slots[JobKey(key)].id);
        }
    }

    /// Whether a caller chose the job's id. It is also true for most recovered jobs, which then get a larger tombstone.
    pub(super) fn is_id_chosen(&self, key: JobKey) -> bool {
        !self.encodes(self[key].id, key)
    }

    /// Whether the key is encoded in the id, so that the id is not indexed. Of chosen ids, one in 2^32 encodes its key
    /// too.
    fn encodes(&self, id: JobId, key: JobKey) -> bool {
        self.tails.key_of(id) == key
    }

    pub(super) fn remove(&mut self, key: JobKey) -> Entry {
        let id = self.slots[key].id;
        if !self.encodes(id, key) {
            self.index.remove(id, |other| other == key.0, |key| self.slots[JobKey(key)].id);
        }
        let entry = self.slots.remove(key);
        self.order.remove(entry.accepted);
        self.len -= 1;
        entry
    }

    /// Every job, oldest first.
    pub(super) fn in_order(&self) -> Vec<JobKey> {
        self.order.from(0).collect()
    }

    /// The jobs in every `step`th slot from `offset` on.
    pub(super) fn sample(&self, step: usize, offset: usize) -> impl Iterator<Item = &Entry> {
        self.slots.sample(step, offset)
    }

    /// Jobs that memory is allocated for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.slots.capacity().max(self.index.capacity())
    }
}

impl std::ops::Index<JobKey> for Table {
    type Output = Entry;

    fn index(&self, key: JobKey) -> &Entry {
        &self.slots[key]
    }
}

impl std::ops::IndexMut<JobKey> for Table {
    fn index_mut(&mut self, key: JobKey) -> &mut Entry {
        &mut self.slots[key]
    }
}

const ORDER_CHUNK: u64 = 256;

/// Keys by acceptance number, four bytes a job. A chunk is freed with its last job.
#[derive(Default)]
pub(super) struct Order {
    chunks: BTreeMap<u64, OrderChunk>,
    /// The acceptance number of the next job.
    pub(super) next: u64,
}

struct OrderChunk {
    keys: Box<[JobKey; ORDER_CHUNK as usize]>,
    live: u32,
}

impl Order {
    fn insert(&mut self, number: u64, key: JobKey) {
        self.next = self.next.max(number + 1);
        let empty = || OrderChunk { keys: Box::new([JobKey::NONE; ORDER_CHUNK as usize]), live: 0 };
        let chunk = self.chunks.entry(number / ORDER_CHUNK).or_insert_with(empty);
        chunk.keys[(number % ORDER_CHUNK) as usize] = key;
        chunk.live += 1;
    }

    fn remove(&mut self, number: u64) {
        let index = number / ORDER_CHUNK;
        let chunk = self.chunks.get_mut(&index).expect("an accepted job is in a chunk");
        chunk.keys[(number % ORDER_CHUNK) as usize] = JobKey::NONE;
        chunk.live -= 1;
        if chunk.live == 0 {
            self.chunks.remove(&index);
        }
    }

    /// Jobs from this acceptance number on, oldest first.
    pub(super) fn from(&self, number: u64) -> impl Iterator<Item = JobKey> + '_ {
        let chunks = self.chunks.range(number / ORDER_CHUNK..);
        chunks.flat_map(move |(index, chunk)| {
            let begin = number.saturating_sub(index * ORDER_CHUNK).min(ORDER_CHUNK) as usize;
            chunk.keys[begin..].iter().copied().filter(|key| *key != JobKey::NONE)
        })
    }

    /// Jobs before this acceptance number, newest first.
    pub(super) fn before(&self, number: u64) -> impl Iterator<Item = JobKey> + '_ {
        let chunks = self.chunks.range(..=number / ORDER_CHUNK).rev();
        chunks.flat_map(move |(index, chunk)| {
            let end = number.saturating_sub(index * ORDER_CHUNK).min(ORDER_CHUNK) as usize;
            chunk.keys[..end].iter().rev().copied().filter(|key| *key != JobKey::NONE)
        })
    }
}
