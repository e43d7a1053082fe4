//! Errors of commands that are refused.

use std::time::Duration;

use super::tombstones::Tombstone;
use crate::access::quota_exceeded;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{JobId, JobState};

/// The retry delay of callers when a bound is reached.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The retry delay of callers while the server drains.
pub(crate) const DRAINING_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Reports are refused from this sequence on, so that sequences are left for state changes.
pub(super) const REPORTS_END: u32 = u32::MAX - 1_000_000;

/// The error when a bound of the server is reached.
pub(super) fn full(reason: &'static str, message: String) -> Error {
    let subject = "server".to_owned();
    Error::new(ErrorKind::ResourceExhausted { reason, subject, retry_after: FULL_RETRY_AFTER }, message)
}

/// The error for an unknown job, and for one that the caller may not read.
pub(crate) fn job_not_found(id: JobId) -> Error {
    let message = format!("no job {id} here: it was never accepted, or was deleted");
    Error::new(ErrorKind::JobNotFound(id), message)
}

pub(super) fn too_many_events(id: JobId) -> Error {
    let kind = ErrorKind::ResourceExhausted {
        reason: "EVENTS_FULL",
        subject: format!("job:{id}"),
        retry_after: Duration::from_secs(3600),
    };
    Error::new(kind, format!("job {id} has {REPORTS_END} events, the limit: report less often"))
}

/// The error for a report under a lease that is not valid.
pub(crate) fn lease_lost() -> Error {
    let message = "the lease is not valid any more: stop the attempt and drop its result";
    Error::new(ErrorKind::LeaseLost, message)
}

pub(super) fn request_id_reused() -> Error {
    let description = "is that of another request: a repeat has the same name, kinds, queues, max_jobs and \
                       message_bytes_max; use a new UUID for each other request";
    Error::invalid("request_id", description)
}

pub(super) fn check_size(field: &str, size: usize, limit: usize) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    let message =
        format!("{field} is {size} bytes, the limit is {limit}: store it elsewhere and return a reference");
    Err(Error::new(ErrorKind::PayloadTooLarge { field: field.to_owned(), size, limit }, message))
}

pub(super) fn draining() -> Error {
    let kind = ErrorKind::Draining { retry_after: DRAINING_RETRY_AFTER };
    Error::new(kind, "the server is shutting down and takes no new jobs: try another one")
}

/// The error for a caller above its share of a reserve.
pub(super) fn reserved(reason: &'static str, what: &str, own: u64, reserve: u64, bound: u64) -> Error {
    let message = format!(
        "{own} {what} of this connection wait or run, and the last {reserve} of {bound} are reserved for connections that use \
         less: try again later"
    );
    full(reason, message)
}

/// The error for a principal with so much waiting work that one more job exceeds this limit of its quota.
pub(super) fn over_quota(principal: &str, own: u64, what: &str, option: &str, limit: u64) -> Error {
    let message = format!(
        "{own} {what} of principal {principal} wait or run, one more would exceed its quota of {limit}: submit again \
         when some have ended, or raise {option}"
    );
    quota_exceeded(principal, message, FULL_RETRY_AFTER)
}

pub(super) fn reused(id: JobId) -> Error {
    let message = format!(
        "job {id} was submitted with another spec, or by another principal: use a new job_id for another job"
    );
    Error::new(ErrorKind::JobIdReused(id), message)
}

pub(super) fn illegal_state(id: JobId, state: JobState, allowed: &'static str, verb: &str) -> Error {
    let message = format!("job {id} is {} and cannot be {verb}: it must be {allowed}", state.name());
    Error::new(ErrorKind::IllegalState { job_id: id, state, allowed }, message)
}

pub(super) fn result_expired(tombstone: &Tombstone) -> Error {
    let (id, expire_time) = (tombstone.id, tombstone.expire_time);
    let message = format!("job {id} ended and its retention passed, or it was deleted: its result is gone");
    Error::new(ErrorKind::ResultExpired { job_id: id, expire_time }, message)
}

pub(super) fn queue_not_found(name: &str) -> Error {
    let message = format!("no queue {name} here: a queue exists while it has jobs or is paused");
    Error::new(ErrorKind::QueueNotFound(name.to_owned()), message)
}

pub(crate) fn worker_not_found(id_or_name: &str) -> Error {
    let message = format!("no worker has the id or name {id_or_name}: ListWorkers returns all workers");
    Error::new(ErrorKind::WorkerNotFound(id_or_name.to_owned()), message)
}

pub(super) fn worker_in_server(id_or_name: &str) -> Error {
    let message = format!(
        "worker {id_or_name} is part of the server: pause its queues, or shut the server down, to drain it"
    );
    Error::new(ErrorKind::WorkerInServer(id_or_name.to_owned()), message)
}
