//! Runs the attempts of one session, of the in-process engine or of a remote server.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::handler::{self, AsyncHandler};
use super::report_sink::ReportSink;
use super::{JobContext, JobError};
use crate::job::{Assignment, AttemptEnd, Failure, JobId, LeaseId, Order, Stop};

pub(super) type ByKind<T> = HashMap<Arc<str>, T>;

/// Runs the attempts of one session.
pub(super) struct Executor {
    handlers: ByKind<AsyncHandler>,
    /// Time from the cancellation of a handler to its forced end, if its lease is revoked without an earlier cancel.
    /// Programs need it between TERM and KILL.
    revoke_grace: Duration,
    attempts: Attempts,
    /// The attempt tasks of this executor.
    own_tasks: TaskTracker,
    /// All tasks of the worker, those of other sessions included.
    tasks: TaskTracker,
    /// Ends every attempt by force.
    stop: CancellationToken,
}

/// The running attempts by lease.
type Attempts = Arc<Mutex<HashMap<LeaseId, Control>>>;

/// The end of an attempt whose lease is lost or whose worker stops. The job returns to its queue.
pub(super) const RELEASED: AttemptEnd = AttemptEnd::Release(Duration::ZERO);

/// Ends an attempt: `cancel` notifies its handler, `force` drops the handler at its next await.
#[derive(Clone)]
struct Control {
    cancel: CancellationToken,
    force: CancellationToken,
}

impl Executor {
    pub(super) fn new(
        handlers: ByKind<AsyncHandler>,
        revoke_grace: Duration,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let own_tasks = TaskTracker::new();
        own_tasks.close();
        Self { handlers, revoke_grace, attempts: Attempts::default(), own_tasks, tasks, stop }
    }

    /// Executes orders in sequence.
    pub(super) fn execute(&self, orders: impl IntoIterator<Item = Order>, sink: &ReportSink) {
        for order in orders {
            match order {
                Order::Run(assignment) => self.run(*assignment, sink.clone()),
                Order::Stop(lease, how) => self.stop_attempt(lease, how),
            }
        }
    }

    /// The shared name of a kind; `None` if no handler serves the kind.
    pub(super) fn known_kind(&self, kind: &str) -> Option<&Arc<str>> {
        self.handlers.get_key_value(kind).map(|(known, _)| known)
    }

    /// Cancels an attempt or revokes its lease. Does nothing if the attempt has ended.
    pub(super) fn stop_attempt(&self, lease: LeaseId, how: Stop) {
        let Some(control) = self.attempts.lock().get(&lease).cloned() else { return };
        let was_cancelled = control.cancel.is_cancelled();
        control.cancel.cancel();
        match how {
            Stop::Cancel(_) => {}
            Stop::Revoke if was_cancelled || self.revoke_grace.is_zero() => control.force.cancel(),
            Stop::Revoke => force_in(control, self.revoke_grace),
        }
    }

    /// Ends an attempt by force after this delay, unless it ends earlier.
    pub(super) fn force_in(&self, lease: LeaseId, after: Duration) {
        let control = self.attempts.lock().get(&lease).cloned();
        if let Some(control) = control {
            force_in(control, after);
        }
    }

    /// Stops every attempt as if its lease were revoked.
    pub(super) fn revoke_all(&self) {
        let leases: Vec<_> = self.attempts.lock().keys().copied().collect();
        for lease in leases {
            self.stop_attempt(lease, Stop::Revoke);
        }
    }

    /// Ends every attempt by force now. Their jobs are released.
    pub(super) fn force_all(&self) {
        for control in self.attempts.lock().values() {
            // `force` first: a handler that returns "cancelled" at once is then reported as released.
            control.force.cancel();
            control.cancel.cancel();
        }
    }

    /// Returns once no attempt runs.
    pub(super) async fn idle(&self) {
        self.own_tasks.wait().await;
    }

    /// Runs one attempt as a task. Its control is registered before the task starts, so no stop is missed.
    pub(super) fn run(&self, assignment: Assignment, sink: ReportSink) {
        let lease = assignment.lease;
        let handler = self.handlers.get(&assignment.kind).cloned();
        let unknown = handler::unknown_kind(&assignment.kind);
        let control = Control { cancel: CancellationToken::new(), force: self.stop.child_token() };
        let attempts = self.attempts.clone();
        attempts.lock().insert(lease, control.clone());
        let (job_id, kind, number) = (assignment.job_id, assignment.kind.clone(), assignment.attempt);
        let context = JobContext::new(assignment, sink.clone(), control.cancel);
        let attempt = async move {
            let attempt = async move {
                match handler {
                    Some(handler) => handler(context).await,
                    None => Err(JobError::of(unknown)),
                }
            };
            let end = tokio::select! {
                // The handler is polled first, so it observes its cancellation once before it is dropped.
                biased;
                returned = AssertUnwindSafe(attempt).catch_unwind() => handler::attempt_end(returned),
                () = control.force.cancelled() => RELEASED,
            };
            let end = match end {
                AttemptEnd::Cancelled if control.force.is_cancelled() => RELEASED,
                end => end,
            };
            attempts.lock().remove(&lease);
            if let (AttemptEnd::Failure(failure, _), ReportSink::Remote(_)) = (&end, &sink) {
                log_failure(job_id, &kind, number, failure);
            }
            sink.end(lease, end);
        };
        self.tasks.spawn(self.own_tasks.track_future(attempt));
    }
}

/// Logs the failure of a remote worker's attempt. Those of the in-process pool are in the log of the server.
fn log_failure(job_id: JobId, kind: &str, attempt: u32, failure: &Failure) {
    let (reason, error) = (failure.reason.name(), failure.log_message());
    tracing::warn!(job = %job_id, kind, attempt, reason, error, "attempt failed");
}

fn force_in(control: Control, after: Duration) {
    tokio::spawn(async move {
        let force = control.force;
        let _ = tokio::time::timeout(after, force.cancelled()).await;
        force.cancel();
    });
}
