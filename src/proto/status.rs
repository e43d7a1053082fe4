//! Converts errors to gRPC statuses: the code, reason and details of every [`ErrorKind`].
//!
//! Details are sent in a header, and peers refuse more than 8 KiB of headers. Every text here has a limit.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};
use uuid::Uuid;

use super::render;
use crate::error::{Error, ErrorKind, Violation};
use crate::job::{JobId, Timestamp, truncate};

/// Domain of every `ErrorInfo` of this service.
pub(crate) const DOMAIN: &str = "jobstream";
/// Trailing metadata with the delay before a retry, in milliseconds. gRPC retry policies read it.
pub(crate) const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Retry delay while the disk is full or the log has failed. An operator has to act.
const LOG_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Most bytes of a status message. Percent encoding may triple it.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Most bytes of one text in the details.
const VALUE_BYTES_MAX: usize = 256;
const FIELD_BYTES_MAX: usize = 128;
const VIOLATIONS_MAX: usize = 20;
const VIOLATIONS_BYTES_MAX: usize = 1280;

const JOB_TYPE: &str = "jobstream.v1.Job";
const QUEUE_TYPE: &str = "jobstream.v1.Queue";
const WORKER_TYPE: &str = "jobstream.v1.Worker";

/// Converts an error to the status of an RPC. With `boot_id`, a caller whose job is not found can detect a restart.
pub(crate) fn to_status(error: &Error, boot_id: &str) -> Status {
    let StatusParts { code, reason, note, facts, mut details, retry_after } = status_parts(error, boot_id);
    let mut metadata = MetadataMap::new();
    if let Some(delay) = retry_after {
        let millis = i32::try_from(delay.as_millis()).unwrap_or(i32::MAX);
        details.set_retry_info(Some(delay));
        metadata.insert(RETRY_PUSHBACK, MetadataValue::from(millis));
    }
    details.set_error_info(reason, DOMAIN, facts);
    let message = format!("{}{note}", truncated(error.message(), MESSAGE_BYTES_MAX));
    Status::with_error_details_and_metadata(code, message, details, metadata)
}

