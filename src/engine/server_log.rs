//! The lines of the engine in the server's log: ends of jobs and attempts, and changes of remote workers.

use std::time::Duration;

use tracing::Level;
use tracing::level_filters::LevelFilter;

use super::{Engine, Position};
use crate::core::{JobLine, JobLogLevel, LogLine, WorkerChange};
use crate::job::{Failure, TraceContext, truncate};
use crate::log_limit::{LogDecision, LogLimit};

/// Most bytes of a failure's message in the log.
const MESSAGE_BYTES_MAX: usize = 256;

/// The target of the lines about jobs, for filters.
const JOBS: &str = "jobstream::jobs";

/// The limits of the kinds of lines. All lines of a limit have one level: lines that the log does not show suppress no others.
pub(super) struct LogLimits {
    failed: LogLimit,
    cancelled: LogLimit,
    succeeded: LogLimit,
    retried: LogLimit,
    workers: LogLimit,
    workers_lost: LogLimit,
}

/// A limit whose number of omitted lines is a line with the level and target of the others.
macro_rules! limit {
    ($level:ident, $target:expr, $message:literal) => {
        LogLimit::new(|omitted| tracing::$level!(target: $target, omitted, concat!($message, ": at most 10 a second are logged")))
    };
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            failed: limit!(warn, JOBS, "more jobs failed"),
            cancelled: limit!(info, JOBS, "more jobs were cancelled"),
            succeeded: limit!(debug, JOBS, "more jobs succeeded"),
            retried: limit!(info, JOBS, "more attempts failed"),
            workers: limit!(info, module_path!(), "more workers changed"),
            workers_lost: limit!(warn, module_path!(), "more workers were lost"),
        }
    }
}

impl LogLimits {
    fn decide(&self, line: &LogLine) -> LogDecision {
        match line {
            LogLine::JobFailed(..) => self.failed.decide(),
            LogLine::JobCancelled(..) => self.cancelled.decide(),
            LogLine::JobSucceeded(_) => self.succeeded.decide(),
            LogLine::AttemptFailed(..) => self.retried.decide(),
            LogLine::Worker { change: WorkerChange::Lost { .. }, .. } => self.workers_lost.decide(),
            LogLine::Worker { .. } => self.workers.decide(),
        }
    }

    fn all(&self) -> [&LogLimit; 6] {
        let Self { failed, cancelled, succeeded, retried, workers, workers_lost } = self;
        [failed, cancelled, succeeded, retried, workers, workers_lost]
    }

    /// Logs the numbers of omitted lines that are due.
    pub(super) fn report(&self) {
        self.all().into_iter().for_each(LogLimit::report);
    }

    /// Time until [`LogLimits::report`] is due.
    pub(super) fn report_due(&self) -> Duration {
        self.all().into_iter().filter_map(LogLimit::report_due).min().unwrap_or(Duration::MAX)
    }
}

/// Which lines about jobs the log may have now. A filter is asked only if some target is at the level DEBUG: every command
/// calls this function, and usually it is one load of an atomic.
pub(super) fn job_log() -> JobLogLevel {
    let max = LevelFilter::current();
    JobLogLevel {
        info: max >= LevelFilter::INFO,
        debug: max >= LevelFilter::DEBUG && tracing::enabled!(target: JOBS, Level::DEBUG),
    }
}

impl Engine {
    /// Logs the lines within the limits, once `position` is durable.
    pub(super) fn log_when_durable(&self, mut lines: Vec<LogLine>, position: Position) {
        lines.retain(|line| match self.0.log_limits.decide(line) {
            LogDecision::Logged => true,
            LogDecision::FirstOmitted => {
                // The ticker reports the omitted lines.
                self.0.timer_changed.notify_one();
                false
            }
            LogDecision::Omitted => false,
        });
        if !lines.is_empty() {
            self.run_at(position, || lines.into_iter().for_each(write));
        }
    }
}

/// Writes a line with the fields of a job, then these fields and the message.
macro_rules! write_job {
    ($level:ident, $job:expr, $($rest:tt)*) => {{
        let JobLine { id, kind, queue, attempt, wait, duration, worker, trace } = $job;
        let (wait_s, duration_s) = (seconds(wait), seconds(duration));
        let (worker, trace_id) = (worker.as_deref(), trace_id(trace.as_deref()));
        tracing::$level!(
            target: JOBS, job = %id, %kind, %queue, attempt, wait_s, duration_s, worker, trace_id, $($rest)*
        );
    }};
}

fn write(line: LogLine) {
    match line {
        LogLine::JobFailed(job, failure) => {
            let (reason, error_type) = (failure.reason.name(), error_type(&failure));
            let error = message(&failure);
            write_job!(warn, job, outcome = "failed", reason, error_type, error, "job failed");
        }
        LogLine::AttemptFailed(job, failure, pause) => {
            let (reason, error_type) = (failure.reason.name(), error_type(&failure));
            let (error, retry_in_s) = (message(&failure), pause.as_secs_f64());
            write_job!(info, job, reason, error_type, error, retry_in_s, "attempt failed");
        }
        LogLine::JobCancelled(job, cancellation) => {
            let (principal, forced) = (cancellation.principal.as_deref(), cancellation.forced);
            write_job!(info, job, outcome = "cancelled", principal, forced, "job cancelled");
        }
        LogLine::JobSucceeded(job) => write_job!(debug, job, outcome = "succeeded", "job succeeded"),
        LogLine::Worker { id: worker, name, address, change } => match change {
            WorkerChange::Joined { kinds, slots } => {
                tracing::info!(worker, %name, address, kinds, slots, "worker joined");
            }
            WorkerChange::Reconnected => tracing::info!(worker, %name, address, "worker reconnected"),
            WorkerChange::Draining { within } => {
                tracing::info!(worker, %name, address, ?within, "worker drains");
            }
            WorkerChange::Left => tracing::info!(worker, %name, address, "worker left"),
            WorkerChange::Lost { running, reason } => {
                tracing::warn!(worker, %name, address, running, reason, "worker lost");
            }
        },
    }
}

/// The error type of a handler, if it has one.
fn error_type(failure: &Failure) -> Option<&str> {
    Some(&*failure.error_type).filter(|error_type| !error_type.is_empty())
}

fn message(failure: &Failure) -> String {
    let mut message = failure.log_message().to_owned();
    truncate(&mut message, MESSAGE_BYTES_MAX);
    message
}

fn trace_id(context: Option<&TraceContext>) -> Option<String> {
    Some(format!("{:032x}", context?.parent()?.trace_id))
}

fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(change: WorkerChange) -> LogLine {
        LogLine::Worker { id: "1".to_owned(), name: "w".into(), address: String::new(), change }
    }

    #[test]
    fn workers_that_join_suppress_no_line_about_a_lost_one() {
        let limits = LogLimits::default();
        let joined = || worker(WorkerChange::Joined { kinds: 1, slots: 1 });
        while limits.decide(&joined()) == LogDecision::Logged {}
        let lost = worker(WorkerChange::Lost { running: 1, reason: "its connection broke" });
        assert_eq!(limits.decide(&lost), LogDecision::Logged);
    }
}
