//! The contents of finished jobs: their large parts, evicted from memory beyond a bound and loaded from the log on demand.
//!
//! The rest of an evicted job stays resident: its place in every list, and all that a decision needs. A reader loads the
//! contents beside the core and passes them with the read; a read changes nothing. Without a log nothing is evicted.

use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;

use super::Core;
use super::course::End;
use super::effects::Effects;
use super::entry::Entry;
use super::history::{Detail, Ring};
use super::record::Record;
use super::table::JobKey;
use crate::job::{ContentDigest, Event, EventBody, Failure, JobId, Outcome, Payload};

/// Contents of fewer bytes stay in memory: to know where they are would take as many.
const CONTENTS_BYTES_MIN: usize = 96;
/// A job that needs all of its entries is read from them if they are at most so far apart; else it is written again.
const ENTRIES_APART_MAX: u64 = 16;
/// Bytes after which a command writes no further job again.
const IMAGES_BYTES_MAX: u64 = 1 << 20;

/// What is known of contents that are not in memory.
pub(super) struct Cold {
    /// The job's weight with them.
    pub(super) weight: u64,
    /// Bytes of the job in a list with payloads.
    pub(super) listed_bytes: usize,
    payload_bytes: u64,
    payload: ContentDigest,
    needs_all: bool,
    ring_from: u32,
}

impl Cold {
    /// The bytes of the payload's content, and its digest.
    pub(super) fn payload(&self) -> (u64, ContentDigest) {
        (self.payload_bytes, self.payload)
    }
}

/// Where the contents of a job are: entries of the log, by their sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogPlace {
    pub(crate) id: JobId,
    /// Its place in the order of acceptance: an id may name another job later.
    accepted: u64,
    /// The entry with the job's acceptance.
    first: NonZeroU64,
    /// The entry with its end.
    last: NonZeroU64,
    /// Whether entries between the two may hold some of it.
    needs_all: bool,
    /// The first output or log line that was kept.
    ring_from: u32,
}

impl LogPlace {
    /// The entries to read.
    pub(crate) fn entries(&self) -> impl Iterator<Item = u64> + use<> {
        let (first, last) = (self.first.get(), self.last.get());
        let needs_all = self.needs_all;
        (first..=last).filter(move |entry| needs_all || *entry == first || *entry == last)
    }

