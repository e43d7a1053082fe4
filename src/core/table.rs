//! The job table: records by key, keys by id, keys by acceptance. It knows nothing of what the records mean.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::entry::Entry;
use super::keys::JobKey;
use super::slots::Slots;
use super::tails::{IdSecret, Tails};
use crate::job::JobId;

/// The id index is split, so that growing one part never stalls a command for long.
const INDEX_PARTS: usize = 64;
/// Room that a part of the index keeps, however few ids there are.
const PART_BUCKETS_MIN: usize = 256;

pub(super) struct Table {
    slots: Slots,
    /// The records whose ids do not tell where they are: callers chose them, or they come from a log.
    index: Vec<HashTable<JobKey>>,
    hasher: DefaultHashBuilder,
    tails: Tails,
    order: Order,
    len: u32,
}

impl Table {
    pub(super) fn new(secret: IdSecret) -> Self {
        let (index, hasher) = (empty_index(), DefaultHashBuilder::default());
        let tails = Tails::new(secret);
        Self { slots: Slots::default(), index, hasher, tails, order: Order::default(), len: 0 }
    }

    /// What hides places in the tails of ids.
    pub(super) fn tails(&self) -> &Tails {
        &self.tails
    }

    /// Has ids minted with this secret from now on; those that are there are still found.
    pub(super) fn set_secret(&mut self, secret: IdSecret) {
        if self.tails.secret() == secret {
            return;
        }
        self.tails = Tails::new(secret);
        self.index = empty_index();
        self.in_order().into_iter().for_each(|key| self.enter_index(key));
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn get(&self, key: JobKey) -> Option<&Entry> {
        self.slots.get(key)
    }

    pub(super) fn find(&self, id: JobId) -> Option<JobKey> {
        let placed = self.tails.place_of(id);
        if self.get(placed).is_some_and(|entry| entry.id == id) {
            return Some(placed);
        }
        let hash = self.hasher.hash_one(id);
        self.index[part(hash)].find(hash, |key| self[*key].id == id).copied()
    }

    /// Adds a job whose id is not in the table, as the newest in acceptance order.
    pub(super) fn insert(&mut self, entry: Entry) -> JobKey {
        self.insert_as(entry, self.order.next)
    }

    /// [`Table::insert`] for a job whose id was just minted: that tells from now on where the record is.
    pub(super) fn insert_minted(&mut self, entry: Entry) -> JobKey {
        let key = self.slots.insert(entry);
        let entry = &mut self.slots[key];
        entry.id = self.tails.minted(entry.id, key);
        self.enter(key, self.order.next);
        key
    }

    /// Adds a job whose id is not in the table, at this place in acceptance order, which is free.
    pub(super) fn insert_as(&mut self, entry: Entry, number: u64) -> JobKey {
        let key = self.slots.insert(entry);
        self.enter(key, number);
        key
    }

    fn enter(&mut self, key: JobKey, number: u64) {
        self.slots[key].accepted = number;
        self.order.insert(number, key);
        self.len += 1;
        self.enter_index(key);
    }

    fn enter_index(&mut self, key: JobKey) {
        let id = self.slots[key].id;
        if !self.tells(id, key) {
            let hash = self.hasher.hash_one(id);
            let (slots, hasher) = (&self.slots, &self.hasher);
            self.index[part(hash)].insert_unique(hash, key, |key| hasher.hash_one(slots[*key].id));
        }
    }

    /// Whether a caller chose the job's id. True of almost all that come from a log too: it costs a tombstone, no more.
    pub(super) fn is_id_chosen(&self, key: JobKey) -> bool {
        !self.tells(self[key].id, key)
    }

    /// Whether the id itself tells where the record is, so that it needs no entry in the index. One in 2^32 that a caller
    /// chose does too.
    fn tells(&self, id: JobId, key: JobKey) -> bool {
        self.tails.place_of(id) == key
    }

    pub(super) fn remove(&mut self, key: JobKey) -> Entry {
        let id = self.slots[key].id;
        if !self.tells(id, key) {
            self.forget(id, key);
        }
        let entry = self.slots.remove(key);
        self.order.remove(entry.accepted);
        self.len -= 1;
        entry
    }

    fn forget(&mut self, id: JobId, key: JobKey) {
        let hash = self.hasher.hash_one(id);
        let ids = &mut self.index[part(hash)];
        if let Ok(slot) = ids.find_entry(hash, |candidate| *candidate == key) {
            slot.remove();
        }
        if ids.len() * 16 < ids.num_buckets() && ids.num_buckets() > PART_BUCKETS_MIN {
            let (slots, hasher) = (&self.slots, &self.hasher);
            ids.shrink_to(ids.len() * 2, |key| hasher.hash_one(slots[*key].id));
        }
    }

    /// The number the next accepted job will get.
    pub(super) fn next_accepted(&self) -> u64 {
        self.order.next
    }

    /// Every job, oldest first.
    pub(super) fn in_order(&self) -> Vec<JobKey> {
        self.accepted_from(0).collect()
    }

    /// Jobs from this number on, oldest first.
    pub(super) fn accepted_from(&self, number: u64) -> impl Iterator<Item = JobKey> + '_ {
        self.order.from(number)
    }

