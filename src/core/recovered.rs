//! State of the recovery: what was read from the log and is needed until every job is restored.

use std::time::Duration;

use hashbrown::HashMap;

use super::keys::JobKey;
use super::moment::Moment;
use super::record::{Instance, Running};
use crate::job::{JobState, LeaseId};

/// The state of a recovery.
#[derive(Default)]
pub(super) struct Recovered {
    pub(super) running: HashMap<JobKey, Running>,
    /// The jobs of recovered leases. The key that is encoded in such a lease is not valid any more.
    pub(super) leases: HashMap<LeaseId, JobKey>,
    /// The number of the newest report of each worker, until [`Core::resume`] knows which workers have attempts.
    pub(super) reports_taken: HashMap<Instance, u64>,
    /// Jobs that ended in the entry that is replayed.
    pub(super) ended: Vec<JobKey>,
    /// Whether the log has a secret for minted ids.
    pub(super) has_secret: bool,
    /// The sum of all downtimes up to the entry that is replayed.
    pub(super) stopped: Duration,
}

impl Recovered {
    /// The deadline of a job in this state, with the downtime so far added if it elapses in this state.
    pub(super) fn deadline_with_downtime(&self, deadline: Duration, state: JobState) -> Moment {
        if elapses_during_downtime(state) {
            deadline.saturating_add(self.stopped).into()
        } else {
            deadline.into()
        }
    }
}

/// Whether deadlines in this state elapse while the server is down: start delays, back-offs and retention.
pub(super) fn elapses_during_downtime(state: JobState) -> bool {
    match state {
        JobState::Scheduled | JobState::Succeeded | JobState::Failed | JobState::Cancelled => true,
        JobState::Queued | JobState::Running => false,
    }
}