    /// Whether it is worth to read them all.
    fn is_near(&self) -> bool {
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
    pub(super) fn cold(&self) -> Option<&Cold> {
        self.end()?.cold.as_deref()
    }

    /// Bytes that the job would not hold without its contents; 0 if they are not worth it, or not there.
    pub(super) fn warm_bytes(&self) -> u64 {
        let details = |failure: &Failure| failure.details.as_ref().map_or(0, |details| details.bytes.len());
        let outcome = match self.end() {
            Some(End { cold: None, outcome: Outcome::Result(result), .. }) => result.bytes.len(),
            Some(End { cold: None, outcome: Outcome::Failure(failure), .. }) => details(failure),
            Some(End { cold: None, outcome: Outcome::Cancellation(_), .. }) => 0,
            Some(End { cold: Some(_), .. }) | None => return 0,
        };
        let failures = self.history().iter().map(|transition| match &transition.detail {
            Detail::Failure(failure) => details(failure),
            Detail::None | Detail::Worker(_) => 0,
        });
        let ring = self.stream().map_or(0, |stream| stream.ring_bytes());
        let bytes = self.payload.bytes.len() + outcome + failures.sum::<usize>() + ring;
        if bytes < CONTENTS_BYTES_MIN { 0 } else { bytes as u64 }
    }

    /// Whether more of the job is large than its payload and its outcome.
    fn needs_all(&self) -> bool {
        let has_details = |transition: &super::history::Transition| matches!(&transition.detail, Detail::Failure(failure) if failure.details.is_some());
        self.stream().is_some_and(|stream| stream.ring_bytes() > 0) || self.history().iter().any(has_details)
    }

    /// Drops the contents of a finished job, which stay in the log.
    fn evict_contents(&mut self, cold: Cold) {
        let Some(end) = self.end_mut().filter(|end| end.cold.is_none()) else { return };
        end.cold = Some(Box::new(cold));
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
    fn place(&self) -> Option<LogPlace> {
        let (first, end) = (self.written?, self.end()?);
        let last = end.written?;
        let (needs_all, ring_from) = match self.cold() {
            Some(cold) => (cold.needs_all, cold.ring_from),
            None => {
                let ring_from = self.stream().and_then(|stream| stream.ring_from());
                // Nothing is read back of a ring that is empty.
                (self.needs_all(), ring_from.unwrap_or(u32::MAX))
            }
        };
        Some(LogPlace { id: self.id, accepted: self.accepted, first, last, needs_all, ring_from })
    }
}

impl Core {
    /// What is recorded from now on will be this entry of the log.
    pub(crate) fn write_to(&mut self, entry: NonZeroU64) {
        self.log_entry = Some(entry);
    }

    /// These records of a command were written to this entry: one was not enough for all of them.
    pub(crate) fn were_written(&mut self, records: &[Record], entry: NonZeroU64) {
        for record in records {
            match record {
                Record::Accepted(accepted) => {
                    if let Some(key) = self.table.find(accepted.id) {
                        self.table[key].written = Some(entry);
                    }
                }
                Record::Moved(moved) => {
                    let end = self.table.find(moved.id).and_then(|key| self.table[key].end_mut());
                    if let Some(end) = end.filter(|_| moved.expire_time.is_some()) {
                        end.written = Some(entry);
                    }
                }
                _ => {}
            }
        }
    }

    /// Where the contents of a job are, if they are not in memory.
    pub(crate) fn place(&self, key: JobKey) -> Option<LogPlace> {
        let entry = &self.table[key];
        entry.cold()?;
        entry.place()
    }

    /// The job whose contents were loaded from this place, unless it was removed since. Its contents never change.
    pub(crate) fn job_at(&self, place: &LogPlace) -> Option<JobKey> {
        self.table.find(place.id).filter(|key| self.table[*key].accepted == place.accepted)
    }

    /// Drops the contents of the oldest finished jobs while there are too many. Jobs that cannot be read from where they
    /// were written are recorded again.
    pub(crate) fn cool(&mut self, effects: &mut Effects) {
        let mut images_bytes = 0;
        while self.finished.warm_bytes > self.options.retention_memory_bytes_max {
            let Some(key) = self.finished.warm_from() else { return };
            let entry = &self.table[key];
            let bytes = entry.warm_bytes();
            if bytes > 0 && !entry.place().is_some_and(|place| place.is_near()) {
                if images_bytes > IMAGES_BYTES_MAX || self.log_entry.is_none() {
                    return;
                }
                images_bytes += entry.weight();
                self.write_again(key).into_iter().for_each(|record| effects.record(|| record));
            }
            self.finished.pass_warm(&self.table);
            if bytes > 0 {
                self.finished.warm_bytes -= bytes;
                self.chill(key);
            }
        }
    }

    /// The image of a job, which is where it can be read from now on.
    pub(super) fn write_again(&mut self, key: JobKey) -> Vec<Record> {
        let image = self.image(key, None);
        self.is_written_again(key);
        image
    }

    /// The image of a job is in what is recorded now.
    pub(super) fn is_written_again(&mut self, key: JobKey) {
        let entry = &mut self.table[key];
        entry.written = self.log_entry;
        if let Some(end) = entry.end_mut() {
            end.written = self.log_entry;
        }
    }

    /// Drops the contents of a finished job that has a place.
    pub(super) fn chill(&mut self, key: JobKey) {
        let entry = &self.table[key];
        let Some(LogPlace { needs_all, ring_from, .. }) = entry.place().filter(LogPlace::is_near) else {
            return;
        };
        let (weight, listed_bytes) = (entry.weight(), entry.listed_bytes(true));
        let (payload_bytes, payload) =
            (entry.payload.bytes.len() as u64, ContentDigest::of(&entry.payload.bytes));
        let cold = Cold { weight, listed_bytes, payload_bytes, payload, needs_all, ring_from };
        self.table[key].evict_contents(cold);
    }

    /// Whether the payload of a job is this one.
    pub(super) fn has_payload(&self, key: JobKey, payload: &Payload) -> bool {
        let entry = &self.table[key];
        let Some(cold) = entry.cold() else { return entry.payload == *payload };
        let own = &entry.payload;
        own.encoding == payload.encoding
            && own.content_type() == payload.content_type()
            && cold.payload == ContentDigest::of(&payload.bytes)
    }
}
