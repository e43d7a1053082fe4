//! The lines of a remote worker's log about failed attempts.

use std::sync::Arc;

use crate::job::{Assignment, Failure, JobId, truncate};
use crate::log_limit::LogLimit;

/// Most bytes of a failure's message in the log.
const MESSAGE_BYTES_MAX: usize = 256;

/// Logs failed attempts, at most some a second. Clones share the limit.
#[derive(Debug, Clone)]
pub(super) struct FailureLog(Arc<LogLimit>);

/// What the log has of an attempt.
pub(super) struct LoggedAttempt {
    job_id: JobId,
    kind: Arc<str>,
    queue: Arc<str>,
    attempt: u32,
}

impl LoggedAttempt {
    pub(super) fn of(assignment: &Assignment) -> Self {
        let Assignment { job_id, kind, queue, attempt, .. } = assignment;
        Self { job_id: *job_id, kind: kind.clone(), queue: queue.clone(), attempt: *attempt }
    }
}

impl Default for FailureLog {
    fn default() -> Self {
        let log_omitted =
            |omitted| tracing::warn!(omitted, "more attempts failed: at most 10 a second are logged");
        Self(Arc::new(LogLimit::new(log_omitted)))
    }
}

impl FailureLog {
    /// Logs the failure of an attempt. Those of the in-process pool are in the log of the server.
    pub(super) fn log(&self, attempt: &LoggedAttempt, failure: &Failure) {
        if !self.0.passes() {
            return;
        }
        let LoggedAttempt { job_id, kind, queue, attempt } = attempt;
        let (reason, mut error) = (failure.reason.name(), failure.log_message().to_owned());
        truncate(&mut error, MESSAGE_BYTES_MAX);
        let error_type = Some(&*failure.error_type).filter(|error_type| !error_type.is_empty());
        tracing::warn!(job = %job_id, %kind, %queue, attempt, reason, error_type, error, "attempt failed");
    }
}
