//! Sizes of jobs, as they count against each bound.

use super::entry::Entry;
use super::execution::{End, INLINE_TRANSITIONS};
use super::history::{Stream, Transition};
use crate::job::{Failure, JobOptions, Outcome, Payload};

/// Estimated size of a record without payload, events and options.
pub(super) const RECORD_BYTES: usize = crate::memory::JOB_RECORD_BYTES as usize;

/// Contents of fewer bytes are not evicted: their metadata would take as much.
const CONTENTS_BYTES_MIN: usize = 96;

impl Entry {
    /// Bytes of the spec.
    pub(super) fn submitted_bytes(&self) -> u64 {
        spec_bytes(&self.payload, self.options.as_deref()) as u64
    }

    /// Bytes of an unfinished job.
    pub(super) fn live_bytes(&self) -> u64 {
        let stream = self.stream().map_or(0, Stream::bytes);
        let history: usize =
            self.history().iter().enumerate().map(|(at, change)| added_bytes(at, change)).sum();
        let cancel =
            self.active().and_then(|active| active.cancel.as_ref()).map_or(0, |cancel| cancel.bytes());
        (spec_bytes(&self.payload, self.options.as_deref()) + stream + history + cancel) as u64
    }

    /// Bytes of the job with its contents in memory. It is constant once the job ended.
    pub(super) fn weight(&self) -> u64 {
        if let Some(evicted) = self.evicted() {
            return evicted.weight;
        }
        let result = match self.end() {
            Some(End { outcome: Outcome::Result(result), .. }) => result.bytes.len(),
            Some(End { outcome: Outcome::Failure(failure), .. }) => failure.bytes(true),
            Some(End { outcome: Outcome::Cancellation(cancellation), .. }) => {
                cancellation.reason.len() + cancellation.principal.as_ref().map_or(0, |name| name.len())
            }
            None => 0,
        };
        let history = self.history().iter().map(|change| size_of::<Transition>() + failure_bytes(change));
        let stream = self.stream().map_or(0, Stream::bytes);
        let options = self.options.as_ref().map_or(0, |options| options_bytes(options));
        (RECORD_BYTES + self.payload.bytes.len() + result + history.sum::<usize>() + stream + options) as u64
    }

    /// Estimated size of the job's snapshot in the log.
    pub(super) fn snapshot_bytes(&self) -> u64 {
        /// Ids, times and numbers in the records of the acceptance and the end.
        const AROUND_BYTES: u64 = 110;
        self.weight() - RECORD_BYTES as u64 + AROUND_BYTES
    }

    /// Estimated size of the job in a list, as on the wire.
    pub(super) fn listed_bytes(&self, with_payloads: bool) -> usize {
        const ENVELOPE_BYTES: usize = 256;
        if let Some(evicted) = self.evicted().filter(|_| with_payloads) {
            return evicted.listed_bytes;
        }
        let attempts = self.history().iter().map(Transition::failure);
        let attempts = attempts.map(|failure| failure.map_or(64, |failure| failure.bytes(with_payloads)));
        let outcome = match self.end().map(|end| &end.outcome) {
            Some(Outcome::Result(result)) if with_payloads => result.wire_bytes_max(),
            // It is in the outcome and in its attempt.
            Some(Outcome::Failure(failure)) => 2 * failure.bytes(with_payloads),
            _ => 0,
        };
        let payload = if with_payloads { self.payload.wire_bytes_max() } else { 0 };
        let options = self.options.as_ref().map_or(0, |options| options_bytes(options));
        ENVELOPE_BYTES + attempts.sum::<usize>() + outcome + payload + options
    }

    /// Bytes that an eviction of the contents would free; 0 if they are small or evicted.
    pub(super) fn evictable_bytes(&self) -> u64 {
        let details = |failure: &Failure| failure.details.as_ref().map_or(0, |details| details.bytes.len());
        let outcome = match self.end() {
            Some(End { evicted: None, outcome: Outcome::Result(result), .. }) => result.bytes.len(),
            Some(End { evicted: None, outcome: Outcome::Failure(failure), .. }) => details(failure),
            Some(End { evicted: None, outcome: Outcome::Cancellation(_), .. }) => 0,
            Some(End { evicted: Some(_), .. }) | None => return 0,
        };
        let failures = self.history().iter().filter_map(Transition::failure).map(|failure| details(failure));
        let ring = self.stream().map_or(0, |stream| stream.ring_bytes());
        let bytes = self.payload.bytes.len() + outcome + failures.sum::<usize>() + ring;
        if bytes < CONTENTS_BYTES_MIN { 0 } else { bytes as u64 }
    }
}

fn failure_bytes(transition: &Transition) -> usize {
    transition.failure().map_or(0, |failure| failure.bytes(true))
}

/// Bytes that the state change at this index adds to an unfinished job. The first ones are part of its record.
pub(super) fn added_bytes(at: usize, transition: &Transition) -> usize {
    let own = if at < INLINE_TRANSITIONS { 0 } else { size_of::<Transition>() };
    own + failure_bytes(transition)
}

/// Bytes of a spec: payload, labels, headers and trace context.
pub(super) fn spec_bytes(payload: &Payload, options: Option<&JobOptions>) -> usize {
    payload.bytes.len() + options.map_or(0, options_bytes)
}

/// Bytes of the options of a spec.
pub(super) fn options_bytes(options: &JobOptions) -> usize {
    let pairs = options.labels.iter().chain(&options.headers);
    let trace = options.trace.as_ref().map_or(0, |trace| trace.bytes());
    size_of::<JobOptions>() + trace + pairs.map(|(key, value)| key.len() + value.len() + 64).sum::<usize>()
}
