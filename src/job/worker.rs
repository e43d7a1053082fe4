//! What a worker and the server say to each other: an introduction, orders, and the frames that the worker sends.

use std::time::Duration;

use uuid::Uuid;

use super::{Assignment, AttemptEnd, Kind, LeaseId, QueueName, Report};
use crate::error::Result;

/// What a worker asks for when it opens a session.
#[derive(Debug, Clone)]
pub struct SessionSpec {
    /// For people: shown with each attempt.
    pub name: String,
    /// The kinds it has handlers for.
    pub kinds: Vec<Kind>,
    /// The queues it serves; all if `None`.
    pub queues: Option<Vec<QueueName>>,
    /// How many attempts it runs at a time.
    pub slots: u32,
}

/// The program at the other end of a remote worker's connection, and how much it reads.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Library and version it is built with.
    pub(crate) sdk: String,
    /// Where it connected from.
    pub(crate) address: String,
    /// Largest assignment it reads, in bytes as an element of a message.
    pub(crate) assignment_bytes_max: usize,
    /// Most bytes of several assignments in one answer to it.
    pub(crate) response_bytes_max: usize,
}

impl Default for Peer {
    /// One without a limit.
    fn default() -> Self {
        let (assignment_bytes_max, response_bytes_max) = (usize::MAX, usize::MAX);
        Self { sdk: String::new(), address: String::new(), assignment_bytes_max, response_bytes_max }
    }
}

/// A remote worker's introduction.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    /// The run of the worker's process: the same when it connects again.
    pub(crate) instance: Uuid,
    pub(crate) spec: SessionSpec,
    pub(crate) peer: Peer,
    /// Leases it holds from an earlier connection.
    pub(crate) held: Vec<LeaseId>,
}

/// An instruction to a worker.
#[derive(Debug)]
pub enum Order {
    /// Run an attempt.
    Run(Box<Assignment>),
    /// End the attempt with this lease; it may have ended already.
    Stop(LeaseId, Stop),
}

impl Order {
    /// Bytes of the order as an element of a message, at most.
    pub(crate) fn wire_bytes_max(&self) -> usize {
        /// A lease, a time and a flag, with their tags and lengths.
        const STOP_BYTES_MAX: usize = 64;
        match self {
            Self::Run(assignment) => assignment.wire_bytes_max(),
            Self::Stop(..) => STOP_BYTES_MAX,
        }
    }
}

/// Why a worker must end an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A cancel was requested: the handler may clean up, and is ended by force after this long.
    Cancel(Duration),
    /// The lease is revoked: the attempt no longer counts and ends by force now.
    Revoke,
}

/// That a worker gets no further jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// How long running attempts may take; those that still run then are returned.
    pub within: Duration,
    /// Whether the whole server shuts down, or only this worker is to end.
    pub server_shutdown: bool,
}

/// One message of a remote worker after its introduction.
#[derive(Debug, Default)]
pub(crate) struct WorkerFrame {
    pub(crate) slots: Option<u32>,
    /// Leases to keep alive.
    pub(crate) renewed: Vec<LeaseId>,
    pub(crate) accepted: Vec<LeaseId>,
    pub(crate) reports: Vec<AttemptReport>,
}

/// An update about an attempt, as a remote worker numbers it. An update whose content is malformed is an error.
#[derive(Debug)]
pub(crate) struct AttemptReport {
    pub(crate) sequence: u64,
    pub(crate) lease: LeaseId,
    pub(crate) update: Result<AttemptUpdate>,
}

/// A report while the attempt runs, or its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AttemptUpdate {
    Report(Report),
    End(AttemptEnd),
}
