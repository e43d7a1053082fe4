//! The feed of all jobs: a bounded ring of their newest state changes, and the wakers of its subscribers.
//!
//! A subscriber is a cursor and a waker, never a queue. The ring has a lock of its own, so that subscribers do not hold the
//! engine's lock. The order of the locks is: engine, ring.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use slab::Slab;

use super::Position;
use crate::core::change_bytes;
use crate::job::{FeedCursor, JobChange, MemoryUse};

/// How long changes are recorded after the last subscriber left, so that it can resume.
pub(super) const LINGER: Duration = Duration::from_secs(10 * 60);

/// Shortest interval between two wake-ups of all subscribers, for each subscriber that waits: many subscribers together
/// use a bounded part of a processor, however many changes there are.
const WAKE_INTERVAL_EACH: Duration = Duration::from_micros(20);
/// Longest interval between two wake-ups of all subscribers while there are changes.
const WAKE_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Largest capacity of the table of subscribers that is retained while it is empty.
const CAPACITY_MAX: usize = 4_096;

/// The feed of an engine.
pub(super) struct Feed {
    ring: Mutex<Ring>,
    bytes_max: u64,
}

/// The newest changes, oldest first, each with its log position.
pub(super) struct Ring {
    /// Identifies the recording: the numbers of another one have no meaning in it. 0 while nothing is recorded.
    recording: u64,
    changes: VecDeque<Entry>,
    /// The number of the first retained change.
    first: u64,
    bytes: u64,
    /// Open subscriptions, each with its waker while it waits.
    subscribers: Slab<Option<Waker>>,
    /// Subscribers that wait.
    waiting: u32,
    /// Monotonic time before which the subscribers are not woken again.
    next_wake: Duration,
    /// Whether changes were added since the subscribers were woken.
    is_wake_due: bool,
    /// Monotonic time at which the recording ends; `None` while a subscription is open.
    ends_at: Option<Duration>,
    /// Whether no change follows: the engine is stopped or has drained.
    is_over: bool,
}

/// A change of the ring.
#[derive(Clone)]
struct Entry {
    change: Arc<JobChange>,
    position: Position,
}

/// A part of the changes after a cursor.
pub(super) struct ChangeBatch {
    /// The changes that were read.
    pub(super) changes: Vec<(FeedCursor, Arc<JobChange>)>,
    /// The cursor after everything that was scanned.
    pub(super) cursor: FeedCursor,
    /// The log position that everything that was scanned depends on.
    pub(super) position: Position,
}

/// What follows a cursor.
pub(super) enum Following {
    /// The number of changes that are no longer retained, 0 if it is not known, and the cursor after them.
    Missed(u64, FeedCursor),
    Changes(ChangeBatch),
    /// Nothing yet.
    Nothing,
    /// Nothing, and no change will follow.
    End,
}

impl Feed {
    pub(super) fn new(bytes_max: u64) -> Self {
        let ring = Ring {
            recording: 0,
            changes: VecDeque::new(),
            first: 0,
            bytes: 0,
            subscribers: Slab::new(),
            waiting: 0,
            next_wake: Duration::ZERO,
            is_wake_due: false,
            ends_at: None,
            is_over: false,
        };
        Self { ring: Mutex::new(ring), bytes_max }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock()
    }

    /// Adds changes, and drops the oldest ones beyond the bound. Takes the wakers of the subscribers if they may be woken.
    /// Returns when [`Ring::take_due_wakers`] is due, if it is.
    pub(super) fn add(
        &self,
        now: Duration,
        changes: Vec<Arc<JobChange>>,
        position: Position,
        wakers: &mut Vec<Waker>,
    ) -> Option<Duration> {
        let mut ring = self.lock();
        for change in changes {
            ring.bytes += entry_bytes(&change);
            ring.changes.push_back(Entry { change, position });
        }
        while ring.bytes > self.bytes_max && ring.changes.len() > 1 {
            let Some(oldest) = ring.changes.pop_front() else { break };
            ring.bytes -= entry_bytes(&oldest.change);
            ring.first += 1;
        }
        ring.is_wake_due = ring.waiting > 0;
        ring.take_due_wakers(now, wakers);
        ring.is_wake_due.then_some(ring.next_wake)
    }

    pub(super) fn memory(&self) -> MemoryUse {
        MemoryUse { category: "feed", used_bytes: self.lock().bytes, limit_bytes: self.bytes_max }
    }
}

impl Ring {
    /// Adds a subscriber, which retains the recording until [`Ring::unsubscribe`]. Begins a recording with this id if there is
    /// none.
    pub(super) fn subscribe(&mut self, recording: u64) -> usize {
        if self.recording == 0 {
            self.recording = recording.max(1);
        }
        self.ends_at = None;
        self.subscribers.insert(None)
    }

