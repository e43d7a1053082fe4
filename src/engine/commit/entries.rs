//! From the records of a command to entries, and back.

use super::codec::{self, Part};
use crate::clock::Now;
use crate::core::Record;
use crate::wal::Batch;

/// Adds one entry.
pub(super) fn add_one(batch: &mut Batch, now: Now, records: &[Record]) {
    batch.push(|bytes| codec::encode(now, records, bytes));
}

/// Adds what a command recorded: one entry, or more if it would be larger than an entry may be.
pub(super) fn add(batch: &mut Batch, now: Now, records: &[Record], entry_bytes_max: usize) {
    let begin = batch.bytes();
    add_one(batch, now, records);
    if batch.bytes() - begin <= entry_bytes_max || records.len() < 2 {
        return;
    }
    batch.pop();
    let mut parts = Vec::new();
    split(now, records, entry_bytes_max, &mut parts);
    for (number, part) in (1..).zip(&parts) {
        let of = Part { number, count: parts.len() as u32 };
        batch.push(|bytes| codec::encode_part(now, of, part, bytes));
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

/// The entries of a command whose last entry was not read yet, each with its sequence.
#[derive(Default)]
pub(super) struct Parts(Vec<(u64, Vec<Record>)>);

impl Parts {
    /// Adds the next entry of a log, and returns the command that it completes. The first entries of a command may have been
    /// trimmed; the last one is missing only if the command was never acknowledged.
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

    /// The commands that a log with these entries holds.
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
        let mut entries = Batch::default();
        add(&mut entries, NOW, &large, 100);
        assert_eq!(entries.len(), 4);
        assert!(entries.iter().all(|entry| entry.len() <= 100));
        let all: Vec<_> = entries.iter().collect();
        let records = |read: Vec<(u64, Vec<Record>)>| read.into_iter().flat_map(|(_, records)| records);
        assert_eq!(records(read(all.iter().copied())).collect::<Vec<_>>(), large);
        // The log was trimmed within it, or it was cut short by a crash and another life followed.
        assert_eq!(records(read(all[1..].iter().copied())).collect::<Vec<_>>(), large[1..]);
        let mut other = Batch::default();
        add(&mut other, NOW, &next, 100);
        for kept in 0..all.len() {
            let cut = all[..kept].iter().copied();
            assert_eq!(records(read(cut.clone())).next(), None);
            assert_eq!(records(read(cut.chain(other.iter()))).collect::<Vec<_>>(), next);
        }
    }
}
