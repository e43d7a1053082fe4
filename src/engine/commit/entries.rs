//! Entries from the records of commands, and commands from entries.

use smallvec::{SmallVec, smallvec};

use super::codec::{self, Part};
use crate::clock::Now;
use crate::core::Record;
use crate::wal::Batch;

/// How many records of a command each of its entries has; few commands take more than one entry.
pub(super) type RecordCounts = SmallVec<[usize; 1]>;

/// Splits the records of a command so that each part fits into an entry.
pub(super) fn split(now: Now, records: &[Record], entry_bytes_max: usize) -> RecordCounts {
    if records.len() < 2 || codec::fits(now, records, entry_bytes_max) {
        return smallvec![records.len()];
    }
    let (first, second) = records.split_at(records.len() / 2);
    let mut counts = split(now, first, entry_bytes_max);
    counts.extend(split(now, second, entry_bytes_max));
    counts
}

/// The records of each part.
pub(super) fn parts<'a>(
    mut records: &'a [Record],
    counts: &'a [usize],
) -> impl Iterator<Item = &'a [Record]> {
    counts.iter().map(move |count| records.split_off(..*count).unwrap_or_default())
}

/// Adds the entries of a command.
pub(super) fn add(batch: &mut Batch, now: Now, records: &[Record], counts: &[usize]) {
    let count = counts.len() as u32;
    for (number, records) in (1..).zip(parts(records, counts)) {
        let part = if count == 1 { Part::default() } else { Part { number, count } };
        batch.push(|bytes| codec::encode_part(now, part, records, bytes));
    }
}

/// The entries of a command whose last entry was not read yet, each with its sequence.
#[derive(Default)]
pub(super) struct Parts(Vec<(u64, Vec<Record>)>);

impl Parts {
    /// Adds the next entry of a log, and returns the command that it completes. The first entries of a command may have been
    /// trimmed; the last one is missing only if the command was never acknowledged.
    pub(super) fn add(&mut self, part: Part, sequence: u64, records: Vec<Record>) -> Vec<(u64, Vec<Record>)> {
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

    /// The commands of a log with these entries.
    fn read<'a>(entries: impl Iterator<Item = &'a [u8]>) -> Vec<(u64, Vec<Record>)> {
        let mut parts = Parts::default();
        let read = (1..).zip(entries).flat_map(|(sequence, bytes)| {
            let entry = codec::decode(bytes).unwrap();
            parts.add(entry.part, sequence, entry.records)
        });
        read.collect()
    }

    #[test]
    fn a_command_of_several_entries_counts_when_its_last_one_is_there() {
        let large: Vec<_> = ["a", "b", "c", "d"].map(|name| paused(&name.repeat(40))).to_vec();
        let next = [paused("next")];
        let mut entries = Batch::default();
        add(&mut entries, NOW, &large, &split(NOW, &large, 100));
        assert_eq!(entries.iter().len(), 4);
        assert!(entries.iter().all(|entry| entry.len() <= 100));
        let all: Vec<_> = entries.iter().collect();
        let records = |read: Vec<(u64, Vec<Record>)>| read.into_iter().flat_map(|(_, records)| records);
        assert_eq!(records(read(all.iter().copied())).collect::<Vec<_>>(), large);
        // A trim removed its first entries, or a crash its last ones, and other commands followed.
        assert_eq!(records(read(all[1..].iter().copied())).collect::<Vec<_>>(), large[1..]);
        let mut other = Batch::default();
        add(&mut other, NOW, &next, &split(NOW, &next, 100));
        for count in 0..all.len() {
            let torn = all[..count].iter().copied();
            assert_eq!(records(read(torn.clone())).next(), None);
            assert_eq!(records(read(torn.chain(other.iter()))).collect::<Vec<_>>(), next);
        }
    }
}
