//! The events of a job in memory: state changes, the newest progress, and a ring buffer of output and log lines.

use std::collections::{VecDeque, vec_deque};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use crate::job::{Event, EventBody, EventTypes, Failure, JobState, Progress, Timestamp, WaitReason};

/// A state change after the first event.
pub(super) struct Transition {
    pub(super) sequence: u32,
    pub(super) attempt: u32,
    pub(super) time: Timestamp,
    pub(super) state: JobState,
    pub(super) wait_reason: Option<WaitReason>,
    pub(super) cancel_requested: bool,
    /// Microseconds from `time` to the next attempt, if one is due.
    pub(super) delay: Option<NonZeroU64>,
    pub(super) detail: Detail,
}

impl Transition {
    /// Returns the delay from `time` to `next`, in microseconds.
    pub(super) fn delay(time: Timestamp, next: Option<Timestamp>) -> Option<NonZeroU64> {
        NonZeroU64::new(next?.since(time).as_micros().max(1) as u64)
    }

    /// The failure of the attempt that ended.
    pub(super) fn failure(&self) -> Option<&Arc<Failure>> {
        match &self.detail {
            Detail::Failure(failure) => Some(failure),
            Detail::None | Detail::Worker(_) | Detail::Canceller(_) => None,
        }
    }

    /// The principal that requested a cancel.
    pub(super) fn canceller(&self) -> Option<&Arc<str>> {
        match &self.detail {
            Detail::Canceller(name) => Some(name),
            Detail::None | Detail::Worker(_) | Detail::Failure(_) => None,
        }
    }

    pub(super) fn next_attempt_time(&self) -> Option<Timestamp> {
        self.delay.map(|micros| self.time.plus(Duration::from_micros(micros.get())))
    }
}

/// Additional data of a state change.
pub(super) enum Detail {
    None,
    /// The name of the worker that runs the attempt that began.
    Worker(Arc<str>),
    /// The failure of the attempt that ended.
    Failure(Arc<Failure>),
    /// The principal that requested a cancel.
    Canceller(Arc<str>),
}

/// Progress, output and log lines of a job.
#[derive(Default)]
pub(super) struct Stream {
    /// The newest progress event.
    pub(super) progress: Option<Event>,
    pub(super) ring: Ring,
    /// Ranges of dropped events, oldest first. There is at most one between two state changes.
    gaps: Vec<Gap>,
}

/// Output and log events, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ring {
    events: VecDeque<Event>,
    bytes: usize,
}

/// A range of dropped events of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// State changes between the first event and the range.
    pub(crate) state_changes: u32,
    /// The first sequence.
    pub(crate) from: u32,
    /// The last sequence.
    pub(crate) to: u32,
}

impl Gap {
    pub(super) fn contains(&self, sequence: u32) -> bool {
        (self.from..=self.to).contains(&sequence)
    }
}

/// Estimated size of an event in the ring without its contents, in bytes.
const EVENT_BYTES: usize = 96;

fn event_bytes(event: &Event) -> usize {
    match &event.body {
        EventBody::Output(output) => EVENT_BYTES + output.payload.bytes.len() + output.channel.len(),
        EventBody::Log(log) => EVENT_BYTES + log.text.len(),
        EventBody::Progress(progress) => progress.text_bytes(),
        EventBody::State(_) => 0,
    }
}

/// Bytes of what the handler reported.
pub(super) fn payload_bytes(body: &EventBody) -> usize {
    match body {
        EventBody::Output(output) => output.payload.bytes.len(),
        EventBody::Log(log) => log.text.len(),
        EventBody::Progress(progress) => progress.text_bytes(),
        EventBody::State(_) => 0,
    }
}

/// Whether a reader of these types receives the event.
pub(super) fn is_wanted(event: &Event, types: EventTypes) -> bool {
    match &event.body {
        EventBody::State(change) => types.state_change || change.state.is_final(),
        EventBody::Progress(_) => types.progress,
        EventBody::Output(_) => types.output,
        EventBody::Log(_) => types.log,
    }
}

impl Ring {
    pub(super) fn after(&self, cursor: u32) -> vec_deque::Iter<'_, Event> {
        let begin = self.events.partition_point(|event| event.sequence <= cursor);
        self.events.range(begin..)
    }

    /// Appends an output or log event.
    pub(super) fn push(&mut self, event: Event) {
        self.bytes += event_bytes(&event);
        self.events.push_back(event);
    }

    /// Drops the oldest event and returns its sequence.
    fn pop_oldest(&mut self) -> Option<u32> {
        let oldest = self.events.pop_front()?;
        self.bytes -= event_bytes(&oldest);
        Some(oldest.sequence)
    }
}

