//! A stream that reserves bytes of its connection's budget, and the reservations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::Waker;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{AbortHandle, Abortable};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::ConnectionBudget;

/// A message up to this size was encoded into a buffer that grew by doubling, in bytes.
const GROWN_BYTES_MAX: usize = 64 * 1024;

/// Which part of a call reserves the bytes. It decides how the call is aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Kind {
    /// An incomplete request. Its call ends with an error status.
    Request,
    /// A response. Over HTTP/2, its stream is reset; over HTTP/1, its connection is closed, which carries no other stream.
    Response,
}

tokio::task_local! {
    /// Aborts the HTTP/2 stream of the current task.
    static ABORT: AbortHandle;
}

/// Runs an HTTP/2 stream to its end, or until its [`BudgetedStream`] is aborted. Then the future is dropped, which resets
/// the stream and drops its unsent bytes.
pub(in crate::server) fn abortable(stream: impl Future) -> impl Future<Output = ()> {
    let (handle, registration) = AbortHandle::new_pair();
    ABORT.scope(handle, Abortable::new(stream, registration)).map(drop)
}

/// One stream with reservations. Its owner calls [`Self::unregister`] at the end.
#[derive(Debug)]
pub(in crate::server) struct BudgetedStream {
    pub(super) connection: Arc<ConnectionBudget>,
    number: u64,
    kind: Kind,
    /// Aborts the HTTP/2 stream; `None` over HTTP/1.
    abort: Option<AbortHandle>,
    reserved: AtomicUsize,
    is_aborted: AtomicBool,
    state: Mutex<ProgressState>,
}

#[derive(Debug)]
struct ProgressState {
    /// When the peer last sent or read bytes of the stream.
    last_progress: Instant,
    /// Wakes the task of the stream when it is aborted or its last reservation is released.
    waker: Option<Waker>,
}

impl BudgetedStream {
    pub(super) fn new(connection: Arc<ConnectionBudget>, number: u64, kind: Kind) -> Self {
        Self {
            connection,
            number,
            kind,
            abort: ABORT.try_with(AbortHandle::clone).ok(),
            reserved: AtomicUsize::new(0),
            is_aborted: AtomicBool::new(false),
            state: Mutex::new(ProgressState { last_progress: Instant::now(), waker: None }),
        }
    }

    /// Reserves bytes until the guard is dropped.
    pub(in crate::server) fn reserve(self: &Arc<Self>, bytes: usize) -> Reservation {
        self.reserved.fetch_add(bytes, Relaxed);
        self.connection.reserve(bytes);
        Reservation { stream: self.clone(), bytes }
    }

    /// Returns the same bytes with a reservation, which is released when their last slice is dropped.
    pub(in crate::server) fn reserve_for(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        // The capacity of a buffer that grew by doubling is up to twice its length.
        let counted =
            if bytes.len() <= GROWN_BYTES_MAX { bytes.len().next_power_of_two() } else { bytes.len() };
        let reservation = self.reserve(counted);
        Bytes::from_owner(ReservedBytes { bytes, _reservation: reservation })
    }

    /// Records that the peer sent or read bytes, and sets the waker.
    pub(in crate::server) fn record_progress(&self, waker: &Waker) {
        *self.state.lock() = ProgressState { last_progress: Instant::now(), waker: Some(waker.clone()) };
    }

    /// Sets the waker, which is woken when the stream is aborted or its last reservation is released.
    pub(in crate::server) fn set_waker(&self, waker: &Waker) {
        self.state.lock().waker = Some(waker.clone());
    }

    pub(in crate::server) fn has_reservations(&self) -> bool {
        self.reserved.load(Relaxed) > 0
    }

    /// Whether the stream was aborted because other streams wait for its bytes.
    pub(in crate::server) fn is_aborted(&self) -> bool {
        self.is_aborted.load(Relaxed)
    }

    /// When the stream last made progress; `None` if it reserves nothing or is already aborted.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        (self.has_reservations() && !self.is_aborted()).then(|| self.state.lock().last_progress)
    }

    /// Moves the last progress into the past.
    #[cfg(test)]
    pub(super) fn backdate(&self, by: std::time::Duration) {
        self.state.lock().last_progress -= by;
    }

    pub(super) fn abort(&self) {
        self.is_aborted.store(true, Relaxed);
        let reserved = self.reserved.load(Relaxed);
        tracing::debug!(reserved, kind = ?self.kind, "aborted a stalled stream: other streams wait for its buffer space");
        match (self.kind, &self.abort) {
            (Kind::Request, _) => {}
            (Kind::Response, Some(stream)) => stream.abort(),
            (Kind::Response, None) => self.connection.activity.evict(true),
        }
        self.wake();
    }

    /// Removes the stream from its connection's budget. Its reservations stay until they are dropped.
    pub(in crate::server) fn unregister(&self) {
        self.connection.unregister(self.number);
    }

    fn wake(&self) {
        let waker = self.state.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A guard: its bytes are released when it is dropped.
#[derive(Debug)]
pub(in crate::server) struct Reservation {
    stream: Arc<BudgetedStream>,
    bytes: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Self { stream, bytes } = self;
        if stream.reserved.fetch_sub(*bytes, Relaxed) == *bytes {
            stream.wake();
        }
        stream.connection.release(*bytes);
    }
}

/// Bytes with their reservation.
struct ReservedBytes {
    bytes: Bytes,
    _reservation: Reservation,
}

impl AsRef<[u8]> for ReservedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
