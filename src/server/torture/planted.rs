//! Injected bugs. Most of them are in a faulty log below the server, two in a faulty service in front of it.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::core::Record;
use crate::engine::{self, EntryReader};
use crate::error::Result;
use crate::job::{EventBody, JobId, JobState, Outcome, Payload};
use crate::log::Position;
use crate::log::contract::{Batch, Cut, Limits, Log, Space, SpaceLevel};

/// What is wrong with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// Answers leave while the next batch is still to be written, and the one behind it.
    AnswersEarly,
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
    Bug::AnswersEarly,
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

/// A log with a bug in front of the log that it wraps.
pub(super) struct FaultyLog {
    log: Arc<dyn Log>,
    bug: Bug,
    state: Mutex<Faults>,
}

#[derive(Default)]
struct Faults {
    /// Entries that were acknowledged and not written.
    late: Vec<Vec<u8>>,
    appended: usize,
    /// Jobs whose removal is in the log.
    removed: HashSet<JobId>,
}

impl FaultyLog {
    pub(super) fn new(log: Arc<dyn Log>, bug: Bug, removed: HashSet<JobId>) -> Arc<Self> {
        Arc::new(Self { log, bug, state: Mutex::new(Faults { removed, ..Faults::default() }) })
    }

    /// The batch that is written in place of this one.
    fn rewritten(&self, batch: &Batch) -> Batch {
        let entries = batch.iter().map(<[u8]>::to_vec);
        let Faults { late, appended, removed } = &mut *self.state.lock();
        let entries: Vec<_> = match self.bug {
            Bug::AcknowledgesEarly => std::mem::replace(late, entries.collect()),
            Bug::AnswersEarly => {
                late.extend(entries);
                *appended += 1;
                if appended.is_multiple_of(3) { std::mem::take(late) } else { Vec::new() }
            }
            Bug::ReordersEntries => entries.rev().collect(),
            Bug::DropsEntries => {
                let first = *appended;
                *appended += entries.len();
                let numbered = entries.zip(first..);
                numbered.filter(|(_, number)| number % 20 != 19).map(|(entry, _)| entry).collect()
            }
            bug => entries.map(|entry| bug.rewrite(&entry, removed)).collect(),
        };
        let mut batch = Batch::default();
        entries.iter().for_each(|entry| batch.push(|bytes| bytes.extend_from_slice(entry)));
        batch
    }

    fn believed<T>(&self, answer: Result<T>, otherwise: T) -> Result<T> {
        if self.bug == Bug::IgnoresFailures { answer.or(Ok(otherwise)) } else { answer }
    }
}

impl Log for FaultyLog {
    fn limits(&self) -> Limits {
        self.log.limits()
    }

    fn append(&self, batch: Arc<Batch>) -> BoxFuture<'_, Result<u64>> {
        let append = self.log.append(Arc::new(self.rewritten(&batch)));
        Box::pin(async move { self.believed(append.await, 0) })
    }

    fn read(&self, sequence: u64) -> BoxFuture<'_, Result<Option<Vec<u8>>>> {
        self.log.read(sequence)
    }

    fn trim(&self, before: u64) -> BoxFuture<'_, Result<()>> {
        let next = self.log.cuts().into_iter().map(|cut| cut.sequence).find(|cut| *cut > before);
        let before = next.filter(|_| self.bug == Bug::TrimsTooFar).unwrap_or(before);
        Box::pin(async move { self.believed(self.log.trim(before).await, ()) })
    }

    fn space(&self) -> Result<Space> {
        let free = Space { bytes: 0, is_bounded: false, level: SpaceLevel::Free };
        self.believed(self.log.space(), free)
    }

    fn cuts(&self) -> Vec<Cut> {
        self.log.cuts()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.log.close()
    }
}
