//! How many bytes a job counts against each bound.

use super::course::{End, USUAL_TRANSITIONS};
use super::entry::Entry;
use super::history::{Detail, Stream, Transition};
use crate::job::{Failure, JobOptions, Outcome, Payload};

/// What a record is taken to cost beside its payload, events and options, in the retention's bytes.
pub(super) const RECORD_BYTES: usize = crate::memory::JOB_RECORD_BYTES as usize;

/// Contents of fewer bytes stay in memory: to know where they are would take as many.
const CONTENTS_BYTES_MIN: usize = 96;

impl Entry {
    /// Bytes of what was submitted.
    pub(super) fn submitted_bytes(&self) -> u64 {
        spec_bytes(&self.payload, self.options.as_deref()) as u64
    }

    /// Bytes the job counts against the bound of jobs that have not ended.
    pub(super) fn live_bytes(&self) -> u64 {
        let stream = self.stream().map_or(0, Stream::bytes);
        let history: usize =
            self.history().iter().enumerate().map(|(at, change)| added_bytes(at, change)).sum();
        let cancel = self.live().and_then(|live| live.cancel.as_ref()).map_or(0, |cancel| cancel.1.len());
        (spec_bytes(&self.payload, self.options.as_deref()) + stream + history + cancel) as u64
    }

    /// Bytes of memory the job is taken to hold with its contents; the same each time once it ended.
    pub(super) fn weight(&self) -> u64 {
        if let Some(evicted) = self.evicted() {
            return evicted.weight;
        }
        let result = match self.end() {
            Some(End { outcome: Outcome::Result(result), .. }) => result.bytes.len(),
            Some(End { outcome: Outcome::Failure(failure), .. }) => failure.bytes(true),
            Some(End { outcome: Outcome::Cancellation(cancellation), .. }) => cancellation.reason.len(),
            None => 0,
        };
        let history: usize = self.history().iter().map(transition_bytes).sum();
        let stream = self.stream().map_or(0, Stream::bytes);
        let options = self.options.as_ref().map_or(0, |options| options_bytes(options));
        (RECORD_BYTES + self.payload.bytes.len() + result + history + stream + options) as u64
    }

    /// About how many bytes of a log the job's image takes.
    pub(super) fn image_bytes(&self) -> u64 {
        /// Ids, times and numbers, in the records of an acceptance and of an end.
        const AROUND_BYTES: u64 = 110;
        self.weight() - RECORD_BYTES as u64 + AROUND_BYTES
    }

    /// Bytes of the job in a list, roughly as on the wire.
    pub(super) fn listed_bytes(&self, with_payloads: bool) -> usize {
        const ENVELOPE_BYTES: usize = 256;
        if let Some(evicted) = self.evicted().filter(|_| with_payloads) {
            return evicted.listed_bytes;
        }
        let attempts = self.history().iter().map(|transition| match &transition.detail {
            Detail::Failure(failure) => failure.bytes(with_payloads),
            Detail::None | Detail::Worker(_) => 64,
        });
        let outcome = match self.end().map(|end| &end.outcome) {
            Some(Outcome::Result(result)) if with_payloads => result.wire_bytes_max(),
            // Told twice: as the outcome and with its attempt.
            Some(Outcome::Failure(failure)) => 2 * failure.bytes(with_payloads),
            _ => 0,
        };
        let payload = if with_payloads { self.payload.wire_bytes_max() } else { 0 };
        let options = self.options.as_ref().map_or(0, |options| options_bytes(options));
        ENVELOPE_BYTES + attempts.sum::<usize>() + outcome + payload + options
    }

    /// Bytes that the job would not hold without its contents; 0 if they are not worth it, or not there.
    pub(super) fn evictable_bytes(&self) -> u64 {
        let details = |failure: &Failure| failure.details.as_ref().map_or(0, |details| details.bytes.len());
        let outcome = match self.end() {
            Some(End { evicted: None, outcome: Outcome::Result(result), .. }) => result.bytes.len(),
            Some(End { evicted: None, outcome: Outcome::Failure(failure), .. }) => details(failure),
            Some(End { evicted: None, outcome: Outcome::Cancellation(_), .. }) => 0,
            Some(End { evicted: Some(_), .. }) | None => return 0,
        };
        let failures = self.history().iter().map(|transition| match &transition.detail {
            Detail::Failure(failure) => details(failure),
            Detail::None | Detail::Worker(_) => 0,
        });
        let ring = self.stream().map_or(0, |stream| stream.ring_bytes());
        let bytes = self.payload.bytes.len() + outcome + failures.sum::<usize>() + ring;
        if bytes < CONTENTS_BYTES_MIN { 0 } else { bytes as u64 }
    }
}

fn transition_bytes(transition: &Transition) -> usize {
    size_of::<Transition>() + failure_bytes(transition)
}

fn failure_bytes(transition: &Transition) -> usize {
    match &transition.detail {
        Detail::Failure(failure) => failure.bytes(true),
        Detail::None | Detail::Worker(_) => 0,
    }
}

/// Bytes that the state change at this place adds to a job that has not ended. Those of a job that runs once are part of
/// its record.
pub(super) fn added_bytes(at: usize, transition: &Transition) -> usize {
    let own = if at < USUAL_TRANSITIONS { 0 } else { size_of::<Transition>() };
    own + failure_bytes(transition)
}

/// Bytes of a spec as it is kept: payload, labels and headers.
pub(super) fn spec_bytes(payload: &Payload, options: Option<&JobOptions>) -> usize {
    payload.bytes.len() + options.map_or(0, options_bytes)
}

fn options_bytes(options: &JobOptions) -> usize {
    let pairs = options.labels.iter().chain(&options.headers);
    size_of::<JobOptions>() + pairs.map(|(key, value)| key.len() + value.len() + 64).sum::<usize>()
}