    /// Removes a subscriber. Returns whether it was the last one.
    pub(super) fn unsubscribe(&mut self, subscriber: usize, now: Duration) -> bool {
        if self.subscribers.remove(subscriber).is_some() {
            self.waiting -= 1;
        }
        let is_last = self.subscribers.is_empty();
        if is_last {
            self.ends_at = Some(now.saturating_add(LINGER));
            if self.subscribers.capacity() > CAPACITY_MAX {
                self.subscribers = Slab::new();
            }
        }
        is_last
    }

    /// Ends the recording if its time has come. Returns whether it ended.
    pub(super) fn end_recording_if_due(&mut self, now: Duration) -> bool {
        let is_due = self.ends_at.is_some_and(|ends_at| ends_at <= now);
        if is_due {
            self.ends_at = None;
            (self.recording, self.bytes) = (0, 0);
            self.first += self.changes.len() as u64;
            self.changes = VecDeque::new();
        }
        is_due
    }

    /// Monotonic time of the next wake-up or of the end of the recording.
    pub(super) fn due(&self) -> Option<Duration> {
        let wake = self.is_wake_due.then_some(self.next_wake);
        wake.into_iter().chain(self.ends_at).min()
    }

    /// Takes the wakers of the subscribers if there are changes and the interval has passed.
    pub(super) fn take_due_wakers(&mut self, now: Duration, wakers: &mut Vec<Waker>) {
        if self.is_wake_due && self.next_wake <= now {
            let interval = WAKE_INTERVAL_EACH.saturating_mul(self.waiting).min(WAKE_INTERVAL_MAX);
            self.next_wake = now.saturating_add(interval);
            self.take_wakers(wakers);
        }
    }

    /// Takes the wakers of all subscribers.
    pub(super) fn take_wakers(&mut self, wakers: &mut Vec<Waker>) {
        self.is_wake_due = false;
        self.waiting = 0;
        wakers.extend(self.subscribers.iter_mut().filter_map(|(_, waker)| waker.take()));
    }

    /// Ends the feed, because no change follows. Takes the wakers of all subscribers.
    pub(super) fn end(&mut self, wakers: &mut Vec<Waker>) {
        self.is_over = true;
        self.take_wakers(wakers);
    }

    /// Registers the waker of a subscriber for the next change.
    pub(super) fn set_waker(&mut self, subscriber: usize, waker: &Waker) {
        match &mut self.subscribers[subscriber] {
            Some(current) => current.clone_from(waker),
            none => {
                *none = Some(waker.clone());
                self.waiting += 1;
            }
        }
    }

    /// The log position of the newest change.
    pub(super) fn position(&self) -> Position {
        self.changes.back().map_or(Position::default(), |newest| newest.position)
    }

    fn cursor(&self, number: u64) -> FeedCursor {
        FeedCursor { recording: self.recording, number }
    }

    /// The cursor after the newest change.
    pub(super) fn newest(&self) -> FeedCursor {
        self.cursor(self.first + self.changes.len() as u64)
    }

    /// Whether the cursor is one of this recording that no subscriber can have received.
    pub(super) fn is_beyond(&self, cursor: FeedCursor) -> bool {
        cursor.recording == self.recording && cursor.number > self.newest().number
    }

    /// Scans at most `limit` changes after a cursor. Returns those that are wanted.
    pub(super) fn after(
        &self,
        cursor: FeedCursor,
        limit: usize,
        is_wanted: impl Fn(&JobChange) -> bool,
    ) -> Following {
        if cursor.recording != self.recording {
            return Following::Missed(0, self.cursor(self.first));
        }
        if cursor.number < self.first {
            return Following::Missed(self.first - cursor.number, self.cursor(self.first));
        }
        let begin = (cursor.number - self.first) as usize;
        let end = begin.saturating_add(limit).min(self.changes.len());
        if begin >= end {
            return if self.is_over { Following::End } else { Following::Nothing };
        }
        let (mut changes, mut position) = (Vec::new(), Position::default());
        for (number, entry) in (cursor.number + 1..).zip(self.changes.range(begin..end)) {
            position = entry.position;
            if is_wanted(&entry.change) {
                changes.push((self.cursor(number), entry.change.clone()));
            }
        }
        Following::Changes(ChangeBatch { changes, cursor: self.cursor(self.first + end as u64), position })
    }
}

fn entry_bytes(change: &JobChange) -> u64 {
    (change_bytes(change) + size_of::<Entry>()) as u64
}
