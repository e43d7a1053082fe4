//! Entries on their way to the log, one behind the other in one buffer.

use super::codec;
use crate::clock::Now;
use crate::core::Record;

/// Room that is kept for the next entries.
const BYTES_KEPT: usize = 1 << 20;

#[derive(Default)]
pub(super) struct Entries {
    bytes: Vec<u8>,
    /// Where each one ends.
    ends: Vec<usize>,
}

impl Entries {
    /// Adds what a command recorded: one entry, or more if it would be larger than an entry may be.
    pub(super) fn add(&mut self, now: Now, records: &[Record], entry_bytes_max: usize) {
        let begin = self.bytes.len();
        codec::encode(now, records, &mut self.bytes);
        if self.bytes.len() - begin > entry_bytes_max && records.len() > 1 {
            self.bytes.truncate(begin);
            let (first, second) = records.split_at(records.len() / 2);
            self.add(now, first, entry_bytes_max);
            return self.add(now, second, entry_bytes_max);
        }
        self.ends.push(self.bytes.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.after(0)
    }

    /// Those behind so many of them.
    pub(super) fn after(&self, count: usize) -> impl ExactSizeIterator<Item = &[u8]> {
        let begin = |index: usize| if index == 0 { 0 } else { self.ends[index - 1] };
        (count..self.ends.len()).map(move |index| &self.bytes[begin(index)..self.ends[index]])
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(BYTES_KEPT);
        self.ends.clear();
        self.ends.shrink_to(BYTES_KEPT / 64);
    }
}
