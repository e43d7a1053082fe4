//! Errors on the wire: the gRPC code, reason and details of every [`ErrorKind`].
//!
//! Details travel in a header and peers refuse more than 8 KiB of headers: every text here has a bound.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};
use uuid::Uuid;

use super::render;
use crate::error::{Error, ErrorKind, Violation};
use crate::job::cut;

/// Domain of every `ErrorInfo` of this service.
pub(crate) const DOMAIN: &str = "jobstream";
/// Trailing metadata that tells a client's retry policy how long to pause, in milliseconds.
pub(crate) const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

/// When to come back to a server whose disk is full or has failed: somebody has to see to it.
const LOG_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Most bytes of a status message; percent-encoded on the wire, it may take three times as many.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Most bytes of one value in the details.
const VALUE_BYTES_MAX: usize = 256;
const FIELD_BYTES_MAX: usize = 128;
const VIOLATIONS_MAX: usize = 20;
const VIOLATIONS_BYTES_MAX: usize = 1280;

const JOB_TYPE: &str = "jobstream.v1.Job";
const QUEUE_TYPE: &str = "jobstream.v1.Queue";
const WORKER_TYPE: &str = "jobstream.v1.Worker";

/// The status an RPC ends with. `boot_id` tells callers who miss a job whether the server was started anew.
pub(crate) fn to_status(error: &Error, boot_id: &str) -> Status {
    let Explained { code, reason, note, facts, mut details, retry_after } = explain(error, boot_id);
    let mut metadata = MetadataMap::new();
    if let Some(pause) = retry_after {
        let millis = i32::try_from(pause.as_millis()).unwrap_or(i32::MAX);
        details.set_retry_info(Some(pause));
        metadata.insert(RETRY_PUSHBACK, MetadataValue::from(millis));
    }
    details.set_error_info(reason, DOMAIN, facts);
    let message = format!("{}{note}", shortened(error.message(), MESSAGE_BYTES_MAX));
    Status::with_error_details_and_metadata(code, message, details, metadata)
}

