//! A stream that holds counted bytes, and the bytes that it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::Waker;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::task;
use tokio::time::Instant;

use super::ConnectionBudget;

/// Most bytes of what was encoded into a buffer that grew step by step.
const GROWN_BYTES_MAX: usize = 64 * 1024;

/// What a stream holds bytes of, which decides how it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Kind {
    /// A request that is not whole: its call is answered with an error.
    Request,
    /// An answer on HTTP/2: its stream is reset.
    Answer,
    /// An answer on HTTP/1: its connection is cut, which has no other stream.
    OnlyAnswer,
}

/// One such stream, until it is dropped by its owner.
#[derive(Debug)]
pub(in crate::server) struct Holder {
    pub(super) connection: Arc<ConnectionBudget>,
    number: u64,
    kind: Kind,
    task: Option<task::Id>,
    held: AtomicUsize,
    is_condemned: AtomicBool,
    /// When the peer last sent or took something, and who is to be told of changes.
    state: Mutex<(Instant, Option<Waker>)>,
}

impl Holder {
    pub(super) fn new(connection: Arc<ConnectionBudget>, number: u64, kind: Kind) -> Self {
        Self {
            connection,
            number,
            kind,
            task: task::try_id(),
            held: AtomicUsize::new(0),
            is_condemned: AtomicBool::new(false),
            state: Mutex::new((Instant::now(), None)),
        }
    }

    /// Counts bytes as held until the guard is dropped.
    pub(in crate::server) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        self.held.fetch_add(bytes, Relaxed);
        self.connection.add(bytes);
        Held { holder: self.clone(), bytes }
    }

    /// The same bytes, counted until the last part of them is dropped.
    pub(in crate::server) fn own(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        // A buffer that grew to it is up to twice as large.
        let counted =
            if bytes.len() <= GROWN_BYTES_MAX { bytes.len().next_power_of_two() } else { bytes.len() };
        let held = self.hold(counted);
        Bytes::from_owner(Owned { bytes, _held: held })
    }

    /// The peer sent or took something; its task is woken when the stream is to end or holds nothing more.
    pub(in crate::server) fn progress(&self, waker: &Waker) {
        *self.state.lock() = (Instant::now(), Some(waker.clone()));
    }

    /// Has this task woken when the stream is to end or holds nothing more.
    pub(in crate::server) fn watch(&self, waker: &Waker) {
        self.state.lock().1 = Some(waker.clone());
    }

    pub(in crate::server) fn holds_any(&self) -> bool {
        self.held.load(Relaxed) > 0
    }

    /// Whether the stream was ended because others wait for what it holds.
    pub(in crate::server) fn is_condemned(&self) -> bool {
        self.is_condemned.load(Relaxed)
    }

    /// Since when it holds something without progress, unless it is ending already.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        (self.holds_any() && !self.is_condemned()).then(|| self.state.lock().0)
    }

    /// Lets the last progress be longer ago.
    #[cfg(test)]
    pub(super) fn backdate(&self, by: std::time::Duration) {
        self.state.lock().0 -= by;
    }

    pub(super) fn condemn(&self) {
        self.is_condemned.store(true, Relaxed);
        let held = self.held.load(Relaxed);
        tracing::debug!(held, kind = ?self.kind, "ended a stalled stream: others wait for the bytes that it holds");
        match (self.kind, self.task) {
            (Kind::Answer, Some(task)) => self.connection.condemn_task(task),
            (Kind::OnlyAnswer, _) => self.connection.activity.evict(true),
            _ => {}
        }
        self.wake();
    }

    /// Ends the part of the stream that can hold bytes.
    pub(in crate::server) fn leave(&self) {
        self.connection.unregister(self.number);
    }

    fn wake(&self) {
        let waker = self.state.lock().1.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Bytes that count until this is dropped.
#[derive(Debug)]
pub(in crate::server) struct Held {
    holder: Arc<Holder>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        let Self { holder, bytes } = self;
        if holder.held.fetch_sub(*bytes, Relaxed) == *bytes {
            holder.wake();
        }
        holder.connection.give_back(*bytes);
    }
}

/// Bytes with the guard that counts them.
struct Owned {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
