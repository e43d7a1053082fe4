//! The activity of one connection: its open requests, since when it is idle, and whether it was evicted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A clock that is cheap to read: one atomic load. It is updated every second and with each accepted connection.
#[derive(Debug)]
pub(super) struct CoarseClock {
    start: Instant,
    millis: AtomicU64,
}

impl Default for CoarseClock {
    fn default() -> Self {
        Self { start: Instant::now(), millis: AtomicU64::new(0) }
    }
}

impl CoarseClock {
    pub(super) fn tick(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.fetch_max(millis, Relaxed);
    }
}

/// The open requests of one connection, and its eviction.
#[derive(Debug)]
pub(in crate::server) struct Activity {
    clock: Arc<CoarseClock>,
    open_requests: AtomicUsize,
    /// When the last request ended or the connection was accepted, in milliseconds of the coarse clock.
    last_use: AtomicU64,
    eviction: Notify,
    must_abort: AtomicBool,
}

impl Activity {
    pub(super) fn new(clock: Arc<CoarseClock>) -> Self {
        let last_use = clock.millis.load(Relaxed).into();
        Self {
            clock,
            open_requests: AtomicUsize::new(0),
            last_use,
            eviction: Notify::new(),
            must_abort: AtomicBool::new(false),
        }
    }

    pub(in crate::server) fn begin_request(&self) {
        self.open_requests.fetch_add(1, Relaxed);
    }

    pub(in crate::server) fn end_request(&self) {
        if self.open_requests.fetch_sub(1, Relaxed) == 1 {
            self.last_use.store(self.clock.millis.load(Relaxed), Relaxed);
        }
    }

    pub(in crate::server) fn open_requests(&self) -> usize {
        self.open_requests.load(Relaxed)
    }

    /// Since when no request is open; `None` while one is open. Up to a second early.
    pub(in crate::server) fn idle_since(&self) -> Option<Instant> {
        let since = Duration::from_millis(self.last_use.load(Relaxed));
        (self.open_requests() == 0).then(|| self.clock.start + since)
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
