//! The error type of the library: a kind to match on, and a message for people.
//!
//! A failed job is not an error: it is an [`Outcome`](crate::job::Outcome).

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
    /// What is wrong with the value, the limit, and how to fix it.
    pub description: String,
}

/// The kind of an error. Each kind has one gRPC code and one `ErrorInfo` reason.
///
/// ```
/// use jobstream::error::ErrorKind;
/// use jobstream::job::JobId;
///
/// let error = JobId::parse("job_id", "seven").expect_err("not a UUID");
/// match error.kind() {
///     ErrorKind::InvalidField(violations) => assert_eq!(violations[0].field, "job_id"),
///     kind => panic!("unexpected {kind:?}"),
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// One or more fields break a rule. The list is complete.
    InvalidField(Vec<Violation>),
    /// A payload, result or message is larger than its limit, in bytes.
    PayloadTooLarge {
        /// Path of the field.
        field: String,
        /// Size of the value, in bytes.
        size: usize,
        /// Largest allowed size, in bytes.
        limit: usize,
    },
    /// No job has this id.
    JobNotFound(JobId),
    /// The job existed and was removed: its retention expired, or it was deleted.
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
    /// The worker with this id or name is part of the server and cannot be drained on its own.
    WorkerInServer(String),
    /// A newer stream of the same worker instance replaced this one, or a repeat of a waiting Lease call took its place.
    WorkerReplaced,
    /// The worker sent no heartbeat in time.
    WorkerSilent,
    /// The id belongs to a job with another spec.
    JobIdReused(JobId),
    /// The job's state forbids the call.
    IllegalState {
        /// The job.
        job_id: JobId,
        /// Its current state.
        state: JobState,
        /// The states in which the call is allowed.
        allowed: &'static str,
    },
    /// The lease is no longer valid: the attempt ended, or the lease was revoked or expired.
    LeaseLost,
    /// A limit of the server is reached. Nothing was stored.
    ResourceExhausted {
        /// The limit, in UPPER_SNAKE_CASE: `QUEUE_FULL`, `TOO_MANY_WATCHERS`.
        reason: &'static str,
        /// What is full: `server`, `queue:default`.
        subject: String,
        /// When a retry may succeed.
        retry_after: Duration,
    },
    /// The server is draining and accepts no new work.
    Draining {
        /// Delay until a retry on another connection.
        retry_after: Duration,
    },
    /// The connection is being closed. Resume on a new one.
    ConnectionClosing {
        /// Delay until the stream can be resumed.
        retry_after: Duration,
    },
    /// The disk of the log is full. Nothing was stored.
    DiskFull,
    /// A write, sync or read of the log failed. This process acknowledges nothing more.
    LogFailed,
    /// The log is damaged: acknowledged entries are missing. The log is not opened.
    LogDamaged {
        /// The file with the first damage.
        file: PathBuf,
        /// Position of the damage in the file, in bytes.
        offset: u64,
    },
    /// The directory cannot be used for the log: it is in use by another process, read-only, not a log directory, or of a
    /// newer format.
    LogRefused,
    /// The request arrived without TLS at a port that serves TLS only.
    TlsRequired,
    /// The request names a host that this server does not accept.
    HostNotAllowed {
        /// The host of the request.
        host: String,
    },
    /// The request comes from a web page that may not call this server.
    OriginNotAllowed {
        /// The origin of the page.
        origin: String,
    },
    /// The request has no valid credential.
    Unauthenticated {
        /// `CREDENTIAL_REQUIRED`, `CREDENTIAL_INVALID` or `CREDENTIAL_EXPIRED`.
        reason: &'static str,
    },
    /// The credential of a stream expired. Resume with a new credential.
    CredentialExpired {
        /// Delay until the stream can be resumed.
        retry_after: Duration,
    },
    /// The caller lacks a grant.
    GrantMissing {
        /// The grant that permits the call: `submit queue=billing kind=mail`.
        grant: String,
    },
    /// The program that the server is part of does not support the call.
    Unsupported,
    /// The caller's deadline passed. The job continues.
    DeadlineExceeded,
    /// A bug in jobstream.
    Internal,
}

/// An error: a kind to match on, and a message for people.
///
/// ```
/// use jobstream::error::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::DiskFull, "the disk is full: free space");
/// assert_eq!(*error.kind(), ErrorKind::DiskFull);
/// assert_eq!(error.to_string(), "the disk is full: free space");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Box<ErrorKind>,
    message: String,
}

impl Error {
    /// An error of this kind. The message names the value, the limit and how to fix it.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind: Box::new(kind), message: message.into() }
    }

    /// An invalid request with one violation.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        let violation = Violation { field: field.into(), description: description.into() };
        Self::violations(vec![violation])
    }

    /// An invalid request with these violations.
    pub fn violations(violations: Vec<Violation>) -> Self {
        let lines: Vec<_> = violations
            .iter()
            .map(|violation| format!("{}: {}", violation.field, violation.description))
            .collect();
        Self::new(ErrorKind::InvalidField(violations), lines.join("; "))
    }

    /// The kind of the error, to match on.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The message, for people.
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
