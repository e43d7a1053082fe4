//! What happens on one connection, as far as it decides who is idle and who makes way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A clock that costs a load to read: it moves once a second, and with each accepted connection.
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

/// The requests of one connection, and whether it was told to make way.
#[derive(Debug)]
pub(in crate::server) struct Activity {
    clock: Arc<CoarseClock>,
    open_requests: AtomicUsize,
    /// When the last request ended, or else the connection began, on the coarse clock.
    last_use: AtomicU64,
    eviction: Notify,
    is_to_be_cut: AtomicBool,
}

impl Activity {
    pub(super) fn new(clock: Arc<CoarseClock>) -> Self {
        let last_use = clock.millis.load(Relaxed).into();
        Self {
            clock,
            open_requests: AtomicUsize::new(0),
            last_use,
            eviction: Notify::new(),
            is_to_be_cut: AtomicBool::new(false),
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

    /// Since when no request is open; none while one is. Up to a second early.
    pub(in crate::server) fn idle_since(&self) -> Option<Instant> {
        let since = Duration::from_millis(self.last_use.load(Relaxed));
        (self.open_requests() == 0).then(|| self.clock.start + since)
    }

    /// Tells the connection to make way, at once if it is to be cut.
    pub(in crate::server) fn evict(&self, cut: bool) {
        self.is_to_be_cut.store(cut, Relaxed);
        self.eviction.notify_one();
    }

    /// Waits until the connection has to make way for another.
    pub(in crate::server) async fn evicted(&self) {
        self.eviction.notified().await;
    }

    /// Whether the connection gets no time for a goodbye.
    pub(in crate::server) fn is_to_be_cut(&self) -> bool {
        self.is_to_be_cut.load(Relaxed)
    }

    #[cfg(test)]
    pub(super) fn is_evicted(&self) -> bool {
        use futures_util::FutureExt;
        // A permit that was taken is given back.
        let is_evicted = self.evicted().now_or_never().is_some();
        if is_evicted {
            self.eviction.notify_one();
        }
        is_evicted
    }
}
