//! The job table: records by key, keys by id, keys by acceptance. It knows nothing of what the records mean.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::entry::Entry;
use crate::job::JobId;

/// Records are allocated in chunks, so that growing never copies them.
const CHUNK_RECORDS: usize = 1024;
/// The id index is split, so that growing one part never stalls a command for long.
const INDEX_PARTS: usize = 64;

/// Where a job's record is. Reused after the job is removed: whoever keeps one across commands also keeps the job id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct JobKey(pub(super) u32);

impl JobKey {
    /// No job: the end of a list.
    pub(super) const NONE: Self = Self(u32::MAX);

    fn place(self) -> (usize, usize) {
        (self.0 as usize / CHUNK_RECORDS, self.0 as usize % CHUNK_RECORDS)
    }
}

pub(super) struct Table {
    chunks: Vec<Vec<Option<Entry>>>,
    free: Vec<JobKey>,
    index: Vec<HashTable<JobKey>>,
    hasher: DefaultHashBuilder,
    order: Order,
    len: u32,
}

impl Table {
    pub(super) fn new() -> Self {
        let index = (0..INDEX_PARTS).map(|_| HashTable::new()).collect();
        let hasher = DefaultHashBuilder::default();
        Self { chunks: Vec::new(), free: Vec::new(), index, hasher, order: Order::default(), len: 0 }
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn get(&self, key: JobKey) -> Option<&Entry> {
        let (chunk, place) = key.place();
        self.chunks.get(chunk)?.get(place)?.as_ref()
    }

    pub(super) fn find(&self, id: JobId) -> Option<JobKey> {
        let hash = self.hasher.hash_one(id);
        self.index[part(hash)].find(hash, |key| self[*key].id == id).copied()
    }

    /// Adds a job whose id is not in the table, as the newest in acceptance order.
    pub(super) fn insert(&mut self, entry: Entry) -> JobKey {
        self.insert_as(entry, self.order.next)
    }

    /// Adds a job whose id is not in the table, at this place in acceptance order, which is free.
    pub(super) fn insert_as(&mut self, mut entry: Entry, number: u64) -> JobKey {
        let id = entry.id;
        let key = self.free.pop().unwrap_or_else(|| self.grow());
        entry.accepted = number;
        self.order.insert(number, key);
        let (chunk, place) = key.place();
        self.chunks[chunk][place] = Some(entry);
        let hash = self.hasher.hash_one(id);
        let (chunks, hasher) = (&self.chunks, &self.hasher);
        let rehash = |key: &JobKey| {
            let (chunk, place) = key.place();
            hasher.hash_one(chunks[chunk][place].as_ref().expect("indexed jobs exist").id)
        };
        self.index[part(hash)].insert_unique(hash, key, rehash);
        self.len += 1;
        key
    }

    /// The same for the same bytes, as long as this process runs.
    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        self.hasher.hash_one(bytes)
    }

    pub(super) fn remove(&mut self, key: JobKey) -> Entry {
        let (chunk, place) = key.place();
        let entry = self.chunks[chunk][place].take().expect("a removed job exists");
        let hash = self.hasher.hash_one(entry.id);
        if let Ok(slot) = self.index[part(hash)].find_entry(hash, |candidate| *candidate == key) {
            slot.remove();
        }
        self.order.remove(entry.accepted);
        self.free.push(key);
        self.len -= 1;
        entry
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

    /// Jobs accepted before this number, newest first.
    pub(super) fn accepted_before(&self, number: u64) -> impl Iterator<Item = JobKey> + '_ {
        self.order.before(number)
    }

    fn grow(&mut self) -> JobKey {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK_RECORDS) {
            self.chunks.push(Vec::with_capacity(CHUNK_RECORDS));
        }
        let chunk = self.chunks.len() - 1;
        self.chunks[chunk].push(None);
        JobKey((chunk * CHUNK_RECORDS + self.chunks[chunk].len() - 1) as u32)
    }
}

impl std::ops::Index<JobKey> for Table {
    type Output = Entry;

    fn index(&self, key: JobKey) -> &Entry {
        let (chunk, place) = key.place();
        self.chunks[chunk][place].as_ref().expect("a job key in hand names a job")
    }
}

impl std::ops::IndexMut<JobKey> for Table {
    fn index_mut(&mut self, key: JobKey) -> &mut Entry {
        let (chunk, place) = key.place();
        self.chunks[chunk][place].as_mut().expect("a job key in hand names a job")
    }
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

    fn before(&self, number: u64) -> impl Iterator<Item = JobKey> + '_ {
        let chunks = self.chunks.range(..=number / ORDER_CHUNK).rev();
        chunks.flat_map(move |(index, chunk)| {
            let end = number.saturating_sub(index * ORDER_CHUNK).min(ORDER_CHUNK) as usize;
            chunk.keys[..end].iter().rev().copied().filter(|key| *key != JobKey::NONE)
        })
    }
}
