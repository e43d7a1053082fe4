//! Back-off while attempts cannot start: the machine lacks file descriptors, memory or processes for a program, or no
//! connection to an HTTP endpoint can be made. The jobs are released with a growing delay, and warnings are rate-limited.
//! Released attempts are not counted.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{JobContext, JobError};

/// Delay after the first failed start. It doubles with each consecutive failure.
const DELAY_MIN: Duration = Duration::from_secs(1);
/// Longest delay.
const DELAY_MAX: Duration = Duration::from_secs(30);
/// How long a failed start occupies its slot. Without it, the worker would take and release all queued jobs at once.
const SLOT_PAUSE: Duration = Duration::from_millis(250);
/// At most one warning is logged in this interval. It has the number of suppressed ones.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Counts consecutive failed starts of one handler's attempts.
#[derive(Debug, Default)]
pub(super) struct StartBackoff(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    last_warning: Option<Instant>,
    suppressed: u64,
}

impl StartBackoff {
    /// Resets the delay after a start that succeeded or failed permanently.
    pub(super) fn reset(&self) {
        self.0.lock().failures = 0;
    }

    /// The end of an attempt that could not start: the job is released with a delay. Occupies the slot for a pause.
    pub(super) async fn release(&self, context: &JobContext, message: &str) -> JobError {
        let delay = self.on_failure(context.kind(), message);
        tokio::select! {
            () = tokio::time::sleep(SLOT_PAUSE) => JobError::release(delay),
            () = context.cancelled() => JobError::cancelled(),
        }
    }

    /// Records a failed start, logs a warning if one is due and returns the delay before the job is retried.
    fn on_failure(&self, kind: &str, message: &str) -> Duration {
        let (delay, warning) = self.0.lock().record_failure(Instant::now());
        if let Some(suppressed) = warning {
            tracing::warn!(kind, ?delay, suppressed, "released a job, its attempt is not counted: {message}");
        }
        delay
    }
}

impl State {
    /// Returns the delay, and the number of suppressed warnings if a warning is due.
    fn record_failure(&mut self, now: Instant) -> (Duration, Option<u64>) {
        let doublings = self.failures.min(DELAY_MAX.as_secs().ilog2() + 1);
        self.failures = self.failures.saturating_add(1);
        let delay = (DELAY_MIN * (1 << doublings)).min(DELAY_MAX);
        if self.last_warning.is_some_and(|warned| now.duration_since(warned) < WARNING_INTERVAL) {
            self.suppressed += 1;
            return (delay, None);
        }
        self.last_warning = Some(now);
        (delay, Some(std::mem::take(&mut self.suppressed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_up_to_its_limit_and_suppressed_warnings_are_counted() {
        let (mut state, now) = (State::default(), Instant::now());
        let failures = (0..7).map(|_| state.record_failure(now));
        let delays: Vec<_> = failures.map(|(delay, warning)| (delay.as_secs(), warning)).collect();
        let expected = [(1, Some(0)), (2, None), (4, None), (8, None), (16, None), (30, None), (30, None)];
        assert_eq!(delays, expected);
        assert_eq!(state.record_failure(now + WARNING_INTERVAL), (DELAY_MAX, Some(6)));
        let backoff = StartBackoff(Mutex::new(state));
        backoff.reset();
        assert_eq!(backoff.on_failure("k", "out of file descriptors"), DELAY_MIN);
    }
}