/// The same as a message, for one job of many whose RPC goes on.
pub(crate) fn to_rpc_status(error: &Error, boot_id: &str) -> tonic_types::Status {
    let status = to_status(error, boot_id);
    tonic_types::Status::decode(status.details()).unwrap_or_else(|_| tonic_types::Status {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

/// What the wire says of an error beside its message.
struct Explained {
    code: Code,
    reason: &'static str,
    /// Follows the message.
    note: String,
    /// The metadata of `ErrorInfo`.
    facts: HashMap<String, String>,
    details: ErrorDetails,
    retry_after: Option<Duration>,
}

fn explain(error: &Error, boot_id: &str) -> Explained {
    let message = error.message();
    match error.kind() {
        ErrorKind::InvalidField(violations) => Explained::new(Code::InvalidArgument, "INVALID_FIELD")
            .detail(|details| details.set_bad_request(field_violations(violations))),
        ErrorKind::PayloadTooLarge { field, size, limit } => too_large(field, *size, *limit, message),
        ErrorKind::JobNotFound(id) => Explained::new(Code::NotFound, "JOB_NOT_FOUND")
            .fact("boot_id", boot_id)
            .resource(JOB_TYPE, id, message),
        ErrorKind::ResultExpired { job_id, expire_time } => Explained::new(Code::NotFound, "RESULT_EXPIRED")
            .fact("job_id", job_id)
            .fact("expire_time", render::timestamp(*expire_time)),
        ErrorKind::QueueNotFound(name) => {
            Explained::new(Code::NotFound, "QUEUE_NOT_FOUND").resource(QUEUE_TYPE, name, message)
        }
        ErrorKind::WorkerNotFound(name) => {
            Explained::new(Code::NotFound, "WORKER_NOT_FOUND").resource(WORKER_TYPE, name, message)
        }
        ErrorKind::WorkerInServer(name) => {
            Explained::new(Code::FailedPrecondition, "ILLEGAL_STATE").fact("worker", name)
        }
        ErrorKind::WorkerReplaced => Explained::new(Code::Aborted, "WORKER_REPLACED"),
        ErrorKind::WorkerSilent => Explained::new(Code::DeadlineExceeded, "WORKER_SILENT"),
        ErrorKind::JobIdReused(id) => {
            Explained::new(Code::AlreadyExists, "JOB_ID_REUSED").resource(JOB_TYPE, id, message)
        }
        ErrorKind::IllegalState { job_id, state, allowed } => {
            Explained::new(Code::FailedPrecondition, "ILLEGAL_STATE")
                .fact("job_id", job_id)
                .fact("state", state.name())
                .fact("allowed", allowed)
        }
        ErrorKind::LeaseLost => Explained::new(Code::FailedPrecondition, "LEASE_LOST"),
        ErrorKind::ResourceExhausted { reason, subject, retry_after } => {
            Explained::new(Code::ResourceExhausted, reason).retry(*retry_after).detail(|details| {
                let subject = shortened(subject, VALUE_BYTES_MAX);
                details.add_quota_failure_violation(subject, shortened(message, VALUE_BYTES_MAX))
            })
        }
        ErrorKind::Draining { retry_after } => {
            Explained::new(Code::Unavailable, "DRAINING").retry(*retry_after)
        }
        ErrorKind::ConnectionClosing { retry_after } => {
            Explained::new(Code::Unavailable, "CONNECTION_CLOSING").retry(*retry_after)
        }
        ErrorKind::DiskFull => Explained::new(Code::ResourceExhausted, "DISK_FULL").retry(LOG_RETRY_AFTER),
        ErrorKind::LogFailed => Explained::new(Code::Unavailable, "LOG_FAILED").retry(LOG_RETRY_AFTER),
        ErrorKind::LogDamaged { offset, .. } => {
            Explained::new(Code::DataLoss, "LOG_DAMAGED").fact("offset", offset)
        }
        ErrorKind::LogRefused => Explained::new(Code::FailedPrecondition, "LOG_REFUSED"),
        ErrorKind::HostNotAllowed { host } => denied("HOST_NOT_ALLOWED", "host", host),
        ErrorKind::OriginNotAllowed { origin } => denied("ORIGIN_NOT_ALLOWED", "origin", origin),
        ErrorKind::DeadlineExceeded => Explained::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        ErrorKind::Internal => internal(message),
    }
}

fn too_large(field: &str, size: usize, limit: usize, message: &str) -> Explained {
    Explained::new(Code::InvalidArgument, "PAYLOAD_TOO_LARGE")
        .fact("field", field)
        .fact("size", size)
        .fact("limit", limit)
        .detail(|details| details.set_bad_request(vec![FieldViolation::new(field, message)]))
}

fn denied(reason: &'static str, name: &'static str, value: &str) -> Explained {
    Explained::new(Code::PermissionDenied, reason).fact(name, value)
}

/// A bug: the caller gets an id that is also in the server's log, beside what happened.
fn internal(message: &str) -> Explained {
    let request_id = Uuid::now_v7().to_string();
    tracing::error!(request = %request_id, error = message, "internal error");
    let mut explained = Explained::new(Code::Internal, "INTERNAL");
    explained.note = format!("; report it with request id {request_id}");
    explained.detail(|details| details.set_request_info(request_id, ""))
}

impl Explained {
    fn new(code: Code, reason: &'static str) -> Self {
        let (facts, details) = (HashMap::new(), ErrorDetails::new());
        Self { code, reason, note: String::new(), facts, details, retry_after: None }
    }

    fn fact(mut self, key: &str, value: impl ToString) -> Self {
        self.facts.insert(key.to_owned(), shortened(&value.to_string(), VALUE_BYTES_MAX));
        self
    }

    fn retry(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    fn resource(self, resource_type: &str, name: impl ToString, message: &str) -> Self {
        let name = shortened(&name.to_string(), VALUE_BYTES_MAX);
        let description = shortened(message, VALUE_BYTES_MAX);
        self.detail(|details| details.set_resource_info(resource_type, name, "", description))
    }

    fn detail(mut self, set: impl FnOnce(&mut ErrorDetails) -> &mut ErrorDetails) -> Self {
        set(&mut self.details);
        self
    }
}

/// The first violations, as many as fit, and how many there are beside them.
fn field_violations(violations: &[Violation]) -> Vec<FieldViolation> {
    let mut shown = Vec::new();
    let mut bytes = 0;
    for violation in violations.iter().take(VIOLATIONS_MAX) {
        let field = shortened(&violation.field, FIELD_BYTES_MAX);
        let description = shortened(&violation.description, VALUE_BYTES_MAX);
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

fn shortened(text: &str, bytes_max: usize) -> String {
    const ELLIPSIS: &str = "…";
    let mut text = text.to_owned();
    if text.len() > bytes_max {
        cut(&mut text, bytes_max - ELLIPSIS.len());
        text.push_str(ELLIPSIS);
    }
    text
}

#[cfg(test)]
mod tests;
