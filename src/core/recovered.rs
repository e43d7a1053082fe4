//! What is known of an earlier run until every job has its place again.

use std::time::Duration;

use hashbrown::HashMap;
use uuid::Uuid;

use super::keys::JobKey;
use super::moment::Moment;
use super::record::Running;
use crate::job::{JobState, LeaseId};

/// Attempts that ran when the log ended.
#[derive(Default)]
pub(super) struct Recovered {
    pub(super) running: HashMap<JobKey, Running>,
    /// Where their jobs are now: a lease only tells where its job was when it was given.
    pub(super) leases: HashMap<LeaseId, JobKey>,
    /// The newest report of each worker, until [`Core::resume`] knows who still has attempts.
    pub(super) reports_taken: HashMap<Uuid, u64>,
    /// Jobs whose end was read in the present entry.
    pub(super) ended: Vec<JobKey>,
    /// The log has a secret for ids.
    pub(super) has_secret: bool,
    /// How long the server did not run, all times together, up to the present entry.
    pub(super) stopped: Duration,
}

impl Recovered {
    /// Where the job of a lease of an earlier life is.
    pub(super) fn find(&self, lease: LeaseId) -> Option<JobKey> {
        if self.leases.is_empty() { None } else { self.leases.get(&lease).copied() }
    }

    /// A deadline of a job in this state, on a clock that does not stand still while the server is down, where that counts.
    pub(super) fn on_running_clock(&self, deadline: Duration, state: JobState) -> Moment {
        if passes_while_stopped(state) {
            deadline.saturating_add(self.stopped).into()
        } else {
            deadline.into()
        }
    }

    /// The lease is over.
    pub(super) fn forget(&mut self, lease: LeaseId) {
        if !self.leases.is_empty() {
            self.leases.remove(&lease);
        }
    }
}

/// Whether what is due in this state comes nearer while the server is down: the end of a delay, of a back-off, of retention.
pub(super) fn passes_while_stopped(state: JobState) -> bool {
    match state {
        JobState::Scheduled | JobState::Succeeded | JobState::Failed | JobState::Cancelled => true,
        JobState::Queued | JobState::Running => false,
    }
}
