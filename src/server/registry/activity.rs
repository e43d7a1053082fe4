//! The activity of one connection: its open requests, since when it is idle, and whether it was evicted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The open requests of one connection, and its eviction.
#[derive(Debug)]
pub(in crate::server) struct Activity {
    open_requests: AtomicUsize,
    /// When the last request ended or the connection was accepted.
    last_use: Mutex<Instant>,
    eviction: Notify,
    must_abort: AtomicBool,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            open_requests: AtomicUsize::new(0),
            last_use: Mutex::new(Instant::now()),
            eviction: Notify::new(),
            must_abort: AtomicBool::new(false),
        }
    }

    pub(in crate::server) fn begin_request(&self) {
        self.open_requests.fetch_add(1, Relaxed);
    }

    pub(in crate::server) fn end_request(&self) {
        if self.open_requests.fetch_sub(1, Relaxed) == 1 {
            *self.last_use.lock() = Instant::now();
        }
    }

    pub(in crate::server) fn open_requests(&self) -> usize {
        self.open_requests.load(Relaxed)
    }

    /// Since when no request is open; `None` while one is open.
    pub(in crate::server) fn idle_since(&self) -> Option<Instant> {
        (self.open_requests() == 0).then(|| *self.last_use.lock())
    }

    /// Evicts the connection: without a GOAWAY if `abort` is set.
    pub(in crate::server) fn evict(&self, abort: bool) {
        self.must_abort.store(abort, Relaxed);
        self.eviction.notify_one();
    }

    /// Waits until the connection is evicted.
    pub(in crate::server) async fn evicted(&self) {
        self.eviction.notified().await;
    }

    /// Whether the evicted connection is closed without a GOAWAY.
    pub(in crate::server) fn must_abort(&self) -> bool {
        self.must_abort.load(Relaxed)
    }

    #[cfg(test)]
    pub(super) fn is_evicted(&self) -> bool {
        use futures_util::FutureExt;
        // The notification is restored.
        let is_evicted = self.evicted().now_or_never().is_some();
        if is_evicted {
            self.eviction.notify_one();
        }
        is_evicted
    }
}
