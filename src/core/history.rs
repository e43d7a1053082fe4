//! A job's events as they are kept: state changes for good, the newest progress, a ring of output and logs.

use std::collections::{VecDeque, vec_deque};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use crate::job::{
    Event, EventBody, EventTypes, Failure, JobState, Log, Output, Progress, Timestamp, WaitReason,
};

/// A state change after the first.
pub(super) struct Transition {
    pub(super) sequence: u32,
    pub(super) attempt: u32,
    pub(super) time: Timestamp,
    pub(super) state: JobState,
    pub(super) wait_reason: Option<WaitReason>,
    pub(super) cancel_requested: bool,
    /// Microseconds from then to the next attempt, if one is due.
    pub(super) pause: Option<NonZeroU64>,
    pub(super) detail: Detail,
}

impl Transition {
    /// The pause that ends at `next`.
    pub(super) fn pause(time: Timestamp, next: Option<Timestamp>) -> Option<NonZeroU64> {
        NonZeroU64::new(next?.since(time).as_micros().max(1) as u64)
    }

    pub(super) fn next_attempt_time(&self) -> Option<Timestamp> {
        self.pause.map(|micros| self.time.plus(Duration::from_micros(micros.get())))
    }
}

/// What a transition carries beside its state.
pub(super) enum Detail {
    None,
    /// Who runs the attempt that began.
    Worker(Arc<str>),
    /// Why the attempt that ended failed.
    Failure(Arc<Failure>),
}

/// Progress, output and logs of a job.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) progress: Option<Kept<Arc<Progress>>>,
    pub(super) ring: Ring,
    /// Where output or logs fell out, oldest first: one range between any two state changes.
    dropped: Vec<Dropped>,
}

/// Output and logs, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ring {
    items: VecDeque<Kept<RingItem>>,
    bytes: usize,
}

/// From the first to the last output or log that fell out between two state changes.
struct Dropped {
    /// How many state changes after the first event came before.
    state_changes: usize,
    from: u32,
    to: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Kept<T> {
    pub(super) sequence: u32,
    pub(super) attempt: u32,
    pub(super) time: Timestamp,
    pub(super) item: T,
}

impl<T> Kept<T> {
    pub(super) fn event(&self, body: EventBody) -> Event {
        Event { sequence: self.sequence, time: self.time, attempt: self.attempt, body }
    }
}

#[derive(Debug, Clone)]
pub(super) enum RingItem {
    Output(Output),
    Log(Log),
}

/// What a ring item is taken to cost beside its text or bytes.
const RING_ITEM_BYTES: usize = 96;

impl RingItem {
    fn bytes(&self) -> usize {
        RING_ITEM_BYTES
            + match self {
                Self::Output(output) => output.payload.bytes.len() + output.channel.len(),
                Self::Log(log) => log.text.len(),
            }
    }

    pub(super) fn wanted(&self, types: EventTypes) -> bool {
        match self {
            Self::Output(_) => types.output,
            Self::Log(_) => types.log,
        }
    }
}

impl Ring {
    pub(super) fn after(&self, cursor: u32) -> vec_deque::Iter<'_, Kept<RingItem>> {
        let begin = self.items.partition_point(|kept| kept.sequence <= cursor);
        self.items.range(begin..)
    }

    fn push(&mut self, kept: Kept<RingItem>) {
        self.bytes += kept.item.bytes();
        self.items.push_back(kept);
    }

    /// Drops the oldest item, and returns its sequence.
    fn pop_oldest(&mut self) -> Option<u32> {
        let oldest = self.items.pop_front()?;
        self.bytes -= oldest.item.bytes();
        Some(oldest.sequence)
    }

    /// Adds an event if it is output or a log line.
    pub(super) fn add(&mut self, event: Event) {
        let Event { sequence, time, attempt, body } = event;
        let item = match body {
            EventBody::Output(output) => RingItem::Output(output),
            EventBody::Log(log) => RingItem::Log(log),
            EventBody::State(_) | EventBody::Progress(_) => return,
        };
        self.push(Kept { sequence, attempt, time, item });
    }
}

impl Stream {
    pub(super) fn ring_bytes(&self) -> usize {
        self.ring.bytes
    }

    /// Bytes of output, logs and the texts of the progress.
    pub(super) fn bytes(&self) -> usize {
        self.ring.bytes + self.progress.as_ref().map_or(0, |kept| kept.item.text_bytes())
    }

    /// The oldest output or log line that is kept.
    pub(super) fn ring_from(&self) -> Option<u32> {
        self.ring.items.front().map(|kept| kept.sequence)
    }

