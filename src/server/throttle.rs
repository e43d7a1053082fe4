//! Rate limit of warnings that a peer can cause: at most one of a kind per second.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Minimum time between two warnings of a kind.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);

/// Passes one warning per [`WARNING_INTERVAL`] and counts the suppressed ones.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

impl Throttle {
    /// Returns the number of warnings suppressed since the last one if this warning may be logged, else `None`.
    pub(super) fn pass(&self) -> Option<u64> {
        let (mut state, now) = (self.0.lock(), Instant::now());
        if state.last.is_some_and(|last| now.duration_since(last) < WARNING_INTERVAL) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}
