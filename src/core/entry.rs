//! A job's record. Small while it waits: what came of it sits in a box of its own.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::callers::CallerKey;
use super::course::{Course, End, USUAL_TRANSITIONS};
use super::history::{Detail, Stream, Transition};
use super::list::Links;
use super::wheel::{TICK_MAX, Timer};
use crate::clock::Now;
use crate::job::{JobId, JobOptions, JobState, Outcome, Payload, RetryPolicy, Start, Timestamp, WaitReason};

/// Which of the server's lanes a job waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LaneKey(pub(super) u32);

/// A point of monotonic time in whole microseconds: half of what a `Duration` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

impl Moment {
    /// Later than all others.
    pub(super) const NEVER: Self = Self(u64::MAX);

    /// The first tick of the wheel at or after it. The last tick stands for everything the wheel does not reach.
    pub(super) fn tick(self) -> u64 {
        self.0.div_ceil(1_000).min(TICK_MAX)
    }

    pub(super) fn is_past(self, now: Now) -> bool {
        Duration::from(self) <= now.monotonic
    }
}

/// Rounded up: nothing is due early. Only the end of time is never.
impl From<Duration> for Moment {
    fn from(time: Duration) -> Self {
        if time == Duration::MAX {
            return Self::NEVER;
        }
        let (seconds, micros) = (time.as_secs(), time.subsec_nanos().div_ceil(1_000));
        Self(seconds.saturating_mul(1_000_000).saturating_add(micros.into()).min(u64::MAX - 1))
    }
}

impl From<Moment> for Duration {
    fn from(moment: Moment) -> Self {
        match moment {
            Moment::NEVER => Self::MAX,
            Moment(micros) => Self::from_micros(micros),
        }
    }
}

/// The bit of an observer that is set while a watch of the job is open.
pub(super) const WATCHED: u32 = 1 << 31;

pub(crate) struct Entry {
    pub(super) id: JobId,
    pub(super) payload: Payload,
    pub(super) options: Option<Arc<JobOptions>>,
    pub(super) accepted: u64,
    /// The entry of the log with its acceptance, or with its newest image.
    pub(super) written: Option<NonZeroU64>,
    pub(super) create_time: Timestamp,
    /// Monotonic time of acceptance.
    pub(super) created: Moment,
    /// Monotonic time of what comes next in this state: due while SCHEDULED, given up while RUNNING, removed when ended.
    pub(super) deadline: Moment,
    pub(super) links: Links,
    pub(super) timer: Timer,
    pub(super) lane: LaneKey,
    /// Whose job it is.
    pub(super) caller: CallerKey,
    /// Sequence of the newest event.
    pub(super) sequence: u32,
    /// Whom the engine tells of news, and [`WATCHED`]; 0 is nobody.
    pub(super) observer: u32,
    pub(super) priority: i8,
    pub(super) state: JobState,
    /// Why the job waited when it was accepted, as its first event tells.
    pub(super) first_wait: Option<WaitReason>,
    pub(super) cancel_requested: bool,
    /// What came of it since.
    pub(super) course: Option<Box<Course>>,
}

/// What a record is taken to cost beside its payload, events and options, in the retention's bytes.
pub(super) const RECORD_BYTES: usize = crate::memory::JOB_RECORD_BYTES as usize;

impl Entry {
    pub(super) fn retry(&self) -> RetryPolicy {
        self.options.as_ref().map(|options| options.retry).unwrap_or_default()
    }

    pub(super) fn start(&self) -> Start {
        self.options.as_ref().map(|options| options.start).unwrap_or_default()
    }

    /// Attempts that count against the retry policy.
    pub(super) fn counted(&self) -> u32 {
        self.attempt().saturating_sub(self.lost().saturating_add(self.released()))
    }

    /// Whether a watch of the job is open.
    pub(super) fn is_watched(&self) -> bool {
        self.observer & WATCHED != 0
    }

    /// Whether a worker was given the job and has not accepted it yet.
    pub(super) fn is_offered(&self) -> bool {
        self.state == JobState::Queued && self.live().is_some()
    }

    /// Monotonic end of the job's whole life, if it has one and has not ended.
    pub(super) fn overall_deadline(&self) -> Option<Moment> {
        let timeout = self.options.as_ref().and_then(|options| options.timeout)?;
        (!self.state.is_final()).then(|| Duration::from(self.created).saturating_add(timeout).into())
    }

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
        if let Some(cold) = self.cold() {
            return cold.weight;
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
        if let Some(cold) = self.cold().filter(|_| with_payloads) {
            return cold.listed_bytes;
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
