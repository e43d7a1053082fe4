//! One attempt of a handler without a server: what it would have told one is kept.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Worker;
use super::desk::Desk;
use super::link::Link;
use crate::error::{Error, Result};
use crate::job::{Assignment, AttemptEnd, JobId, LeaseId, NewJob, Report};

/// How long an attempt may run if its job does not say.
const TIME_LEFT: Duration = Duration::from_secs(3600);

/// Keeps what an attempt tells.
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
            // Whoever rehearsed may have stopped listening.
            let _ = sender.send(end);
        }
    }
}

/// Runs one attempt of this job as the worker would; answers all that it told and how it ended.
///
/// # Errors
///
/// `InvalidField` if the worker has no handler for the job's kind.
pub(crate) async fn rehearse(
    worker: &Worker,
    job: NewJob,
    attempt: u32,
) -> Result<(Vec<Report>, AttemptEnd)> {
    let kind: Arc<str> = job.kind.as_str().into();
    let Some((handler, revoke_grace)) = worker.handler_of(&kind) else {
        return Err(Error::invalid("kind", format!("this worker has no handler for kind {kind}")));
    };
    let timeout = job.options.as_ref().and_then(|options| options.attempt_timeout);
    let assignment = Assignment {
        job_id: job.id.unwrap_or_else(JobId::mint),
        lease: LeaseId::parse(&"0".repeat(32)).ok_or_else(no_answer)?,
        attempt,
        kind: kind.clone(),
        queue: job.queue.as_str().into(),
        payload: job.payload,
        options: job.options,
        time_left: timeout.unwrap_or(TIME_LEFT),
    };
    let (sender, ended) = oneshot::channel();
    let recorder = Arc::new(Recorder { reports: Mutex::default(), end: Mutex::new(Some(sender)) });
    let stop = CancellationToken::new();
    // Who stops waiting stops the handler.
    let _stop_when_dropped = stop.clone().drop_guard();
    let desk = Desk::new([(kind, handler)].into(), revoke_grace, TaskTracker::new(), stop);
    desk.run(assignment, Link::Recorder(recorder.clone()));
    let end = ended.await.map_err(|_| no_answer())?;
    let reports = std::mem::take(&mut *recorder.reports.lock());
    Ok((reports, end))
}

fn no_answer() -> Error {
    Error::new(crate::error::ErrorKind::Internal, "the attempt ended without an answer")
}
