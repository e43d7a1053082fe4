//! Injected bugs. A faulty log below the server has most of them, a faulty service in front of it has two.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::core::Record;
use crate::engine::{self, EntryReader};
use crate::error::Result;
use crate::job::{EventBody, JobId, JobState, Outcome, Payload};
use crate::wal::Position;
use crate::wal::{Batch, Limits, Log, Space, SpaceLevel, TrimPoint};

/// An injected bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// A batch is acknowledged up to two batches before it is written.
    RepliesEarly,
    /// An expired lease of a job is accepted.
    AcceptsStaleLeases,
    /// A finished job can be submitted again with its id.
    DropsJobIds,
    /// Compaction does not rewrite tombstones.
    DropsTombstones,
    /// The disk reports a sync that it has not done.
    SkipsSyncs,
    /// A batch is acknowledged before it is written, and written with the next one.
    AcknowledgesEarly,
    /// A failed write is acknowledged.
    IgnoresFailures,
    /// The last entry is not read at recovery.
    LosesTail,
    /// Every twentieth entry is not written.
    DropsEntries,
    /// The entries of a batch are written in reverse order.
    ReordersEntries,
    /// Compaction trims one segment too many.
    TrimsTooFar,
    /// One type of record is not written.
    DropsStarts,
    DropsCancels,
    DropsRemovals,
    DropsReports,
    /// A removal is written without the fields of its tombstone.
    DropsTombstoneFields,
    /// Results are replaced when they are written.
    ForgesResults,
}

pub(super) const BUGS: [Bug; 17] = [
    Bug::RepliesEarly,
    Bug::AcceptsStaleLeases,
    Bug::DropsJobIds,
    Bug::DropsTombstones,
    Bug::SkipsSyncs,
    Bug::AcknowledgesEarly,
    Bug::IgnoresFailures,
    Bug::LosesTail,
    Bug::DropsEntries,
    Bug::ReordersEntries,
    Bug::TrimsTooFar,
    Bug::DropsStarts,
    Bug::DropsCancels,
    Bug::DropsRemovals,
    Bug::DropsReports,
    Bug::DropsTombstoneFields,
    Bug::ForgesResults,
];

impl Bug {
    /// The record that is written in place of this one, if any.
    fn write(self, mut record: Record) -> Option<Record> {
        match (self, &mut record) {
            (Self::DropsRemovals, Record::Removed(..)) | (Self::DropsReports, Record::Reported(..)) => None,
            (Self::DropsTombstoneFields, Record::Removed(removed)) => {
                (removed.end, removed.expire_time) = (None, None);
                Some(record)
            }
            (_, Record::StateChanged(changed)) => {
                let EventBody::State(change) = &mut changed.event.body else { return Some(record) };
                match (self, change.state, &mut change.outcome) {
                    (Self::DropsStarts, JobState::Running, _) => return None,
                    (Self::DropsCancels, JobState::Cancelled, _) => return None,
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

    /// The entry that is written in place of this one.
    fn rewrite(self, entry: &[u8], removed: &mut HashSet<JobId>) -> Vec<u8> {
        let entry = engine::decode(entry).expect("the engine encoded it");
        let records = entry.records.into_iter().filter(|record| match record {
            // The first record of a removal is the removal itself. Later ones are its tombstone.
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

/// A decorator of a log that adds a bug.
pub(super) struct FaultyLog {
    log: Arc<dyn Log>,
    bug: Bug,
    state: Mutex<Faults>,
}

#[derive(Default)]
struct Faults {
    /// Entries that are acknowledged but not written yet.
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
            Bug::RepliesEarly => {
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

    /// The result of a call, or `otherwise` in place of an error.
    fn hide_failure<T>(&self, response: Result<T>, otherwise: T) -> Result<T> {
        if self.bug == Bug::IgnoresFailures { response.or(Ok(otherwise)) } else { response }
    }
}

impl Log for FaultyLog {
    fn limits(&self) -> Limits {
        self.log.limits()
    }

    fn append(&self, batch: Arc<Batch>) -> BoxFuture<'_, Result<u64>> {
        let append = self.log.append(Arc::new(self.rewritten(&batch)));
        Box::pin(async move { self.hide_failure(append.await, 0) })
    }

    fn read(&self, sequence: u64) -> BoxFuture<'_, Result<Option<Vec<u8>>>> {
        self.log.read(sequence)
    }

    fn trim(&self, before: u64) -> BoxFuture<'_, Result<()>> {
        let next =
            self.log.trim_points().into_iter().map(|point| point.sequence).find(|point| *point > before);
        let before = next.filter(|_| self.bug == Bug::TrimsTooFar).unwrap_or(before);
        Box::pin(async move { self.hide_failure(self.log.trim(before).await, ()) })
    }

    fn space(&self) -> Result<Space> {
        let free = Space { bytes: 0, is_bounded: false, level: SpaceLevel::Free };
        self.hide_failure(self.log.space(), free)
    }

    fn trim_points(&self) -> Vec<TrimPoint> {
        self.log.trim_points()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.log.close()
    }
}