    /// Drops output and logs, which stay in the log of the server.
    pub(super) fn clear_ring(&mut self) {
        self.ring = Ring::default();
    }

    /// The newest progress, if it belongs to this attempt.
    pub(super) fn progress_of(&self, attempt: u32) -> Option<&Arc<Progress>> {
        self.progress.as_ref().filter(|kept| kept.attempt == attempt).map(|kept| &kept.item)
    }

    pub(super) fn set_progress(&mut self, sequence: u32, attempt: u32, time: Timestamp, item: Arc<Progress>) {
        self.progress = Some(Kept { sequence, attempt, time, item });
    }

    /// Adds to the ring and lets the oldest fall out until it fits; the newest always stays.
    pub(super) fn push(
        &mut self,
        sequence: u32,
        attempt: u32,
        time: Timestamp,
        item: RingItem,
        bytes_max: usize,
        history: &[Transition],
    ) {
        self.ring.push(Kept { sequence, attempt, time, item });
        while self.ring.bytes > bytes_max && self.ring.items.len() > 1 {
            let Some(sequence) = self.ring.pop_oldest() else { break };
            self.note_dropped(sequence, history);
        }
    }

    /// Whether any output or log line fell out so far.
    pub(super) fn has_dropped(&self) -> bool {
        !self.dropped.is_empty()
    }

    /// Lets the oldest output and logs fall out, the newest as well, until the stream takes no more than this. Answers
    /// whether any did.
    pub(super) fn shrink_to(&mut self, bytes_max: usize, history: &[Transition]) -> bool {
        let mut has_dropped = false;
        while self.bytes() > bytes_max {
            let Some(sequence) = self.ring.pop_oldest() else { break };
            self.note_dropped(sequence, history);
            has_dropped = true;
        }
        has_dropped
    }

    /// The first `count` state changes, which were these sequences, are forgotten, and with them the output and logs before
    /// the last of them.
    pub(super) fn forget_until(&mut self, from: u32, to: u32, count: usize) {
        let (mut from, mut to) = (from, to);
        while self.ring.items.front().is_some_and(|kept| kept.sequence <= to) {
            let Some(sequence) = self.ring.pop_oldest() else { break };
            from = from.min(sequence);
        }
        let merged = self.dropped.partition_point(|dropped| dropped.from <= to);
        for dropped in self.dropped.drain(..merged) {
            (from, to) = (from.min(dropped.from), to.max(dropped.to));
        }
        for dropped in &mut self.dropped {
            dropped.state_changes = dropped.state_changes.saturating_sub(count);
        }
        self.dropped.insert(0, Dropped { state_changes: 0, from, to });
    }

    fn note_dropped(&mut self, sequence: u32, history: &[Transition]) {
        let state_changes = history.partition_point(|transition| transition.sequence < sequence);
        match self.dropped.last_mut() {
            Some(last) if last.state_changes == state_changes => last.to = sequence,
            _ => self.dropped.push(Dropped { state_changes, from: sequence, to: sequence }),
        }
    }

    /// What fell out: how many state changes came before, the first sequence, the last.
    pub(super) fn dropped(&self) -> Vec<[u32; 3]> {
        self.dropped.iter().map(|dropped| [dropped.state_changes as u32, dropped.from, dropped.to]).collect()
    }

    /// Notes what fell out in an earlier life; what is here of it falls out.
    pub(super) fn set_dropped(&mut self, ranges: &[[u32; 3]]) {
        let dropped = |[state_changes, from, to]: &[u32; 3]| Dropped {
            state_changes: *state_changes as usize,
            from: *from,
            to: *to,
        };
        self.dropped = ranges.iter().map(dropped).collect();
        let ring = &mut self.ring;
        ring.items.retain(|kept| !is_in(ranges, kept.sequence));
        ring.bytes = ring.items.iter().map(|kept| kept.item.bytes()).sum();
    }

    /// What fell out between two sequences, both excluded.
    pub(super) fn gap_between(&self, after: u32, before: u32) -> Option<(u32, u32)> {
        let begin = self.dropped.partition_point(|dropped| dropped.to <= after);
        let end = self.dropped.partition_point(|dropped| dropped.from < before);
        let between = self.dropped.get(begin..end)?;
        let (first, last) = (between.first()?, between.last()?);
        Some((first.from.max(after + 1), last.to.min(before - 1)))
    }
}

/// Whether the sequence is in one of these ranges of what fell out.
pub(super) fn is_in(ranges: &[[u32; 3]], sequence: u32) -> bool {
    ranges.iter().any(|[_, from, to]| (*from..=*to).contains(&sequence))
}
