//! Where records are: in chunks, so that growing copies none of them, and so that memory goes back after a peak.

use std::ops::{Index, IndexMut};

use super::entry::Entry;
use super::keys::JobKey;

/// A little less than a size that allocators serve without waste.
const CHUNK_BYTES: usize = (160 << 10) - 64;
const CHUNK_RECORDS: usize = CHUNK_BYTES / size_of::<Slot>();
const NO_PLACE: u32 = u32::MAX;

enum Slot {
    Taken(Entry),
    /// The next of the chunk that is vacant.
    Vacant(u32),
}

struct Chunk {
    slots: Vec<Slot>,
    vacant: u32,
    taken: u32,
}

impl Chunk {
    const EMPTY: Self = Self { slots: Vec::new(), vacant: NO_PLACE, taken: 0 };

    fn is_full(&self) -> bool {
        self.taken as usize == CHUNK_RECORDS
    }

    /// Takes a vacant place; the chunk is not full.
    fn insert(&mut self, entry: Entry) -> usize {
        self.taken += 1;
        if self.vacant == NO_PLACE {
            if self.slots.capacity() == 0 {
                self.slots.reserve_exact(CHUNK_RECORDS);
            }
            self.slots.push(Slot::Taken(entry));
            return self.slots.len() - 1;
        }
        let place = self.vacant as usize;
        if let Slot::Vacant(next) = std::mem::replace(&mut self.slots[place], Slot::Taken(entry)) {
            self.vacant = next;
        }
        place
    }

    fn remove(&mut self, place: usize) -> Option<Entry> {
        match std::mem::replace(&mut self.slots[place], Slot::Vacant(self.vacant)) {
            Slot::Taken(entry) => {
                self.vacant = place as u32;
                self.taken -= 1;
                Some(entry)
            }
            Slot::Vacant(_) => None,
        }
    }
}

#[derive(Default)]
pub(super) struct Slots {
    chunks: Vec<Chunk>,
    /// Chunks that are not full. The last one is filled next.
    with_room: Vec<u32>,
    /// The chunk that keeps its memory while it is empty, so that a few jobs that come and go cost no allocation.
    spare: usize,
}

impl Slots {
    pub(super) fn insert(&mut self, entry: Entry) -> JobKey {
        let at = match self.with_room.last() {
            Some(at) => *at as usize,
            None => {
                self.chunks.push(Chunk::EMPTY);
                self.with_room.push(self.chunks.len() as u32 - 1);
                self.chunks.len() - 1
            }
        };
        let chunk = &mut self.chunks[at];
        let place = chunk.insert(entry);
        if chunk.is_full() {
            self.with_room.pop();
        }
        JobKey((at * CHUNK_RECORDS + place) as u32)
    }

    pub(super) fn remove(&mut self, key: JobKey) -> Entry {
        let (at, place) = place_of(key);
        let chunk = &mut self.chunks[at];
        if chunk.is_full() {
            self.with_room.push(at as u32);
        }
        let entry = chunk.remove(place).expect("a removed job exists");
        if chunk.taken == 0 {
            self.rest(at);
        }
        entry
    }

    /// Gives back the memory of an empty chunk, unless it is the only one.
    fn rest(&mut self, at: usize) {
        match self.chunks[self.spare].taken {
            0 if self.spare != at => self.chunks[at] = Chunk::EMPTY,
            _ => self.spare = at,
        }
    }

    pub(super) fn get(&self, key: JobKey) -> Option<&Entry> {
        let (at, place) = place_of(key);
        match self.chunks.get(at)?.slots.get(place)? {
            Slot::Taken(entry) => Some(entry),
            Slot::Vacant(_) => None,
        }
    }

    /// Records that there is memory for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.slots.capacity()).sum()
    }
}

fn place_of(key: JobKey) -> (usize, usize) {
    (key.0 as usize / CHUNK_RECORDS, key.0 as usize % CHUNK_RECORDS)
}

impl Index<JobKey> for Slots {
    type Output = Entry;

    fn index(&self, key: JobKey) -> &Entry {
        self.get(key).expect("a job key in hand names a job")
    }
}

impl IndexMut<JobKey> for Slots {
    fn index_mut(&mut self, key: JobKey) -> &mut Entry {
        let (at, place) = place_of(key);
        match &mut self.chunks[at].slots[place] {
            Slot::Taken(entry) => entry,
            Slot::Vacant(_) => panic!("a job key in hand names a job"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Slot};

    /// What a million waiting jobs take is what their users pay for: no field is added without looking at this.
    #[test]
    fn a_record_is_as_small_as_it_is_said_to_be() {
        assert_eq!((size_of::<Entry>(), size_of::<Slot>()), (168, 168));
    }
}
