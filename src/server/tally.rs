//! Counts of connections and requests, shared by the listener, its edges and the final report.
//!
//! Metrics are not kept here; these are the numbers that limits and shutdown decide on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// What was left when [`serve`](super::serve) returned, and what it turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServeReport {
    /// Connections that shutdown cut, rather than that closed in good order.
    pub connections_cut: usize,
    /// Requests that were open on those connections, except on a thread that was too busy to be asked.
    pub requests_cut: usize,
    /// Connections closed at once because [`max_connections`](super::ListenerLimits::max_connections)
    /// were open.
    pub connections_refused: u64,
}

/// The live counts of one listener.
#[derive(Debug, Default)]
pub(super) struct Tally {
    open_connections: AtomicUsize,
    connections_refused: AtomicU64,
    connections_cut: AtomicUsize,
    requests_cut: AtomicUsize,
}

impl Tally {
    /// Takes one of `max` places, or counts a refusal.
    pub(super) fn take_seat(self: &Arc<Self>, max: usize) -> Option<Seat> {
        if self.open_connections.fetch_add(1, Relaxed) >= max {
            self.open_connections.fetch_sub(1, Relaxed);
            self.connections_refused.fetch_add(1, Relaxed);
            return None;
        }
        Some(Seat { tally: self.clone(), cut: false })
    }

    /// The counts so far; a connection that still stands counts as cut.
    pub(super) fn report(&self) -> ServeReport {
        ServeReport {
            connections_cut: self.connections_cut.load(Relaxed) + self.open_connections.load(Relaxed),
            requests_cut: self.requests_cut.load(Relaxed),
            connections_refused: self.connections_refused.load(Relaxed),
        }
    }
}

/// The place of one open connection, free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    tally: Arc<Tally>,
    cut: bool,
}

impl Seat {
    /// Counts the connection as cut by shutdown with this many requests open, and no longer as open.
    pub(super) fn count_cut(&mut self, open_requests: usize) {
        self.cut = true;
        self.tally.open_connections.fetch_sub(1, Relaxed);
        self.tally.connections_cut.fetch_add(1, Relaxed);
        self.tally.requests_cut.fetch_add(open_requests, Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.cut {
            self.tally.open_connections.fetch_sub(1, Relaxed);
        }
    }
}
