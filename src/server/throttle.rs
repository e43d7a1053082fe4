//! Warnings that a peer can cause, at most one of a kind in a second.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// At most one warning of a kind in this time, with a count of those left out.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);

/// Lets one warning through per [`WARNING_INTERVAL`].
#[derive(Debug, Default)]
pub(super) struct Throttle {
    last: Option<Instant>,
    left_out: u64,
}

impl Throttle {
    /// How many were left out since the last one that passed, when this one passes.
    pub(super) fn pass(&mut self) -> Option<u64> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < WARNING_INTERVAL) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

/// A throttle that several threads use.
#[derive(Debug, Default)]
pub(super) struct SharedThrottle(Mutex<Throttle>);

impl SharedThrottle {
    /// As [`Throttle::pass`].
    pub(super) fn pass(&self) -> Option<u64> {
        self.0.lock().pass()
    }
}
