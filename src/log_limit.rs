//! Limits the rate of log lines that jobs, workers or callers cause.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Most lines of a limit in each [`PERIOD`].
const LINES_MAX: u32 = 10;
const PERIOD: Duration = Duration::from_secs(1);

/// A limit of log lines. Lines beyond it are omitted and counted; their number is a line of its own.
#[derive(Debug)]
pub(crate) struct LogLimit {
    log_omitted: fn(u64),
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the current period began.
    start: Option<Instant>,
    lines: u32,
    omitted: u64,
}

/// Whether a line may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogDecision {
    /// The line may be logged.
    Logged,
    /// The line is the first one of its period that is omitted: [`LogLimit::report`] is due at the end of the period.
    FirstOmitted,
    /// The line is omitted.
    Omitted,
}

impl LogLimit {
    /// A limit; `log_omitted` logs the number of omitted lines.
    pub(crate) fn new(log_omitted: fn(u64)) -> Self {
        Self { log_omitted, state: Mutex::default() }
    }

    /// Counts a line, and decides whether it is logged.
    pub(crate) fn decide(&self) -> LogDecision {
        self.decide_at(Instant::now())
    }

    fn decide_at(&self, now: Instant) -> LogDecision {
        self.report_at(now);
        let mut state = self.state.lock();
        state.start.get_or_insert(now);
        if state.lines < LINES_MAX {
            state.lines += 1;
            return LogDecision::Logged;
        }
        state.omitted += 1;
        if state.omitted == 1 { LogDecision::FirstOmitted } else { LogDecision::Omitted }
    }

    /// Counts a line, and returns whether it is logged. A task reports the omitted lines.
    pub(crate) fn passes(self: &Arc<Self>) -> bool {
        let decision = self.decide();
        if let (LogDecision::FirstOmitted, Some(due)) = (decision, self.report_due()) {
            let limit = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(due).await;
                limit.report();
            });
        }
        decision == LogDecision::Logged
    }

    /// Time until the end of a period with omitted lines.
    pub(crate) fn report_due(&self) -> Option<Duration> {
        let state = self.state.lock();
        let start = state.start.filter(|_| state.omitted > 0)?;
        Some(PERIOD.saturating_sub(start.elapsed()))
    }

    /// Ends a period that is over. Logs the number of its omitted lines.
    pub(crate) fn report(&self) {
        self.report_at(Instant::now());
    }

    fn report_at(&self, now: Instant) {
        let omitted = {
            let mut state = self.state.lock();
            if state.start.is_none_or(|start| now.saturating_duration_since(start) < PERIOD) {
                return;
            }
            std::mem::take(&mut *state).omitted
        };
        if omitted > 0 {
            (self.log_omitted)(omitted);
        }
    }
}

impl Drop for LogLimit {
    /// Logs the number of the lines that were omitted in the last period.
    fn drop(&mut self) {
        let omitted = self.state.get_mut().omitted;
        if omitted > 0 {
            (self.log_omitted)(omitted);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    static OMITTED: AtomicU64 = AtomicU64::new(0);

    #[test]
    fn a_period_has_a_bounded_number_of_lines_and_the_rest_is_counted() {
        let limit = LogLimit::new(|omitted| OMITTED.store(omitted, Ordering::Relaxed));
        let start = Instant::now();
        let decisions: Vec<_> = (0..LINES_MAX + 3).map(|_| limit.decide_at(start)).collect();
        let (logged, omitted) = decisions.split_at(LINES_MAX as usize);
        assert!(logged.iter().all(|decision| *decision == LogDecision::Logged));
        assert_eq!(omitted, [LogDecision::FirstOmitted, LogDecision::Omitted, LogDecision::Omitted]);
        assert!(limit.report_due().is_some_and(|due| due <= PERIOD));
        limit.report_at(start + PERIOD / 2);
        assert_eq!(OMITTED.load(Ordering::Relaxed), 0, "the period is not over");
        limit.report_at(start + PERIOD);
        assert_eq!((OMITTED.load(Ordering::Relaxed), limit.report_due()), (3, None));
        assert_eq!(limit.decide_at(start + PERIOD), LogDecision::Logged);
    }

    #[test]
    fn the_lines_omitted_at_the_end_are_counted() {
        static OMITTED_AT_END: AtomicU64 = AtomicU64::new(0);
        let limit = LogLimit::new(|omitted| OMITTED_AT_END.store(omitted, Ordering::Relaxed));
        while limit.decide() != LogDecision::Omitted {}
        drop(limit);
        assert_eq!(OMITTED_AT_END.load(Ordering::Relaxed), 2);
    }
}
