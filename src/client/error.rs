//! The errors of a call and of a job's result. That a job failed is told apart from a call that did.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::Status;

use super::status;
use crate::error::Violation;
use crate::job::{Cancellation, Failure, JobId};

/// The result of every call of the client.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request breaks a rule: [`Error::violations`] lists each field. Nothing was kept.
    InvalidArgument,
    /// The job, its result or the queue is not there, or not any more.
    NotFound,
    /// The id belongs to a job with another spec.
    AlreadyExists,
    /// The state of the job, or a lost lease, forbids the call.
    FailedPrecondition,
    /// A bound of the server is reached; nothing was kept.
    ResourceExhausted,
    /// The server is there and takes no calls now, for example because it shuts down.
    Unavailable,
    /// Nobody answers at the address, or the connection broke under the call: it may or may not have arrived.
    Unreachable,
    /// No answer came in time: the call may or may not have arrived.
    DeadlineExceeded,
    /// The server does not know who is calling.
    Unauthenticated,
    /// The caller may not do this.
    PermissionDenied,
    /// The server does not have this call: it is older than this client, or no jobstream server.
    Unimplemented,
    /// A bug of the server; the message has the id to report it with.
    Internal,
    /// The answer cannot be understood: the server is newer than this client.
    Unreadable,
}

/// Reasons to match on, as [`Error::reason`] gives them: the common ones of the server, and the client's own.
pub mod reason {
    /// A field breaks a rule.
    pub const INVALID_FIELD: &str = "INVALID_FIELD";
    /// A payload is larger than the server's limit.
    pub const PAYLOAD_TOO_LARGE: &str = "PAYLOAD_TOO_LARGE";
    /// No job has this id.
    pub const JOB_NOT_FOUND: &str = "JOB_NOT_FOUND";
    /// The client's own: the server was started anew since it knew the job, and keeps jobs in memory only.
    pub const SERVER_RESTARTED: &str = "SERVER_RESTARTED";
    /// The job was removed: its retention passed, or it was deleted.
    pub const RESULT_EXPIRED: &str = "RESULT_EXPIRED";
    /// The id belongs to a job that was submitted with another spec.
    pub const JOB_ID_REUSED: &str = "JOB_ID_REUSED";
    /// The job's state forbids the call.
    pub const ILLEGAL_STATE: &str = "ILLEGAL_STATE";
    /// The lease no longer stands.
    pub const LEASE_LOST: &str = "LEASE_LOST";
    /// The server holds as many jobs or bytes as it may.
    pub const QUEUE_FULL: &str = "QUEUE_FULL";
    /// The server shuts down.
    pub const DRAINING: &str = "DRAINING";
}

/// Why a call failed: a kind and a reason to match on, and a message for a person that names the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Details>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Details {
    pub(super) kind: ErrorKind,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) short_message: String,
    pub(super) retry_after: Option<Duration>,
    pub(super) violations: Vec<Violation>,
    pub(super) facts: HashMap<String, String>,
}

impl Error {
    /// The error that a status of the server at `address` means. For calls made with the generated stubs, over
    /// [`Client::channel`](super::Client::channel): the client's own calls return it already.
    pub fn from_status(status: &Status, address: &str) -> Self {
        status::from_status(status, address)
    }

    pub(super) fn new(kind: ErrorKind, reason: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::from_details(Details {
            kind,
            reason: reason.to_owned(),
            short_message: message.clone(),
            message,
            retry_after: None,
            violations: Vec::new(),
            facts: HashMap::new(),
        })
    }

    pub(super) fn from_details(details: Details) -> Self {
        Self(Box::new(details))
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What exactly, as in [`reason`]: `JOB_ID_REUSED`. Empty if the server gave none.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// What is wrong, where, and the way out.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The core of the message: the server's own text, or why there was no answer, such as `Connection refused`. Without
    /// the address and the advice, for programs that add their own.
    pub fn short_message(&self) -> &str {
        &self.0.short_message
    }

    /// When the server asks to try again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Every field of the request that breaks a rule.
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// A fact that the server tells beside its message, such as `limit` of PAYLOAD_TOO_LARGE or `state` of
    /// ILLEGAL_STATE.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.0.facts.get(name).map(String::as_str)
    }

    /// Whether the same call may succeed a little later. Whether it may be sent twice is another question.
    pub fn is_transient(&self) -> bool {
        match self.kind() {
            ErrorKind::Unavailable | ErrorKind::Unreachable => true,
            ErrorKind::ResourceExhausted => self.retry_after().is_some(),
            _ => false,
        }
    }

    /// The same error with another core of its message.
    pub(super) fn with_short_message(mut self, text: &str) -> Self {
        self.0.short_message = text.to_owned();
        self
    }

    /// The same error, after the client's own retries.
    pub(super) fn given_up(mut self, after: &str) -> Self {
        self.0.message = format!("{}; gave up after {after}", self.0.message);
        self
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { kind, reason, message, .. } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("reason", reason)
            .field("message", message)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

/// Why there is no result of the type that was asked for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ResultError {
    /// The job ended with a failure.
    Failed {
        /// The job.
        job_id: JobId,
        /// Why its last attempt failed.
        failure: Arc<Failure>,
    },
    /// The job was cancelled.
    Cancelled {
        /// The job.
        job_id: JobId,
        /// By what, and whether by force.
        cancellation: Arc<Cancellation>,
    },
    /// The job has a result, but of another type; [`Job::payload`](super::Job::payload) gives it as it is.
    Mismatch {
        /// The job.
        job_id: JobId,
        /// Where the result differs from the type.
        message: String,
    },
    /// The end could not be learned. The job goes on.
    Call(Error),
}

impl fmt::Display for ResultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { job_id, failure } => {
                let Failure { reason, message, attempt, .. } = &**failure;
                write!(f, "job {job_id} failed in attempt {attempt}: {message} ({})", reason.name())
            }
            Self::Cancelled { job_id, cancellation } => {
                let how = if cancellation.forced { "by force" } else { "in good order" };
                let reason = &cancellation.reason;
                write!(f, "job {job_id} was cancelled {how}, reason \"{}\"", reason.escape_debug())
            }
            Self::Mismatch { job_id, message } => {
                write!(f, "the result of job {job_id} is of another type: {message}")
            }
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ResultError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Call(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for ResultError {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}
