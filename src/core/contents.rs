//! The contents of finished jobs: their large parts, evicted from memory beyond a bound and loaded from the log on demand.
//!
//! The rest of an evicted job stays resident: its place in every list, and all that a decision needs. A reader loads the
//! contents beside the core and passes them with the read; a read changes nothing. Without a log nothing is evicted.

use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;

use super::course::Evicted;
use super::entry::Entry;
use super::history::{Detail, Ring, Transition};
use super::record::Record;
use crate::job::{Event, EventBody, Failure, JobId, Outcome};

/// A job that needs all of its entries is read from them if they are at most so far apart; else it is written again.
const ENTRIES_APART_MAX: u64 = 16;

/// Where the contents of a job are: entries of the log, by their sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogPlace {
    pub(crate) id: JobId,
    /// Its place in the order of acceptance: an id may name another job later.
    pub(super) accepted: u64,
    /// The entry with the job's acceptance.
    first: NonZeroU64,
    /// The entry with its end.
    last: NonZeroU64,
    /// Whether entries between the two may hold some of it.
    pub(super) needs_all: bool,
    /// The first output or log line that was kept.
    pub(super) ring_from: u32,
}

impl LogPlace {
    /// The entries to read.
    pub(crate) fn entries(&self) -> impl Iterator<Item = u64> + use<> {
        let (first, last) = (self.first.get(), self.last.get());
        let needs_all = self.needs_all;
        (first..=last).filter(move |entry| needs_all || *entry == first || *entry == last)
    }

    /// Whether it is worth to read them all.
    pub(super) fn is_near(&self) -> bool {
        !self.needs_all || self.last.get() - self.first.get() <= ENTRIES_APART_MAX
    }

    /// The last of them.
    pub(crate) fn last(&self) -> u64 {
        self.last.get()
    }
}

/// The large parts of a job.
#[derive(Debug)]
pub(crate) struct Contents {
    payload: Bytes,
    outcome: Outcome,
    /// By the sequence of the event that tells them.
    failures: Vec<(u32, Arc<Failure>)>,
    ring: Ring,
}

impl Contents {
    /// From the records of the job that its entries hold, in order; `None` if they do not hold all of it.
    pub(crate) fn of(place: &LogPlace, records: impl IntoIterator<Item = Record>) -> Option<Self> {
        let (mut payload, mut outcome) = (None, None);
        let (mut failures, mut ring) = (Vec::new(), Ring::default());
        for record in records {
            match record {
                Record::Accepted(accepted) => {
                    payload = Some(accepted.job.payload.bytes);
                    // What came before is of a job that had this id earlier, or is told again.
                    (failures, ring) = (Vec::new(), Ring::default());
                }
                Record::Moved(moved) => {
                    let Event { sequence, body: EventBody::State(change), .. } = moved.event else {
                        continue;
                    };
                    failures.extend(change.failure.map(|failure| (sequence, failure)));
                    outcome = change.outcome.or(outcome);
                }
                Record::Reported(_, event) if event.sequence >= place.ring_from => ring.add(event),
                _ => {}
            }
        }
        Some(Self { payload: payload?, outcome: outcome?, failures, ring })
    }

    /// How the job ended.
    pub(crate) fn into_outcome(self) -> Outcome {
        self.outcome
    }

    /// The failure that the event with this sequence carries.
    pub(super) fn failure(&self, sequence: u32) -> Option<&Arc<Failure>> {
        let at = self.failures.binary_search_by_key(&sequence, |(sequence, _)| *sequence).ok()?;
        Some(&self.failures[at].1)
    }

    pub(super) fn payload(&self) -> &Bytes {
        &self.payload
    }

    pub(super) fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }
}

fn without_details(failure: &Arc<Failure>) -> Arc<Failure> {
    match failure.details {
        Some(_) => Arc::new(Failure { details: None, ..(**failure).clone() }),
        None => failure.clone(),
    }
}

impl Entry {
    /// How the job ended, with these contents if its own are evicted.
    pub(super) fn outcome<'a>(&'a self, contents: Option<&'a Contents>) -> Option<&'a Outcome> {
        self.end().map(|end| contents.map_or(&end.outcome, Contents::outcome))
    }

    /// Why the attempt that a state change ended failed, likewise.
    pub(super) fn failure<'a>(
        &'a self,
        transition: &'a Transition,
        contents: Option<&'a Contents>,
    ) -> Option<&'a Arc<Failure>> {
        let Detail::Failure(resident) = &transition.detail else { return None };
        Some(contents.and_then(|contents| contents.failure(transition.sequence)).unwrap_or(resident))
    }

    /// Whether more of the job is large than its payload and its outcome.
    fn needs_all(&self) -> bool {
        let has_details = |transition: &Transition| matches!(&transition.detail, Detail::Failure(failure) if failure.details.is_some());
        self.stream().is_some_and(|stream| stream.ring_bytes() > 0) || self.history().iter().any(has_details)
    }

    /// Drops the contents of a finished job, which stay in the log.
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
        if self.stream().is_some() {
            self.stream_mut().clear_ring();
        }
    }

    /// Where the contents are, if they were written.
    pub(super) fn place(&self) -> Option<LogPlace> {
        let (first, end) = (self.written?, self.end()?);
        let last = end.written?;
        let (needs_all, ring_from) = match self.evicted() {
            Some(evicted) => (evicted.needs_all, evicted.ring_from),
            None => {
                let ring_from = self.stream().and_then(|stream| stream.ring_from());
                // Nothing is read back of a ring that is empty.
                (self.needs_all(), ring_from.unwrap_or(u32::MAX))
            }
        };
        Some(LogPlace { id: self.id, accepted: self.accepted, first, last, needs_all, ring_from })
    }
}
