//! The errors of calls and of job results. A failed job and a failed call are different errors.

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
    /// The request breaks a rule: [`Error::violations`] lists each field. Nothing was stored.
    InvalidArgument,
    /// The job, its result, the queue or the worker does not exist, or no longer exists.
    NotFound,
    /// The id belongs to a job with another spec.
    AlreadyExists,
    /// The state of the job, or a lost lease, forbids the call.
    FailedPrecondition,
    /// A limit of the server is reached. Nothing was stored.
    ResourceExhausted,
    /// The server accepts no calls now, for example because it shuts down.
    Unavailable,
    /// No server answers at the address, or the connection broke during the call: it may or may not have arrived. Also HTTP
    /// status 429, 502, 503 and 504 of a proxy.
    Unreachable,
    /// No answer came in time: the call may or may not have arrived.
    DeadlineExceeded,
    /// The credentials are missing or invalid, or the function of the token failed. Also HTTP status 401 of a proxy.
    Unauthenticated,
    /// The caller may not do this. Also HTTP status 403 of a proxy.
    PermissionDenied,
    /// The server does not have this call: it is older than this client, or not a jobstream server. Also HTTP status 404.
    Unimplemented,
    /// A bug of the server; the message has the id to report it with.
    Internal,
    /// The response cannot be read: the server is newer than this client, or a proxy answered with another HTTP error.
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
    /// Set by the client: the server restarted since it had the job, and stores jobs in memory only.
    pub const SERVER_RESTARTED: &str = "SERVER_RESTARTED";
    /// The job was removed: its retention passed, or it was deleted.
    pub const RESULT_EXPIRED: &str = "RESULT_EXPIRED";
    /// The id belongs to a job that was submitted with another spec.
    pub const JOB_ID_REUSED: &str = "JOB_ID_REUSED";
    /// The job's state forbids the call.
    pub const ILLEGAL_STATE: &str = "ILLEGAL_STATE";
    /// The lease is no longer valid.
    pub const LEASE_LOST: &str = "LEASE_LOST";
    /// The server's limit of jobs or bytes is reached.
    pub const QUEUE_FULL: &str = "QUEUE_FULL";
    /// The server requires a credential, and the call had none.
    pub const CREDENTIAL_REQUIRED: &str = "CREDENTIAL_REQUIRED";
    /// The server does not know the credential.
    pub const CREDENTIAL_INVALID: &str = "CREDENTIAL_INVALID";
    /// The credential has expired. A stream ends with it as `Unavailable`: watches, waits and workers resume with a new one.
    pub const CREDENTIAL_EXPIRED: &str = "CREDENTIAL_EXPIRED";
    /// The credential does not allow the call; the message names the missing grant.
    pub const GRANT_MISSING: &str = "GRANT_MISSING";
    /// A quota of the caller is used up; [`Error::retry_after`](super::Error::retry_after) is when it has capacity again.
    pub const QUOTA: &str = "QUOTA";
    /// The server shuts down.
    pub const DRAINING: &str = "DRAINING";
    /// Set by the client: the address is plain text to a host that is not loopback, and a token is not sent there.
    pub const INSECURE_TOKEN: &str = "INSECURE_TOKEN";
    /// Set by the client: the function of the token failed.
    pub const TOKEN_UNAVAILABLE: &str = "TOKEN_UNAVAILABLE";
    /// Set by the client: the server's certificate is from an authority that the client does not trust.
    pub const UNKNOWN_CA: &str = "UNKNOWN_CA";
    /// Set by the client: the server's certificate is for another name, has expired, or is invalid otherwise.
    pub const INVALID_CERTIFICATE: &str = "INVALID_CERTIFICATE";
    /// Set by the client: the server requires a client certificate, or refuses that of the client.
    pub const CLIENT_CERTIFICATE: &str = "CLIENT_CERTIFICATE";
    /// Set by the client: the address begins with `https://`, but the server does not answer with TLS.
    pub const NOT_TLS: &str = "NOT_TLS";
    /// The address begins with `http://`, but the server serves TLS only.
    pub const TLS_REQUIRED: &str = "TLS_REQUIRED";
    /// Set by the client: an interceptor did not submit the job.
    pub const INTERCEPTED: &str = "INTERCEPTED";
    /// Set by the client: the TLS handshake failed for another reason.
    pub const TLS_FAILED: &str = "TLS_FAILED";
}

/// Whether a retry cannot help, because the certificates and the address stay as they are.
pub(super) fn is_of_certificates(reason: &str) -> bool {
    [reason::UNKNOWN_CA, reason::INVALID_CERTIFICATE, reason::NOT_TLS, reason::TLS_REQUIRED].contains(&reason)
}

/// Why a call failed: a kind and a reason to match on, and a message that names the server.
///
/// ```no_run
/// use jobstream::client::{Client, ErrorKind, reason};
///
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// match client.job("resize").submit::<()>().await {
///     Ok(job) => println!("accepted: {}", job.id()),
///     Err(error) if error.reason() == reason::QUEUE_FULL => println!("try again in {:?}", error.retry_after()),
///     Err(error) if error.kind() == ErrorKind::Unreachable => println!("no server: {error}"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(()) }
/// ```
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

    pub(crate) fn new(kind: ErrorKind, reason: &str, message: impl Into<String>) -> Self {
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

    /// The error of an interceptor that does not submit a job: `InvalidArgument` with the reason INTERCEPTED.
    pub fn of_interceptor(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, reason::INTERCEPTED, message)
    }

    pub(super) fn from_details(details: Details) -> Self {
        Self(Box::new(details))
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The reason, as in [`reason`]: `JOB_ID_REUSED`. Empty if the server sent none.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// What is wrong, at which server, and what to do.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The core of the message: the server's own text, or why there was no answer, such as `Connection refused`. Without
    /// the address and the advice, for programs that add their own.
    pub fn short_message(&self) -> &str {
        &self.0.short_message
    }

    /// The delay that the server requests before a retry.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Every field of the request that breaks a rule.
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// A value that the server sends beside its message, such as `limit` of PAYLOAD_TOO_LARGE or `state` of
    /// ILLEGAL_STATE.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.0.facts.get(name).map(String::as_str)
    }

    /// Whether the same call may succeed later. It does not mean that the call may be sent twice.
    pub fn is_transient(&self) -> bool {
        match self.kind() {
            ErrorKind::Unreachable => !is_of_certificates(self.reason()),
            ErrorKind::Unavailable => true,
            ErrorKind::ResourceExhausted => self.retry_after().is_some(),
            _ => false,
        }
    }

    /// Whether another token may be accepted.
    pub(super) fn is_refused_token(&self) -> bool {
        self.kind() == ErrorKind::Unauthenticated && self.reason() != reason::CLIENT_CERTIFICATE
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

/// Why there is no result of the requested type.
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
        /// Why, and whether by force.
        cancellation: Arc<Cancellation>,
    },
    /// The job has a result, but of another type; [`Job::payload`](super::Job::payload) gives it as it is.
    Mismatch {
        /// The job.
        job_id: JobId,
        /// Where the result differs from the type.
        message: String,
    },
    /// The call failed. The job is not affected.
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
                write!(f, "the result of job {job_id} has another type: {message}")
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