impl Stream {
    pub(super) fn ring_bytes(&self) -> usize {
        self.ring.bytes
    }

    /// Bytes of output, log lines and the texts of the progress.
    pub(super) fn bytes(&self) -> usize {
        self.ring.bytes + self.progress.as_ref().map_or(0, event_bytes)
    }

    /// The sequence of the oldest event in the ring.
    pub(super) fn ring_from(&self) -> Option<u32> {
        self.ring.events.front().map(|event| event.sequence)
    }

    /// The newest progress, if it belongs to this attempt.
    pub(super) fn progress_of(&self, attempt: u32) -> Option<&Arc<Progress>> {
        match self.progress.as_ref().filter(|event| event.attempt == attempt)?.body {
            EventBody::Progress(ref progress) => Some(progress),
            _ => None,
        }
    }

    /// Adds a reported event. Drops the oldest output and log lines until the ring has at most `bytes_max` bytes; the
    /// newest event is never dropped.
    pub(super) fn add(&mut self, event: Event, bytes_max: usize, history: &[Transition]) {
        match event.body {
            EventBody::Progress(_) => self.progress = Some(event),
            EventBody::Output(_) | EventBody::Log(_) => self.ring.push(event),
            EventBody::State(_) => {}
        }
        while self.ring.bytes > bytes_max && self.ring.events.len() > 1 {
            self.drop_oldest(history);
        }
    }

    /// Whether any output or log line was dropped.
    pub(super) fn has_gaps(&self) -> bool {
        !self.gaps.is_empty()
    }

    /// Drops the oldest output and log lines, the newest included, until the stream has at most `bytes_max` bytes. Returns
    /// whether any was dropped.
    pub(super) fn shrink_to(&mut self, bytes_max: usize, history: &[Transition]) -> bool {
        let mut has_dropped = false;
        while self.bytes() > bytes_max && self.drop_oldest(history) {
            has_dropped = true;
        }
        has_dropped
    }

    /// Records that the first `count` state changes, with the sequences `from` to `to`, were dropped. Drops the output and
    /// log lines up to the last of them.
    pub(super) fn drop_until(&mut self, from: u32, to: u32, count: usize) {
        let (mut from, mut to) = (from, to);
        while self.ring.events.front().is_some_and(|event| event.sequence <= to) {
            let Some(sequence) = self.ring.pop_oldest() else { break };
            from = from.min(sequence);
        }
        let merged = self.gaps.partition_point(|gap| gap.from <= to);
        for gap in self.gaps.drain(..merged) {
            (from, to) = (from.min(gap.from), to.max(gap.to));
        }
        for gap in &mut self.gaps {
            gap.state_changes = gap.state_changes.saturating_sub(count as u32);
        }
        self.gaps.insert(0, Gap { state_changes: 0, from, to });
    }

    /// Drops the oldest event of the ring. Returns false if the ring is empty.
    fn drop_oldest(&mut self, history: &[Transition]) -> bool {
        let Some(sequence) = self.ring.pop_oldest() else { return false };
        let state_changes = history.partition_point(|transition| transition.sequence < sequence) as u32;
        match self.gaps.last_mut() {
            Some(last) if last.state_changes == state_changes => last.to = sequence,
            _ => self.gaps.push(Gap { state_changes, from: sequence, to: sequence }),
        }
        true
    }

    pub(super) fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Restores recorded gaps, and drops the events in them.
    pub(super) fn set_gaps(&mut self, gaps: &[Gap]) {
        self.gaps = gaps.to_vec();
        let ring = &mut self.ring;
        ring.events.retain(|event| !gaps.iter().any(|gap| gap.contains(event.sequence)));
        ring.bytes = ring.events.iter().map(event_bytes).sum();
    }

    /// Returns the first and the last dropped sequence between two sequences, both excluded.
    pub(super) fn gap_between(&self, after: u32, before: u32) -> Option<(u32, u32)> {
        let begin = self.gaps.partition_point(|gap| gap.to <= after);
        let end = self.gaps.partition_point(|gap| gap.from < before);
        let between = self.gaps.get(begin..end)?;
        let (first, last) = (between.first()?, between.last()?);
        Some((first.from.max(after + 1), last.to.min(before - 1)))
    }
}
