//! A job's record. Small while it waits: what only runs or ends need sits in boxes of its own.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::contents::Cold;
use super::history::{Detail, Stream, Transition};
use super::list::Links;
use super::sessions::SessionKey;
use super::table::JobKey;
use super::wheel::Timer;
use crate::job::{JobId, JobOptions, JobState, Outcome, Payload, RetryPolicy, Start, Timestamp, WaitReason};

/// The permission to run one attempt. Unguessable; only the newest one of a job moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseId(u128);

impl LeaseId {
    /// A lease on this job: 96 random bits, and where the job is, so that it is found without searching.
    pub(super) fn new(random: u128, key: JobKey) -> Self {
        Self(random << u32::BITS | u128::from(key.0))
    }

    /// Where the job is, if the lease stands.
    pub(super) fn job_key(self) -> JobKey {
        JobKey(self.0 as u32)
    }

    pub(crate) fn as_u128(self) -> u128 {
        self.0
    }

    pub(crate) fn from_u128(bits: u128) -> Self {
        Self(bits)
    }
}

impl LeaseId {
    /// Reads 32 hex digits; `None` if the text is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        const DIGITS: usize = u128::BITS as usize / 4;
        let digits = (text.len() == DIGITS).then_some(text)?;
        // Several times faster than the standard library's way, and this is done for every job of a remote worker.
        Uuid::try_parse(digits).ok().map(|digits| Self(digits.as_u128()))
    }
}

/// 32 lower-case hex digits.
impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Uuid::from_u128(self.0).simple().encode_lower(&mut Uuid::encode_buffer()))
    }
}

/// Which of the server's lanes a job waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LaneKey(pub(super) u32);

pub(crate) struct Entry {
    pub(super) id: JobId,
    pub(super) payload: Payload,
    pub(super) options: Option<Arc<JobOptions>>,
    pub(super) lane: LaneKey,
    pub(super) priority: i8,
    pub(super) state: JobState,
    /// Why the job waited when it was accepted, as its first event tells.
    pub(super) first_wait: Option<WaitReason>,
    pub(super) cancel_requested: bool,
    /// Attempts begun; `lost` and `released` of them do not count against the retry policy.
    pub(super) attempt: u32,
    pub(super) lost: u32,
    pub(super) released: u32,
    /// Sequence of the newest event.
    pub(super) sequence: u32,
    /// Whom the engine tells of news; 0 is nobody.
    pub(super) observer: u32,
    pub(super) accepted: u64,
    /// The entry of the log with its acceptance, or with its newest image.
    pub(super) written: Option<NonZeroU64>,
    pub(super) create_time: Timestamp,
    /// Monotonic time of acceptance.
    pub(super) created: Duration,
    /// Monotonic time of what comes next in this state: due while SCHEDULED, given up while RUNNING, removed when ended.
    pub(super) deadline: Duration,
    pub(super) links: Links,
    pub(super) timer: Timer,
    /// State changes after the first event.
    pub(super) history: Vec<Transition>,
    /// Progress, output and logs, once there are any.
    pub(super) stream: Option<Box<Stream>>,
    /// Set while RUNNING, and while QUEUED after a worker was given the job until it accepts.
    pub(super) live: Option<Box<Live>>,
    /// Set once ended.
    pub(super) end: Option<Box<End>>,
}

/// The attempt that runs, or is about to.
pub(super) struct Live {
    pub(super) lease: LeaseId,
    pub(super) session: SessionKey,
    /// Monotonic time at which the attempt is given up; never before it begins.
    pub(super) attempt_deadline: Duration,
    /// Monotonic time at which the lease runs out; before the job is accepted, at which it is taken back. Never
    /// in the server's own workers.
    pub(super) lease_deadline: Duration,
    /// After a cancel: when it is forced, and its reason.
    pub(super) cancel: Option<(Duration, String)>,
}

impl Live {
    /// Has the lease last until then; one of the server's own workers never runs out.
    pub(super) fn renew(&mut self, until: Duration) {
        if self.lease_deadline != Duration::MAX {
            self.lease_deadline = until;
        }
    }

    /// Monotonic time of whatever ends the attempt first.
    pub(super) fn deadline(&self) -> Duration {
        let forced = self.cancel.as_ref().map_or(Duration::MAX, |(force_at, _)| *force_at);
        self.attempt_deadline.min(self.lease_deadline).min(forced)
    }
}

pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) finish_time: Timestamp,
    pub(super) expire_time: Timestamp,
    /// The entry of the log with the end, or with the job's newest image.
    pub(super) written: Option<NonZeroU64>,
    /// Set while the job's contents are in the log alone.
    pub(super) cold: Option<Box<Cold>>,
}

