//! Messages between a worker and the server: the session spec, the server's orders and the worker's frames.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{Assignment, AttemptEnd, Kind, LeaseId, QueueName, Report};
use crate::error::Result;

/// The parameters with which a worker opens a session.
#[derive(Debug, Clone)]
pub struct SessionSpec {
    /// The worker's name, shown with each attempt.
    pub name: String,
    /// The kinds that the session serves.
    pub kinds: Vec<Kind>,
    /// The queues that the session serves; all if `None`.
    pub queues: Option<Vec<QueueName>>,
    /// Most attempts that the session runs at a time.
    pub slots: u32,
}

/// The client of a remote worker's connection, and its message limits.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Client library and version.
    pub(crate) sdk: String,
    /// Network address.
    pub(crate) address: String,
    /// The principal of its calls; `None` if they are anonymous. Its sessions and leases belong to this principal.
    pub(crate) principal: Option<Arc<str>>,
    /// Largest assignment, in encoded bytes as an element of a message.
    pub(crate) assignment_bytes_max: usize,
    /// Most encoded bytes of the assignments in one response.
    pub(crate) response_bytes_max: usize,
}

impl Default for Peer {
    /// A peer without limits.
    fn default() -> Self {
        let (assignment_bytes_max, response_bytes_max) = (usize::MAX, usize::MAX);
        let (sdk, address) = (String::new(), String::new());
        Self { sdk, address, principal: None, assignment_bytes_max, response_bytes_max }
    }
}

/// The first message of a remote worker's connection.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    /// Identifies the session across reconnects of one worker process, among those of its principal.
    pub(crate) instance: Uuid,
    pub(crate) spec: SessionSpec,
    pub(crate) peer: Peer,
    /// Leases that the worker holds from an earlier connection.
    pub(crate) held: Vec<LeaseId>,
}

/// An order of the server to a worker.
#[derive(Debug)]
pub enum Order {
    /// Run an attempt.
    Run(Box<Assignment>),
    /// Stop the attempt with this lease. The attempt may have ended already.
    Stop(LeaseId, Stop),
}

impl Order {
    /// Upper bound of the encoded size of the order as an element of a message.
    pub(crate) fn wire_bytes_max(&self) -> usize {
        /// A lease id, a duration and a flag, with their tags and lengths.
        const STOP_BYTES_MAX: usize = 64;
        match self {
            Self::Run(assignment) => assignment.wire_bytes_max(),
            Self::Stop(..) => STOP_BYTES_MAX,
        }
    }
}

/// How a worker must stop an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A cancel was requested. The handler may clean up and is ended by force after this grace period.
    Cancel(Duration),
    /// The lease is revoked. The attempt is ended by force now and its outcome is ignored.
    Revoke,
}

/// Announces that a worker is assigned no more jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// Timeout for running attempts. The jobs of attempts that still run after it are released.
    pub within: Duration,
    /// Whether the server shuts down. If not, only this worker drains.
    pub server_shutdown: bool,
}

/// A message of a remote worker after its `Hello`.
#[derive(Debug, Default)]
pub(crate) struct WorkerFrame {
    pub(crate) slots: Option<u32>,
    /// Leases that a heartbeat renews.
    pub(crate) renewed: Vec<LeaseId>,
    pub(crate) accepted: Vec<LeaseId>,
    pub(crate) reports: Vec<AttemptReport>,
}

/// A numbered update of an attempt from a remote worker. Malformed content is an error.
#[derive(Debug)]
pub(crate) struct AttemptReport {
    pub(crate) sequence: u64,
    pub(crate) lease: LeaseId,
    pub(crate) update: Result<AttemptUpdate>,
}

/// A report of a running attempt, or its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AttemptUpdate {
    Report(Report),
    End(AttemptEnd),
}
