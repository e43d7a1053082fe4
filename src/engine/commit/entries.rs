//! Entries on their way to the log, one behind the other in one buffer.

use super::codec::{self, Part};
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
    /// Adds one entry.
    pub(super) fn add_one(&mut self, now: Now, records: &[Record]) {
        codec::encode(now, records, &mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Adds what a command recorded: one entry, or more if it would be larger than an entry may be.
    pub(super) fn add(&mut self, now: Now, records: &[Record], entry_bytes_max: usize) {
        let begin = self.bytes.len();
        self.add_one(now, records);
        if self.bytes.len() - begin <= entry_bytes_max || records.len() < 2 {
            return;
        }
        self.ends.pop();
        self.bytes.truncate(begin);
        let mut parts = Vec::new();
        split(now, records, entry_bytes_max, &mut parts);
        for (number, part) in (1..).zip(&parts) {
            let of = Part { number, count: parts.len() as u32 };
            codec::encode_part(now, of, part, &mut self.bytes);
            self.ends.push(self.bytes.len());
        }
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

/// Halves records until each part fits into an entry.
fn split<'a>(now: Now, records: &'a [Record], entry_bytes_max: usize, parts: &mut Vec<&'a [Record]>) {
    let mut bytes = Vec::new();
    codec::encode_part(now, Part { number: u32::MAX, count: u32::MAX }, records, &mut bytes);
    if bytes.len() <= entry_bytes_max || records.len() < 2 {
        return parts.push(records);
    }
    let (first, second) = records.split_at(records.len() / 2);
    split(now, first, entry_bytes_max, parts);
    split(now, second, entry_bytes_max, parts);
}

/// The entries of a command whose last one has not been read yet, each with its sequence.
#[derive(Default)]
pub(super) struct Parts(Vec<(u64, Vec<Record>)>);

impl Parts {
    /// Takes the next entry of a log, and answers what it completes. The first parts of a command may have been trimmed;
    /// the last one is missing only if it was never acknowledged.
    pub(super) fn take(
        &mut self,
        part: Part,
        sequence: u64,
        records: Vec<Record>,
    ) -> Vec<(u64, Vec<Record>)> {
        if part.number < 2 {
            self.0.clear();
        }
        self.0.push((sequence, records));
        if part.number == part.count { std::mem::take(&mut self.0) } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const NOW: Now =
        Now { monotonic: std::time::Duration::ZERO, wall: crate::job::Timestamp::from_micros(0) };

    fn paused(name: &str) -> Record {
        Record::QueuePaused(Arc::from(name), true)
    }

    /// What a log with these entries is read as.
    fn read<'a>(entries: impl Iterator<Item = &'a [u8]>) -> Vec<(u64, Vec<Record>)> {
        let mut parts = Parts::default();
        let read = (1..).zip(entries).flat_map(|(sequence, bytes)| {
            let entry = codec::decode(bytes).unwrap();
            parts.take(entry.part, sequence, entry.records)
        });
        read.collect()
    }

    #[test]
    fn a_command_of_several_entries_counts_when_its_last_one_is_there() {
        let large: Vec<_> = ["a", "b", "c", "d"].map(|name| paused(&name.repeat(40))).to_vec();
        let next = [paused("next")];
        let mut entries = Entries::default();
        entries.add(NOW, &large, 100);
        assert_eq!(entries.len(), 4);
        assert!(entries.iter().all(|entry| entry.len() <= 100));
        let all: Vec<_> = entries.iter().collect();
        let records = |read: Vec<(u64, Vec<Record>)>| read.into_iter().flat_map(|(_, records)| records);
        assert_eq!(records(read(all.iter().copied())).collect::<Vec<_>>(), large);
        // The log was trimmed within it, or it was cut short by a crash and another life followed.
        assert_eq!(records(read(all[1..].iter().copied())).collect::<Vec<_>>(), large[1..]);
        let mut other = Entries::default();
        other.add(NOW, &next, 100);
        for kept in 0..all.len() {
            let cut = all[..kept].iter().copied();
            assert_eq!(records(read(cut.clone())).next(), None);
            assert_eq!(records(read(cut.chain(other.iter()))).collect::<Vec<_>>(), next);
        }
    }
}
