//! What a caller asks for, parsed and complete.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{JobId, Kind, Payload, QueueName, RetryPolicy, Timestamp};

/// Largest and, negated, smallest priority.
pub const PRIORITY_MAX: i32 = 100;

/// A job to be submitted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Its id; minted on submit if the caller gave none.
    pub id: Option<JobId>,
    /// Which handler runs it.
    pub kind: Kind,
    /// Where it waits.
    pub queue: QueueName,
    /// Input of the handler.
    pub payload: Payload,
    /// -100 to 100; larger starts first.
    pub priority: i8,
    /// Everything that most jobs leave at its default; `None` when all of it is.
    pub options: Option<Arc<JobOptions>>,
}

/// The rarer parts of a job's spec.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobOptions {
    /// When it may start.
    pub start: Start,
    /// Longest time of one attempt; the server's default if `None`.
    pub attempt_timeout: Option<Duration>,
    /// Longest life of the job, from acceptance.
    pub timeout: Option<Duration>,
    /// What happens after a failed attempt.
    pub retry: RetryPolicy,
    /// How long the finished job is kept; the server's default if `None`.
    pub retention: Option<Duration>,
    /// For finding jobs again.
    pub labels: BTreeMap<String, String>,
    /// Handed to the handler.
    pub headers: BTreeMap<String, String>,
    /// The job this one was made from.
    pub origin: Option<JobId>,
}

/// When a job may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At once.
    #[default]
    Now,
    /// Not before this wall clock time.
    At(Timestamp),
    /// Not before this long after acceptance.
    After(Duration),
}

impl NewJob {
    /// A job of this kind in the default queue, with every option at its default.
    pub fn new(kind: Kind, payload: Payload) -> Self {
        let queue = QueueName::default();
        Self { id: None, kind, queue, payload, priority: 0, options: None }
    }

    /// The options, to be changed.
    pub fn options_mut(&mut self) -> &mut JobOptions {
        Arc::make_mut(self.options.get_or_insert_default())
    }
}
