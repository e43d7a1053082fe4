//! The one error type of the library: what went wrong, in a kind that callers match on.
//!
//! A job that fails is not an error here: that is an [`Outcome`](crate::job::Outcome).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::job::{JobId, JobState, Timestamp};

/// The result of every fallible call of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One field of a request that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, as in the proto: `job.retry.max_attempts`.
    pub field: String,
    /// What is wrong, the value, the limit and the way out.
    pub description: String,
}

/// What went wrong. Each kind has one gRPC code and one `ErrorInfo` reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// One or more fields break a rule; all of them are listed.
    InvalidField(Vec<Violation>),
    /// A payload, result or message is larger than its limit, in bytes.
    PayloadTooLarge {
        /// Path of the field.
        field: String,
        /// Its size in bytes.
        size: usize,
        /// The most it may have, in bytes.
        limit: usize,
    },
    /// No job has this id.
    JobNotFound(JobId),
    /// The job existed and was removed: its retention passed, or it was deleted.
    ResultExpired {
        /// The job.
        job_id: JobId,
        /// When it was removed.
        expire_time: Timestamp,
    },
    /// No queue has this name.
    QueueNotFound(String),
    /// No worker has this id or name.
    WorkerNotFound(String),
    /// The worker of this id or name is part of the server and cannot be drained alone.
    WorkerInServer(String),
    /// The same instance of the worker connected anew.
    WorkerReplaced,
    /// The worker was not heard of for too long.
    WorkerSilent,
    /// The id belongs to a job that was submitted with another spec.
    JobIdReused(JobId),
    /// The job's state forbids the call.
    IllegalState {
        /// The job.
        job_id: JobId,
        /// Its state now.
        state: JobState,
        /// The states in which the call is allowed.
        allowed: &'static str,
    },
    /// The lease no longer stands: the attempt ended, was revoked or ran out of time.
    LeaseLost,
    /// A bound of the server is reached; nothing was kept.
    ResourceExhausted {
        /// Which bound, in UPPER_SNAKE_CASE: `QUEUE_FULL`, `TOO_MANY_WATCHERS`.
        reason: &'static str,
        /// What is full: `server`, `queue:default`.
        subject: String,
        /// When a retry may succeed.
        retry_after: Duration,
    },
    /// The server is shutting down and takes no new work.
    Draining {
        /// When to try again, on another connection.
        retry_after: Duration,
    },
    /// The connection or the stream reached its age; resume on a new one.
    ConnectionClosing {
        /// When to resume.
        retry_after: Duration,
    },
    /// The disk of the log has no room; nothing was kept.
    DiskFull,
    /// A write, sync or read of the log failed; nothing is acknowledged by this process any more.
    LogFailed,
    /// The log lost what it had acknowledged, and does not go on as if it had not.
    LogDamaged {
        /// The file with the first damage.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
    },
    /// The directory cannot hold this log: in use by another process, read-only, foreign, or of a newer format.
    LogRefused,
    /// The request names a host that this server does not answer for.
    HostNotAllowed {
        /// The host, as the request names it.
        host: String,
    },
    /// The request comes from a web page that may not call this server.
    OriginNotAllowed {
        /// The origin of the page.
        origin: String,
    },
    /// The caller's deadline passed first; the job goes on.
    DeadlineExceeded,
    /// A bug in jobstream.
    Internal,
}

/// An error: a kind to match on and a message for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Box<ErrorKind>,
    message: String,
}

impl Error {
    /// An error of this kind; the message says what is wrong, the value, the limit and the way out.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind: Box::new(kind), message: message.into() }
    }

    /// An invalid request with a single violation.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        let violation = Violation { field: field.into(), description: description.into() };
        Self::violations(vec![violation])
    }

    /// An invalid request with every violation found.
    pub fn violations(violations: Vec<Violation>) -> Self {
        let lines: Vec<_> = violations
            .iter()
            .map(|violation| format!("{}: {}", violation.field, violation.description))
            .collect();
        Self::new(ErrorKind::InvalidField(violations), lines.join("; "))
    }

    /// What went wrong, to match on.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// What went wrong, for a person.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
