//! Runs one attempt of a handler without a server and records its reports.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::Worker;
use super::executor::Executor;
use super::report_sink::ReportSink;
use crate::error::{Error, Result};
use crate::job::{Assignment, AttemptEnd, JobId, LeaseId, NewJob, Report};

/// Time limit of an attempt whose job has no attempt timeout.
const DEFAULT_TIME_LEFT: Duration = Duration::from_secs(3600);

/// Records the reports and the end of an attempt.
pub(super) struct Recorder {
    reports: Mutex<Vec<Report>>,
    end: Mutex<Option<oneshot::Sender<AttemptEnd>>>,
}

impl Recorder {
    pub(super) fn report(&self, report: Report) {
        self.reports.lock().push(report);
    }

    pub(super) fn end(&self, end: AttemptEnd) {
        if let Some(sender) = self.end.lock().take() {
            // The receiver is gone if the dry run was dropped.
            let _ = sender.send(end);
        }
    }
}

/// Runs one attempt of this job as the worker would. Returns its reports and its end.
///
/// # Errors
///
/// `InvalidField` if the worker has no handler for the job's kind.
pub(crate) async fn dry_run(worker: &Worker, job: NewJob, attempt: u32) -> Result<(Vec<Report>, AttemptEnd)> {
    let kind: Arc<str> = job.kind.as_str().into();
    let Some((handler, revoke_grace)) = worker.handler_of(&kind) else {
        return Err(Error::invalid("kind", format!("this worker has no handler for kind {kind}")));
    };
    let timeout = job.options.as_ref().and_then(|options| options.attempt_timeout);
    let assignment = Assignment {
        job_id: job.id.unwrap_or_else(JobId::mint),
        lease: LeaseId::parse(&"0".repeat(32)).ok_or_else(no_end)?,
        attempt,
        kind: kind.clone(),
        queue: job.queue.as_str().into(),
        payload: job.payload,
        options: job.options,
        time_left: timeout.unwrap_or(DEFAULT_TIME_LEFT),
    };
    let (sender, ended) = oneshot::channel();
    let recorder = Arc::new(Recorder { reports: Mutex::default(), end: Mutex::new(Some(sender)) });
    let executor = Executor::new([(kind, handler)].into(), revoke_grace, TaskTracker::new());
    // Dropping this future ends the handler.
    let _stop_when_dropped = executor.stop_guard();
    executor.run(assignment, ReportSink::Recorder(recorder.clone()));
    let end = ended.await.map_err(|_| no_end())?;
    let reports = std::mem::take(&mut *recorder.reports.lock());
    Ok((reports, end))
}

fn no_end() -> Error {
    Error::new(crate::error::ErrorKind::Internal, "the attempt ended without a result")
}