    /// The jobs whose numbers are `offset` and every `step` after it, oldest first.
    pub(super) fn accepted_every(&self, step: u64, offset: u64) -> impl Iterator<Item = JobKey> + '_ {
        self.order.every(step, offset)
    }

    /// Jobs accepted before this number, newest first.
    pub(super) fn accepted_before(&self, number: u64) -> impl Iterator<Item = JobKey> + '_ {
        self.order.before(number)
    }

    /// Jobs that there is memory for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        let ids: usize = self.index.iter().map(HashTable::num_buckets).sum();
        self.slots.room().max(ids)
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

fn empty_index() -> Vec<HashTable<JobKey>> {
    (0..INDEX_PARTS).map(|_| HashTable::new()).collect()
}

/// The middle bits: the table uses the lowest and the highest for itself.
fn part(hash: u64) -> usize {
    (hash >> 40) as usize % INDEX_PARTS
}

const ORDER_CHUNK: u64 = 256;

/// Keys by acceptance number, four bytes a job; a chunk goes when its last job does.
#[derive(Default)]
struct Order {
    chunks: BTreeMap<u64, OrderChunk>,
    next: u64,
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
        let chunk = self.chunks.get_mut(&index).expect("an accepted job has its place");
        chunk.keys[(number % ORDER_CHUNK) as usize] = JobKey::NONE;
        chunk.live -= 1;
        if chunk.live == 0 {
            self.chunks.remove(&index);
        }
    }

    fn from(&self, number: u64) -> impl Iterator<Item = JobKey> + '_ {
        let chunks = self.chunks.range(number / ORDER_CHUNK..);
        chunks.flat_map(move |(index, chunk)| {
            let begin = number.saturating_sub(index * ORDER_CHUNK).min(ORDER_CHUNK) as usize;
            chunk.keys[begin..].iter().copied().filter(|key| *key != JobKey::NONE)
        })
    }

    fn every(&self, step: u64, offset: u64) -> impl Iterator<Item = JobKey> + '_ {
        self.chunks.iter().flat_map(move |(index, chunk)| {
            let begin = index * ORDER_CHUNK;
            let first = offset + begin.saturating_sub(offset).div_ceil(step) * step;
            let numbers = (first..begin + ORDER_CHUNK).step_by(step as usize);
            numbers
                .map(move |number| chunk.keys[(number - begin) as usize])
                .filter(|key| *key != JobKey::NONE)
        })
    }

    fn before(&self, number: u64) -> impl Iterator<Item = JobKey> + '_ {
        let chunks = self.chunks.range(..=number / ORDER_CHUNK).rev();
        chunks.flat_map(move |(index, chunk)| {
            let end = number.saturating_sub(index * ORDER_CHUNK).min(ORDER_CHUNK) as usize;
            chunk.keys[..end].iter().rev().copied().filter(|key| *key != JobKey::NONE)
        })
    }
}