/// What a record is taken to cost beside its payload, events and options, in the retention's bytes.
pub(super) const RECORD_BYTES: usize = 512;

impl Entry {
    pub(super) fn retry(&self) -> RetryPolicy {
        self.options.as_ref().map(|options| options.retry).unwrap_or_default()
    }

    pub(super) fn start(&self) -> Start {
        self.options.as_ref().map(|options| options.start).unwrap_or_default()
    }

    /// Attempts that count against the retry policy.
    pub(super) fn counted(&self) -> u32 {
        self.attempt.saturating_sub(self.lost.saturating_add(self.released))
    }

    /// Whether a worker was given the job and has not accepted it yet.
    pub(super) fn is_offered(&self) -> bool {
        self.state == JobState::Queued && self.live.is_some()
    }

    /// Monotonic end of the job's whole life, if it has one and has not ended.
    pub(super) fn overall_deadline(&self) -> Option<Duration> {
        let timeout = self.options.as_ref().and_then(|options| options.timeout)?;
        (!self.state.is_final()).then(|| self.created.saturating_add(timeout))
    }

    /// Bytes the job counts against the bound of jobs that have not ended.
    pub(super) fn live_bytes(&self) -> u64 {
        let ring = self.stream.as_ref().map_or(0, |stream| stream.ring_bytes());
        (spec_bytes(&self.payload, self.options.as_deref()) + ring) as u64
    }

    /// Bytes of memory the job is taken to hold with its contents; the same each time once it ended.
    pub(super) fn weight(&self) -> u64 {
        if let Some(cold) = self.cold() {
            return cold.weight;
        }
        let result = match self.end.as_deref() {
            Some(End { outcome: Outcome::Result(result), .. }) => result.bytes.len(),
            Some(End { outcome: Outcome::Failure(failure), .. }) => failure.bytes(true),
            _ => 0,
        };
        let history: usize = self.history.iter().map(transition_bytes).sum();
        let stream = self.stream.as_ref().map_or(0, |stream| stream.ring_bytes());
        let options = self.options.as_ref().map_or(0, |options| options_bytes(options));
        (RECORD_BYTES + self.payload.bytes.len() + result + history + stream + options) as u64
    }

    /// Bytes of the job in a list, roughly as on the wire.
    pub(super) fn listed_bytes(&self, with_payloads: bool) -> usize {
        const ENVELOPE_BYTES: usize = 256;
        if let Some(cold) = self.cold().filter(|_| with_payloads) {
            return cold.listed_bytes;
        }
        let attempts = self.history.iter().map(|transition| match &transition.detail {
            Detail::Failure(failure) => failure.bytes(with_payloads),
            Detail::None | Detail::Worker(_) => 64,
        });
        let outcome = match self.end.as_ref().map(|end| &end.outcome) {
            Some(Outcome::Result(result)) if with_payloads => result.wire_bytes_max(),
            // Told twice: as the outcome and with its attempt.
            Some(Outcome::Failure(failure)) => 2 * failure.bytes(with_payloads),
            _ => 0,
        };
        let payload = if with_payloads { self.payload.wire_bytes_max() } else { 0 };
        let options = self.options.as_ref().map_or(0, |options| options_bytes(options));
        ENVELOPE_BYTES + attempts.sum::<usize>() + outcome + payload + options
    }
}

fn transition_bytes(transition: &Transition) -> usize {
    let failure = match &transition.detail {
        Detail::Failure(failure) => failure.bytes(true),
        Detail::None | Detail::Worker(_) => 0,
    };
    size_of::<Transition>() + failure
}

/// Bytes of a spec as it is kept: payload, labels and headers.
pub(super) fn spec_bytes(payload: &Payload, options: Option<&JobOptions>) -> usize {
    payload.bytes.len() + options.map_or(0, options_bytes)
}

fn options_bytes(options: &JobOptions) -> usize {
    let pairs = options.labels.iter().chain(&options.headers);
    size_of::<JobOptions>() + pairs.map(|(key, value)| key.len() + value.len() + 64).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::LeaseId;

    #[test]
    fn a_lease_reads_as_it_is_displayed() {
        for lease in [LeaseId(0), LeaseId(7 << 96 | 0xab), LeaseId(u128::MAX)] {
            assert_eq!(LeaseId::parse(&lease.to_string()), Some(lease));
        }
        let long = "0".repeat(33);
        for text in ["", "0", "+0000000000000000000000000000000", "0000000000000000000000000000000G", &long] {
            assert_eq!(LeaseId::parse(text), None, "{text}");
        }
    }
}
