//! The contents of finished jobs: large fields that are evicted from memory above a bound and loaded from the log on
//! demand.
//!
//! The rest of an evicted job stays resident, with everything that decisions need. A reader loads the contents outside
//! of the core and passes them with the read. Without a log nothing is evicted.

use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;

use super::entry::Entry;
use super::execution::Evicted;
use super::history::{Detail, Ring, Transition};
use super::record::Record;
use crate::job::{Event, EventBody, Failure, JobId, Outcome};

/// A job whose contents span more entries of the log than this is rewritten before it is evicted.
const LOADED_ENTRIES_MAX: u64 = 16;

/// The position of a job's contents in the log, as sequences of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogPosition {
    pub(crate) id: JobId,
    /// The job's acceptance number. Another job may get the same id later.
    pub(super) accepted: u64,
    /// The entry with the acceptance of the job.
    first: NonZeroU64,
    /// The entry with the end of the job.
    last: NonZeroU64,
    /// Whether entries between these two may contain a part of the contents.
    pub(super) needs_all: bool,
    /// The sequence of the first event in the ring.
    pub(super) ring_from: u32,
}

impl LogPosition {
    /// The sequences of the entries to read.
    pub(crate) fn entries(&self) -> impl Iterator<Item = u64> + use<> {
        let (first, last) = (self.first.get(), self.last.get());
        let needs_all = self.needs_all;
        (first..=last).filter(move |entry| needs_all || *entry == first || *entry == last)
    }

    /// Whether the contents span few enough entries to be loaded.
    pub(super) fn is_loadable(&self) -> bool {
        !self.needs_all || self.last.get() - self.first.get() <= LOADED_ENTRIES_MAX
    }

    /// The sequence of the last entry.
    pub(crate) fn last(&self) -> u64 {
        self.last.get()
    }
}

/// The large fields of a job.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(super) payload: Bytes,
    pub(super) outcome: Outcome,
    /// Failures of attempts, by the sequence of their event.
    failures: Vec<(u32, Arc<Failure>)>,
    pub(super) ring: Ring,
}

impl Contents {
    /// Collects the contents from the records of the job, in log order. Returns `None` if the records are incomplete.
    pub(crate) fn of(position: &LogPosition, records: impl IntoIterator<Item = Record>) -> Option<Self> {
        let (mut payload, mut outcome) = (None, None);
        let (mut failures, mut ring) = (Vec::new(), Ring::default());
        for record in records {
            match record {
                Record::Accepted(accepted) => {
                    payload = Some(accepted.job.payload.bytes);
                    // Earlier records belong to an earlier job with this id, or precede a snapshot.
                    (failures, ring) = (Vec::new(), Ring::default());
                }
                Record::StateChanged(changed) => {
                    let Event { sequence, body: EventBody::State(change), .. } = changed.event else {
                        continue;
                    };
                    failures.extend(change.failure.map(|failure| (sequence, failure)));
                    outcome = change.outcome.or(outcome);
                }
                Record::Reported(_, event)
                    if event.sequence >= position.ring_from
                        && matches!(event.body, EventBody::Output(_) | EventBody::Log(_)) =>
                {
                    ring.push(event);
                }
                _ => {}
            }
        }
        Some(Self { payload: payload?, outcome: outcome?, failures, ring })
    }

    /// The outcome of the job.
    pub(crate) fn into_outcome(self) -> Outcome {
        self.outcome
    }

    /// The failure in the event with this sequence.
    pub(super) fn failure(&self, sequence: u32) -> Option<&Arc<Failure>> {
        let at = self.failures.binary_search_by_key(&sequence, |(sequence, _)| *sequence).ok()?;
        Some(&self.failures[at].1)
    }
}

fn without_details(failure: &Arc<Failure>) -> Arc<Failure> {
    match failure.details {
        Some(_) => Arc::new(Failure { details: None, ..(**failure).clone() }),
        None => failure.clone(),
    }
}

impl Entry {
    /// The outcome of the job, from `contents` if its own are evicted.
    pub(super) fn outcome<'a>(&'a self, contents: Option<&'a Contents>) -> Option<&'a Outcome> {
        self.end().map(|end| contents.map_or(&end.outcome, |contents| &contents.outcome))
    }

    /// The failure of the attempt that the state change ended, from `contents` if the job's own are evicted.
    pub(super) fn failure<'a>(
        &'a self,
        transition: &'a Transition,
        contents: Option<&'a Contents>,
    ) -> Option<&'a Arc<Failure>> {
        let resident = transition.failure()?;
        Some(contents.and_then(|contents| contents.failure(transition.sequence)).unwrap_or(resident))
    }

    /// Whether the job has large fields beside its payload and its outcome.
    fn needs_all(&self) -> bool {
        let has_details =
            |transition: &Transition| transition.failure().is_some_and(|failure| failure.details.is_some());
        self.stream().is_some_and(|stream| stream.ring_bytes() > 0) || self.history().iter().any(has_details)
    }

    /// Drops the contents of a finished job from memory.
    pub(super) fn evict_contents(&mut self, evicted: Evicted) {
        let Some(end) = self.end_mut().filter(|end| end.evicted.is_none()) else { return };
        end.evicted = Some(Box::new(evicted));
        end.outcome = match &end.outcome {
            Outcome::Result(result) => Outcome::Result(result.without_bytes()),
            Outcome::Failure(failure) => Outcome::Failure(without_details(failure)),
            cancelled @ Outcome::Cancellation(_) => cancelled.clone(),
        };
        self.payload.bytes = Bytes::new();
        for transition in self.history_mut() {
            if let Detail::Failure(failure) = &mut transition.detail {
                *failure = without_details(failure);
            }
        }
        if let Some(stream) = &mut self.execution_mut().stream {
            stream.ring = Ring::default();
        }
    }

    /// The position of the contents in the log, if they were written.
    pub(super) fn log_position(&self) -> Option<LogPosition> {
        let (first, end) = (self.written?, self.end()?);
        let last = end.written?;
        let (needs_all, ring_from) = match self.evicted() {
            Some(evicted) => (evicted.needs_all, evicted.ring_from),
            None => {
                let ring_from = self.stream().and_then(|stream| stream.ring_from());
                // An empty ring has no events to load.
                (self.needs_all(), ring_from.unwrap_or(u32::MAX))
            }
        };
        Some(LogPosition { id: self.id, accepted: self.accepted, first, last, needs_all, ring_from })
    }
}
