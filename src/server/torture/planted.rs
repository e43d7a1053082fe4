//! Injected bugs. Most of them are in a faulty log below the server, two in a faulty service in front of it.

use std::collections::HashSet;

use crate::core::{Planted, Record};
use crate::engine::{self, EntryReader, LogCut};
use crate::error::Result;
use crate::job::{EventBody, JobId, JobState, Outcome, Payload};
use crate::log::{Nearness, Position};

/// What is wrong with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// In the code above the log.
    Code(Planted),
    /// Any lease that a job ever had ends it.
    EndsUnfenced,
    /// A finished job can be submitted again under its id.
    ForgetsIds,
    /// Compaction does not rewrite tombstones.
    DropsTombstones,
    /// The disk says that it has synced, and has not.
    SkipsSyncs,
    /// A batch is acknowledged, and written with the next one.
    AcknowledgesEarly,
    /// What could not be written is acknowledged all the same.
    IgnoresFailures,
    /// The last entry is not read again.
    LosesTail,
    /// Now and then an entry is not written.
    DropsEntries,
    /// The entries of a batch are written in another order.
    ReordersEntries,
    /// A checkpoint gives back one segment too many.
    TrimsTooFar,
    /// Some sort of record is not written.
    ForgetsBeginnings,
    ForgetsCancels,
    ForgetsRemovals,
    ForgetsReports,
    /// A removal is written without what its tombstone needs.
    ForgetsTombstones,
    /// Other results are written than were told.
    ForgesResults,
}

pub(super) const BUGS: [Bug; 17] = [
    Bug::Code(Planted::AnswersEarly),
    Bug::EndsUnfenced,
    Bug::ForgetsIds,
    Bug::DropsTombstones,
    Bug::SkipsSyncs,
    Bug::AcknowledgesEarly,
    Bug::IgnoresFailures,
    Bug::LosesTail,
    Bug::DropsEntries,
    Bug::ReordersEntries,
    Bug::TrimsTooFar,
    Bug::ForgetsBeginnings,
    Bug::ForgetsCancels,
    Bug::ForgetsRemovals,
    Bug::ForgetsReports,
    Bug::ForgetsTombstones,
    Bug::ForgesResults,
];

impl Bug {
    /// The record as it is written, if it is.
    fn write(self, mut record: Record) -> Option<Record> {
        match (self, &mut record) {
            (Self::ForgetsRemovals, Record::Removed(..)) | (Self::ForgetsReports, Record::Reported(..)) => {
                None
            }
            (Self::ForgetsTombstones, Record::Removed(removed)) => {
                (removed.end, removed.expire_time) = (None, None);
                Some(record)
            }
            (_, Record::Moved(moved)) => {
                let EventBody::State(change) = &mut moved.event.body else { return Some(record) };
                match (self, change.state, &mut change.outcome) {
                    (Self::ForgetsBeginnings, JobState::Running, _) => return None,
                    (Self::ForgetsCancels, JobState::Cancelled, _) => return None,
                    (Self::ForgesResults, _, Some(Outcome::Result(result))) => {
                        *result = Payload::text("forged");
                    }
                    _ => {}
                }
                Some(record)
            }
            _ => Some(record),
        }
    }

    /// The bytes that are written for an entry.
    fn rewrite(self, entry: &[u8], removed: &mut HashSet<JobId>) -> Vec<u8> {
        let entry = engine::decode(entry).expect("the engine encoded it");
        let records = entry.records.into_iter().filter(|record| match record {
            // The first record of a removal is the removal itself, any other is its tombstone.
            Record::Removed(record) => removed.insert(record.id) || self != Self::DropsTombstones,
            _ => true,
        });
        let records: Vec<_> = records.filter_map(|record| self.write(record)).collect();
        let mut bytes = Vec::new();
        engine::encode_part(entry.now, entry.part, &records, &mut bytes);
        bytes
    }

    /// Passes the entries of a log to a reader, and collects the jobs that they remove.
    pub(super) fn reading(
        bug: Option<Self>,
        reader: &mut EntryReader<'_>,
        removed: &mut HashSet<JobId>,
    ) -> impl FnMut(Position, u64, &[u8]) -> Result<()> {
        let mut last = None;
        move |position, sequence, entry| {
            if bug == Some(Self::DropsTombstones) {
                let records = engine::decode(entry).expect("the engine encoded it").records;
                removed.extend(records.iter().filter_map(|record| match record {
                    Record::Removed(removed) => Some(removed.id),
                    _ => None,
                }));
            }
            let next = Some((position, sequence, entry.to_vec()));
            match if bug == Some(Self::LosesTail) { std::mem::replace(&mut last, next) } else { next } {
                Some((position, sequence, entry)) => reader(position, sequence, &entry),
                None => Ok(()),
            }
        }
    }
}

/// A log that lies.
pub(super) struct Liar {
    pub(super) log: Box<dyn engine::Log>,
    pub(super) bug: Bug,
    /// Entries that were acknowledged and not written.
    pub(super) late: Vec<Vec<u8>>,
    pub(super) appended: usize,
    /// Jobs whose removal is in the log.
    pub(super) removed: HashSet<JobId>,
}

impl Liar {
    /// Entries that are written in place of these.
    fn lie(&mut self, entries: &[&[u8]]) -> Vec<Vec<u8>> {
        let entries = entries.iter().map(|entry| entry.to_vec());
        match self.bug {
            Bug::AcknowledgesEarly => std::mem::replace(&mut self.late, entries.collect()),
            Bug::ReordersEntries => entries.rev().collect(),
            Bug::DropsEntries => {
                let first = self.appended;
                self.appended += entries.len();
                let numbered = entries.zip(first..);
                numbered.filter(|(_, number)| number % 20 != 19).map(|(entry, _)| entry).collect()
            }
            bug => entries.map(|entry| bug.rewrite(&entry, &mut self.removed)).collect(),
        }
    }

    fn believed<T>(&self, told: Result<T>, otherwise: T) -> Result<T> {
        if self.bug == Bug::IgnoresFailures { told.or(Ok(otherwise)) } else { told }
    }
}

impl engine::Log for Liar {
    fn append(&mut self, entries: &[&[u8]]) -> Result<()> {
        let entries = self.lie(entries);
        let told = self.log.append(&entries.iter().map(Vec::as_slice).collect::<Vec<_>>());
        self.believed(told, ())
    }

    fn make_ahead(&mut self) {
        self.log.make_ahead();
    }

    fn prepare(&mut self) -> Result<bool> {
        let told = self.log.prepare();
        self.believed(told, false)
    }

    fn has_room(&self) -> bool {
        self.bug == Bug::IgnoresFailures || self.log.has_room()
    }

    fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    fn nearness(&self) -> Nearness {
        self.log.nearness()
    }

    fn is_bounded(&self) -> bool {
        self.log.is_bounded()
    }

    fn overdraw(&mut self) {
        self.log.overdraw();
    }

    fn cuts(&self) -> Vec<LogCut> {
        self.log.cuts()
    }

    fn next_sequence(&self) -> u64 {
        self.log.next_sequence()
    }

    fn reader(&self) -> Box<dyn engine::Reader> {
        self.log.reader()
    }

    fn entry_bytes_max(&self) -> usize {
        self.log.entry_bytes_max()
    }

    fn trim(&mut self, before: u64) -> Result<()> {
        let told = self.log.trim(before + u64::from(self.bug == Bug::TrimsTooFar));
        self.believed(told, ())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.log.close()
    }
}
