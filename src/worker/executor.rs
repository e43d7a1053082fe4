//! Runs the attempts of one session, of the in-process engine or of a remote server.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::failure_log::{FailureLog, LoggedAttempt};
use super::handler::{self, AsyncHandler};
use super::report_sink::ReportSink;
use super::settled::{self, Settled};
use super::{JobContext, JobError};
use crate::job::{Assignment, AttemptEnd, LeaseId, Order, Stop};

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
    failure_log: FailureLog,
}

/// The running attempts by lease.
pub(super) type Attempts = Arc<Mutex<HashMap<LeaseId, Running>>>;

/// A running attempt.
pub(super) struct Running {
    control: Control,
    pub(super) settled: Settled,
}

/// The end of an attempt whose lease is lost or whose worker stops. The job returns to its queue.
pub(super) const RELEASED: AttemptEnd = AttemptEnd::Release(Duration::ZERO);

/// Ends an attempt: `cancel` notifies its handler, `force` drops the handler at its next await.
#[derive(Clone)]
struct Control {
    cancel: CancellationToken,
    force: CancellationToken,
}

impl Executor {
    pub(super) fn new(handlers: ByKind<AsyncHandler>, revoke_grace: Duration, tasks: TaskTracker) -> Self {
        let own_tasks = TaskTracker::new();
        own_tasks.close();
        let stop = CancellationToken::new();
        let (attempts, failure_log) = (Attempts::default(), FailureLog::default());
        Self { handlers, revoke_grace, attempts, own_tasks, tasks, stop, failure_log }
    }

    /// A guard that ends every attempt by force when it is dropped.
    pub(super) fn stop_guard(&self) -> DropGuard {
        self.stop.clone().drop_guard()
    }

    /// Cancelled when the executor is stopped.
    #[cfg(feature = "server")]
    pub(super) fn stopped(&self) -> &CancellationToken {
        &self.stop
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
        let Some(control) = self.control(lease) else { return };
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
        if let Some(control) = self.control(lease) {
            force_in(control, after);
        }
    }

    fn control(&self, lease: LeaseId) -> Option<Control> {
        self.attempts.lock().get(&lease).map(|running| running.control.clone())
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
        for Running { control, .. } in self.attempts.lock().values() {
            // `force` first: a handler that returns "cancelled" at once is then reported as released.
            control.force.cancel();
            control.cancel.cancel();
        }
    }

    /// Ends every attempt by force, also those that start later. The session must have no slots: a released job would be
    /// assigned to it again.
    pub(super) fn stop(&self) {
        self.force_all();
        self.stop.cancel();
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
        attempts.lock().insert(lease, Running { control: control.clone(), settled: Settled::default() });
        let (failure_log, logged) = (self.failure_log.clone(), LoggedAttempt::of(&assignment));
        let context = JobContext::new(assignment, sink.clone(), control.cancel, attempts.clone());
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
            let settled =
                attempts.lock().remove(&lease).map_or_else(Settled::default, |running| running.settled);
            if let (AttemptEnd::Failure(failure, _), ReportSink::Remote(_)) = (&end, &sink) {
                failure_log.log(&logged, failure);
            }
            if end == RELEASED && control.force.is_cancelled() {
                // What the handler would have returned is not used.
                settled.call(&Err(settled::lease_lost()));
                sink.end(lease, end, Settled::default()).await;
            } else {
                sink.end(lease, end, settled).await;
            }
        };
        self.tasks.spawn(self.own_tasks.track_future(attempt));
    }
}

fn force_in(control: Control, after: Duration) {
    tokio::spawn(async move {
        let force = control.force;
        let _ = tokio::time::timeout(after, force.cancelled()).await;
        force.cancel();
    });
}