/// Converts a status to a status message, for one job of a batch.
pub(crate) fn to_rpc_status(status: &Status) -> tonic_types::Status {
    tonic_types::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::Status {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

/// The parts of a status, except the message of the error.
struct StatusParts {
    code: Code,
    reason: &'static str,
    /// Appended to the message.
    note: String,
    /// The metadata of `ErrorInfo`.
    facts: HashMap<String, String>,
    details: ErrorDetails,
    retry_after: Option<Duration>,
}

fn status_parts(error: &Error, boot_id: &str) -> StatusParts {
    let message = error.message();
    match error.kind() {
        ErrorKind::InvalidField(violations) => StatusParts::new(Code::InvalidArgument, "INVALID_FIELD")
            .detail(|details| details.set_bad_request(field_violations(violations))),
        ErrorKind::PayloadTooLarge { field, size, limit } => too_large(field, *size, *limit, message),
        ErrorKind::JobNotFound(id) => StatusParts::new(Code::NotFound, "JOB_NOT_FOUND")
            .fact("boot_id", boot_id)
            .resource(JOB_TYPE, id, message),
        ErrorKind::ResultExpired { job_id, expire_time } => result_expired(*job_id, *expire_time),
        ErrorKind::QueueNotFound(name) => {
            StatusParts::new(Code::NotFound, "QUEUE_NOT_FOUND").resource(QUEUE_TYPE, name, message)
        }
        ErrorKind::WorkerNotFound(name) => {
            StatusParts::new(Code::NotFound, "WORKER_NOT_FOUND").resource(WORKER_TYPE, name, message)
        }
        ErrorKind::WorkerInServer(name) => {
            StatusParts::new(Code::FailedPrecondition, "ILLEGAL_STATE").fact("worker", name)
        }
        ErrorKind::WorkerReplaced => StatusParts::new(Code::Aborted, "WORKER_REPLACED"),
        ErrorKind::WorkerSilent => StatusParts::new(Code::DeadlineExceeded, "WORKER_SILENT"),
        ErrorKind::JobIdReused(id) => {
            StatusParts::new(Code::AlreadyExists, "JOB_ID_REUSED").resource(JOB_TYPE, id, message)
        }
        ErrorKind::IllegalState { job_id, state, allowed } => {
            StatusParts::new(Code::FailedPrecondition, "ILLEGAL_STATE")
                .fact("job_id", job_id)
                .fact("state", state.name())
                .fact("allowed", allowed)
        }
        ErrorKind::LeaseLost => StatusParts::new(Code::FailedPrecondition, "LEASE_LOST"),
        ErrorKind::ResourceExhausted { reason, subject, retry_after } => {
            exhausted(reason, subject, *retry_after, message)
        }
        ErrorKind::Draining { retry_after } => {
            StatusParts::new(Code::Unavailable, "DRAINING").retry(*retry_after)
        }
        ErrorKind::ConnectionClosing { retry_after } => {
            StatusParts::new(Code::Unavailable, "CONNECTION_CLOSING").retry(*retry_after)
        }
        ErrorKind::DiskFull => StatusParts::new(Code::ResourceExhausted, "DISK_FULL").retry(LOG_RETRY_AFTER),
        ErrorKind::LogFailed => StatusParts::new(Code::Unavailable, "LOG_FAILED").retry(LOG_RETRY_AFTER),
        ErrorKind::LogDamaged { offset, .. } => {
            StatusParts::new(Code::DataLoss, "LOG_DAMAGED").fact("offset", offset)
        }
        ErrorKind::LogRefused => StatusParts::new(Code::FailedPrecondition, "LOG_REFUSED"),
        ErrorKind::TlsRequired => StatusParts::new(Code::FailedPrecondition, "TLS_REQUIRED"),
        ErrorKind::HostNotAllowed { host } => permission_denied("HOST_NOT_ALLOWED", "host", host),
        ErrorKind::OriginNotAllowed { origin } => permission_denied("ORIGIN_NOT_ALLOWED", "origin", origin),
        ErrorKind::Unauthenticated { reason } => StatusParts::new(Code::Unauthenticated, reason),
        ErrorKind::CredentialExpired { retry_after } => {
            StatusParts::new(Code::Unavailable, "CREDENTIAL_EXPIRED").retry(*retry_after)
        }
        ErrorKind::GrantMissing { grant } => permission_denied("GRANT_MISSING", "grant", grant),
        ErrorKind::Unsupported => StatusParts::new(Code::Unimplemented, "UNSUPPORTED"),
        ErrorKind::DeadlineExceeded => StatusParts::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        ErrorKind::Internal => internal(message),
    }
}

fn too_large(field: &str, size: usize, limit: usize, message: &str) -> StatusParts {
    StatusParts::new(Code::InvalidArgument, "PAYLOAD_TOO_LARGE")
        .fact("field", field)
        .fact("size", size)
        .fact("limit", limit)
        .detail(|details| details.set_bad_request(vec![FieldViolation::new(field, message)]))
}

fn result_expired(job_id: JobId, expire_time: Timestamp) -> StatusParts {
    StatusParts::new(Code::NotFound, "RESULT_EXPIRED")
        .fact("job_id", job_id)
        .fact("expire_time", render::timestamp(expire_time))
}

fn exhausted(reason: &'static str, subject: &str, retry_after: Duration, message: &str) -> StatusParts {
    StatusParts::new(Code::ResourceExhausted, reason).retry(retry_after).detail(|details| {
        let subject = truncated(subject, VALUE_BYTES_MAX);
        details.add_quota_failure_violation(subject, truncated(message, VALUE_BYTES_MAX))
    })
}

fn permission_denied(reason: &'static str, name: &'static str, value: &str) -> StatusParts {
    StatusParts::new(Code::PermissionDenied, reason).fact(name, value)
}

/// A bug. The status has a request id that the server also logs with the error.
fn internal(message: &str) -> StatusParts {
    let request_id = Uuid::now_v7().to_string();
    tracing::error!(request = %request_id, error = message, "internal error");
    let mut parts = StatusParts::new(Code::Internal, "INTERNAL");
    parts.note = format!("; report it with request id {request_id}");
    parts.detail(|details| details.set_request_info(request_id, ""))
}

impl StatusParts {
    fn new(code: Code, reason: &'static str) -> Self {
        let (facts, details) = (HashMap::new(), ErrorDetails::new());
        Self { code, reason, note: String::new(), facts, details, retry_after: None }
    }

    fn fact(mut self, key: &str, value: impl ToString) -> Self {
        self.facts.insert(key.to_owned(), truncated(&value.to_string(), VALUE_BYTES_MAX));
        self
    }

    fn retry(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    fn resource(self, resource_type: &str, name: impl ToString, message: &str) -> Self {
        let name = truncated(&name.to_string(), VALUE_BYTES_MAX);
        let description = truncated(message, VALUE_BYTES_MAX);
        self.detail(|details| details.set_resource_info(resource_type, name, "", description))
    }

    fn detail(mut self, set: impl FnOnce(&mut ErrorDetails) -> &mut ErrorDetails) -> Self {
        set(&mut self.details);
        self
    }
}

/// The first violations within the limits, and the number of the others.
fn field_violations(violations: &[Violation]) -> Vec<FieldViolation> {
    let mut shown = Vec::new();
    let mut bytes = 0;
    for violation in violations.iter().take(VIOLATIONS_MAX) {
        let field = truncated(&violation.field, FIELD_BYTES_MAX);
        let description = truncated(&violation.description, VALUE_BYTES_MAX);
        bytes += field.len() + description.len();
        if bytes > VIOLATIONS_BYTES_MAX {
            break;
        }
        shown.push(FieldViolation::new(field, description));
    }
    let more = violations.len() - shown.len();
    if more > 0 {
        shown.push(FieldViolation::new("", format!("{more} more violations are not listed")));
    }
    shown
}

fn truncated(text: &str, bytes_max: usize) -> String {
    const ELLIPSIS: &str = "…";
    let mut text = text.to_owned();
    if text.len() > bytes_max {
        truncate(&mut text, bytes_max - ELLIPSIS.len());
        text.push_str(ELLIPSIS);
    }
    text
}

#[cfg(test)]
mod tests;
