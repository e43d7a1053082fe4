//! What a worker does while the machine is out of descriptors, memory or processes: it gives jobs back whose programs
//! could not be started, ever later, and says so now and then. No attempt is counted: nothing ran.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The pause before a job whose program could not be started is tried again; it doubles with each such start in a row.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long the slot stays taken after a start that failed, so that a queue of jobs does not pass through it at once.
pub(super) const SLOT_PAUSE: Duration = Duration::from_millis(250);
/// At most one warning in this time, with a count of those left out.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// The starts of one handler's programs that failed in a row.
#[derive(Debug, Default)]
pub(super) struct Shortage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    warned: Option<Instant>,
    left_out: u64,
}

impl Shortage {
    /// A program was started, or failed to for a reason of its own.
    pub(super) fn is_over(&self) {
        self.0.lock().failures = 0;
    }

    /// A program could not be started; answers after what pause its job is to be tried again.
    pub(super) fn met(&self, kind: &str, message: &str) -> Duration {
        let (pause, left_out) = self.0.lock().count(Instant::now());
        if let Some(left_out) = left_out {
            tracing::warn!(kind, ?pause, left_out, "gave a job back, its attempt is not counted: {message}");
        }
        pause
    }
}

impl State {
    /// The pause, and how many warnings were left out if one is due.
    fn count(&mut self, now: Instant) -> (Duration, Option<u64>) {
        let doublings = self.failures.min(PAUSE_MAX.as_secs().ilog2() + 1);
        self.failures = self.failures.saturating_add(1);
        let pause = (PAUSE_MIN * (1 << doublings)).min(PAUSE_MAX);
        if self.warned.is_some_and(|warned| now.duration_since(warned) < WARNING_INTERVAL) {
            self.left_out += 1;
            return (pause, None);
        }
        self.warned = Some(now);
        (pause, Some(std::mem::take(&mut self.left_out)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_to_its_bound_and_warnings_are_counted() {
        let (mut state, now) = (State::default(), Instant::now());
        let met: Vec<_> =
            (0..7).map(|_| state.count(now)).map(|(pause, said)| (pause.as_secs(), said)).collect();
        let expected = [(1, Some(0)), (2, None), (4, None), (8, None), (16, None), (30, None), (30, None)];
        assert_eq!(met, expected);
        assert_eq!(state.count(now + WARNING_INTERVAL), (PAUSE_MAX, Some(6)));
        let shortage = Shortage(Mutex::new(state));
        shortage.is_over();
        assert_eq!(shortage.met("k", "none left"), PAUSE_MIN);
    }
}
