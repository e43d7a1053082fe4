//! The lines of the engine in the server's log: jobs that failed, and changes of remote workers.

use std::time::Duration;

use super::{Engine, Position};
use crate::core::{LogLine, WorkerChange};
use crate::job::truncate;
use crate::log_limit::{Admission, LogLimit};

/// Most bytes of a failure's message in the log.
const MESSAGE_BYTES_MAX: usize = 256;

/// The limits of both kinds of lines.
pub(super) struct LogLimits {
    jobs: LogLimit,
    workers: LogLimit,
}

impl Default for LogLimits {
    fn default() -> Self {
        let jobs = |omitted| tracing::warn!(omitted, "more jobs failed: at most 10 a second are logged");
        let workers =
            |omitted| tracing::warn!(omitted, "more workers changed: at most 10 changes a second are logged");
        Self { jobs: LogLimit::new(jobs), workers: LogLimit::new(workers) }
    }
}

impl LogLimits {
    fn admit(&self, line: &LogLine) -> Admission {
        match line {
            LogLine::JobFailed { .. } => self.jobs.admit(),
            LogLine::Worker { .. } => self.workers.admit(),
        }
    }

    /// Logs the numbers of omitted lines that are due.
    pub(super) fn report(&self) {
        self.jobs.report();
        self.workers.report();
    }

    /// Time until [`LogLimits::report`] is due.
    pub(super) fn report_due(&self) -> Duration {
        let due = [self.jobs.report_due(), self.workers.report_due()];
        due.into_iter().flatten().min().unwrap_or(Duration::MAX)
    }
}

impl Engine {
    /// Logs the lines within the limits, once `position` is durable.
    pub(super) fn log_when_durable(&self, mut lines: Vec<LogLine>, position: Position) {
        lines.retain(|line| match self.0.log_limits.admit(line) {
            Admission::Logged => true,
            Admission::FirstOmitted => {
                // The ticker reports the omitted lines.
                self.0.timer_changed.notify_one();
                false
            }
            Admission::Omitted => false,
        });
        if !lines.is_empty() {
            self.run_at(position, || lines.into_iter().for_each(write));
        }
    }
}

fn write(line: LogLine) {
    match line {
        LogLine::JobFailed { id, kind, queue, failure } => {
            let (attempt, reason, mut error) =
                (failure.attempt, failure.reason.name(), failure.log_message().to_owned());
            truncate(&mut error, MESSAGE_BYTES_MAX);
            tracing::warn!(job = %id, %kind, %queue, attempt, reason, error, "job failed");
        }
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
