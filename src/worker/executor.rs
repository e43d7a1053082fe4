//! The desk that runs attempts: the same for orders of an engine's session and of a server elsewhere.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::handler::{self, AsyncHandler};
use super::link::Link;
use super::{JobContext, JobError};
use crate::job::{Assignment, AttemptEnd, LeaseId, Order, Stop};

pub(super) type ByKind<T> = HashMap<Arc<str>, T>;

/// Runs the attempts of one session.
pub(super) struct Desk {
    handlers: ByKind<AsyncHandler>,
    /// What a handler gets to stop when its lease is taken back without a cancel before: programs get time after TERM.
    revoke_grace: Duration,
    attempts: Attempts,
    /// The tasks of these attempts, and those of the whole worker.
    own_tasks: TaskTracker,
    tasks: TaskTracker,
    /// Ends every attempt by force.
    stop: CancellationToken,
}

/// The attempts that run, by lease.
type Attempts = Arc<Mutex<HashMap<LeaseId, Control>>>;

/// The end of an attempt whose lease is gone or whose worker stops: the job is to be run elsewhere.
pub(super) const GIVEN_BACK: AttemptEnd = AttemptEnd::Release(Duration::ZERO);

/// The two ways to end an attempt.
#[derive(Clone)]
struct Control {
    cancel: CancellationToken,
    force: CancellationToken,
}

impl Desk {
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

    /// Does as it is told, in order.
    pub(super) fn take(&self, orders: impl IntoIterator<Item = Order>, link: &Link) {
        for order in orders {
            match order {
                Order::Run(assignment) => self.run(*assignment, link.clone()),
                Order::Stop(lease, how) => self.end(lease, how),
            }
        }
    }

    /// The name of a kind that has a handler, to be shared.
    pub(super) fn known_kind(&self, kind: &str) -> Option<&Arc<str>> {
        self.handlers.get_key_value(kind).map(|(known, _)| known)
    }

    /// Ends an attempt, if it still runs.
    pub(super) fn end(&self, lease: LeaseId, how: Stop) {
        let Some(control) = self.attempts.lock().get(&lease).cloned() else { return };
        let was_cancelled = control.cancel.is_cancelled();
        control.cancel.cancel();
        match how {
            Stop::Cancel(_) => {}
            Stop::Revoke if was_cancelled || self.revoke_grace.is_zero() => control.force.cancel(),
            Stop::Revoke => force_in(control, self.revoke_grace),
        }
    }

    /// Ends an attempt by force after this long, for those to whom nobody else tells when.
    pub(super) fn force_in(&self, lease: LeaseId, after: Duration) {
        let control = self.attempts.lock().get(&lease).cloned();
        if let Some(control) = control {
            force_in(control, after);
        }
    }

    /// Takes every attempt back.
    pub(super) fn revoke_all(&self) {
        let leases: Vec<_> = self.attempts.lock().keys().copied().collect();
        for lease in leases {
            self.end(lease, Stop::Revoke);
        }
    }

    /// Ends every attempt by force now; their jobs are given back.
    pub(super) fn force_all(&self) {
        for control in self.attempts.lock().values() {
            // In this order, so that a handler that stops at once is seen to have been forced.
            control.force.cancel();
            control.cancel.cancel();
        }
    }

    /// Waits until no attempt runs.
    pub(super) async fn idle(&self) {
        self.own_tasks.wait().await;
    }

    /// Runs one attempt. Its control is there before its task, so that a stop finds it.
    pub(super) fn run(&self, assignment: Assignment, link: Link) {
        let lease = assignment.lease;
        let handler = self.handlers.get(&assignment.kind).cloned();
        let unknown = handler::unknown_kind(&assignment.kind);
        let control = Control { cancel: CancellationToken::new(), force: self.stop.child_token() };
        let attempts = self.attempts.clone();
        attempts.lock().insert(lease, control.clone());
        let context = JobContext::new(assignment, link.clone(), control.cancel);
        let attempt = async move {
            let attempt = async move {
                match handler {
                    Some(handler) => handler(context).await,
                    None => Err(JobError::of(unknown)),
                }
            };
            let end = tokio::select! {
                // The handler first: it sees its cancel once before it is dropped.
                biased;
                answer = AssertUnwindSafe(attempt).catch_unwind() => handler::attempt_end(answer),
                () = control.force.cancelled() => GIVEN_BACK,
            };
            let end = match end {
                AttemptEnd::Cancelled if control.force.is_cancelled() => GIVEN_BACK,
                end => end,
            };
            attempts.lock().remove(&lease);
            link.end(lease, end);
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
