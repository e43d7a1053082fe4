//! The validated spec of a job to be submitted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{JobId, Kind, Payload, QueueName, RetryPolicy, Timestamp, TraceContext};

/// Largest priority. The smallest is its negative.
pub const PRIORITY_MAX: i32 = 100;

/// A job to be submitted.
///
/// ```
/// use std::time::Duration;
///
/// use jobstream::job::{Kind, NewJob, Payload, QueueName};
///
/// # fn main() -> jobstream::error::Result<()> {
/// let kind = Kind::parse("kind", "thumbnail")?;
/// let mut job = NewJob::new(kind, Payload::json_text(r#"{"width": 320}"#));
/// job.queue = QueueName::parse("queue", "images")?;
/// job.priority = 10;
/// job.options_mut().retry.max_attempts = 3;
/// job.options_mut().attempt_timeout = Some(Duration::from_secs(60));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// The job's id. If it is `None`, submit generates one.
    pub id: Option<JobId>,
    /// The kind, which selects the handler.
    pub kind: Kind,
    /// The queue in which the job waits.
    pub queue: QueueName,
    /// The input of the handler.
    pub payload: Payload,
    /// From -100 to 100; jobs with a higher priority start first.
    pub priority: i8,
    /// Less common options; `None` if all have their defaults.
    pub options: Option<Arc<JobOptions>>,
}

/// Less common options of a job.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobOptions {
    /// When the job may start.
    pub start: Start,
    /// Time limit of one attempt; the server's default if `None`.
    pub attempt_timeout: Option<Duration>,
    /// Time limit of the job with all its attempts, from acceptance.
    pub timeout: Option<Duration>,
    /// The retry policy.
    pub retry: RetryPolicy,
    /// How long the finished job is retained; the server's default if `None`.
    pub retention: Option<Duration>,
    /// Labels for job listings.
    pub labels: BTreeMap<String, String>,
    /// Headers for the handler.
    pub headers: BTreeMap<String, String>,
    /// The job that this job retries.
    pub origin: Option<JobId>,
    /// The trace context of the submitter. Two specs that differ only in it are the same.
    pub trace: Option<Arc<TraceContext>>,
}

/// When a job may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// Immediately.
    #[default]
    Now,
    /// At this wall clock time or later.
    At(Timestamp),
    /// After this delay from acceptance.
    After(Duration),
}

impl NewJob {
    /// A job of this kind in the default queue, with default options.
    pub fn new(kind: Kind, payload: Payload) -> Self {
        let queue = QueueName::default();
        Self { id: None, kind, queue, payload, priority: 0, options: None }
    }

    /// Mutable access to the options.
    pub fn options_mut(&mut self) -> &mut JobOptions {
        Arc::make_mut(self.options.get_or_insert_default())
    }

    /// Sets or removes the trace context.
    pub(crate) fn set_trace(&mut self, trace: Option<Arc<TraceContext>>) {
        if trace.is_some() || self.options.as_ref().is_some_and(|options| options.trace.is_some()) {
            self.options_mut().trace = trace;
        }
    }
}
