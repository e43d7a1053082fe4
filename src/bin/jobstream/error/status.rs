//! Turns a gRPC status into an error for a person. Decides which exit code a code and reason mean.

use std::error::Error as StdError;
use std::time::Duration;

use tonic::{Code, Status, TimeoutExpired};
use tonic_types::{ErrorDetails, StatusExt};

use super::Error;
use crate::exit::Exit;
use crate::output::text;

/// The domain of every reason jobstream gives.
const DOMAIN: &str = "jobstream";

/// Who an error comes from, as far as a caller's next step depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The server said so, with a reason of ours: `QUEUE_FULL`.
    Server(String),
    /// The connection broke, nobody answered in time, or something between us and the server spoke up.
    Transport,
    /// The peer gave a code and no reason of ours.
    Peer,
}

/// Who this status comes from.
pub(crate) fn cause(status: &Status) -> Cause {
    if let Some(info) = status.get_details_error_info().filter(|info| info.domain == DOMAIN) {
        return Cause::Server(info.reason);
    }
    if status.source().is_some() || matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) {
        return Cause::Transport;
    }
    Cause::Peer
}

/// Whether it is the transport's own word that the deadline passed, which it calls a cancellation.
pub(crate) fn is_timeout(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<TimeoutExpired>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// How long the server asks to wait before the next try.
pub(crate) fn retry_delay(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

/// The end of a chain of sources: `Connection refused (os error 111)`.
pub(crate) fn innermost(error: &dyn StdError) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// An error that tells what the server, named by `address`, said; or that it could not be reached.
pub(crate) fn from_status(status: &Status, address: &str) -> Error {
    let details = status.get_error_details();
    let mut error = match cause(status) {
        Cause::Server(reason) => refused(status, &reason, &details),
        Cause::Transport => unreachable(status, address),
        Cause::Peer => unexplained(status, address),
    };
    for violation in details.bad_request().into_iter().flat_map(|request| &request.field_violations) {
        error = error.detail(format!("{}: {}", violation.field, violation.description));
    }
    for violation in details.quota_failure().into_iter().flat_map(|failure| &failure.violations) {
        error = error.detail(format!("{}: {}", violation.subject, violation.description));
    }
    error
}

fn refused(status: &Status, reason: &str, details: &ErrorDetails) -> Error {
    let error = Error::new(exit_of(status.code(), reason), format!("{} ({reason})", status.message()));
    let facts = details.error_info().map(|info| &info.metadata);
    let names_worker = facts.is_some_and(|facts| facts.contains_key("worker"));
    let error = match hint_for(reason, names_worker) {
        Some(hint) => error.hint(hint),
        None => error,
    };
    match details.retry_info().and_then(|info| info.retry_delay) {
        Some(delay) => error.hint(format!("the server asks to try again in {}", text::duration(delay))),
        None => error,
    }
}

fn exit_of(code: Code, reason: &str) -> Exit {
    match (code, reason) {
        (_, "RESULT_EXPIRED") => Exit::Expired,
        (Code::InvalidArgument | Code::OutOfRange, _) => Exit::Usage,
        (Code::Unauthenticated | Code::PermissionDenied, _) => Exit::Auth,
        (Code::NotFound, _) => Exit::NotFound,
        (Code::Unavailable | Code::ResourceExhausted, _) => Exit::Rejected,
        (Code::DeadlineExceeded, _) => Exit::Unreachable,
        _ => Exit::Other,
    }
}

fn hint_for(reason: &str, names_worker: bool) -> Option<&'static str> {
    Some(match reason {
        "JOB_NOT_FOUND" => {
            "in memory mode a restart forgets every job; `jobstream jobs ls` lists those there are"
        }
        "QUEUE_NOT_FOUND" => "`jobstream queues ls` lists the queues there are",
        "WORKER_NOT_FOUND" => "`jobstream workers ls` lists the workers there are",
        "WORKERS_FULL" => "the server's --workers-max sets the limit",
        "ILLEGAL_STATE" if names_worker => {
            "`jobstream queues pause` holds jobs back from the server's own workers (link POOL)"
        }
        "RESULT_EXPIRED" => {
            "the job ended, and its retention has passed: `jobstream submit --retention 1d` keeps a result longer"
        }
        "JOB_ID_REUSED" => "leave --job-id out, or give the same job again in full",
        "PAYLOAD_TOO_LARGE" => "store it elsewhere and submit a reference; `jobstream info` tells the limit",
        "DRAINING" => "the server is shutting down",
        _ => return None,
    })
}

fn unreachable(status: &Status, address: &str) -> Error {
    if status.code() == Code::DeadlineExceeded {
        return Error::new(Exit::Unreachable, format!("the server at {address} did not answer in time"))
            .hint("allow it more time with --rpc-timeout");
    }
    let why = status.source().map_or_else(|| status.message().to_owned(), innermost);
    Error::new(Exit::Unreachable, format!("lost the server at {address}: {why}"))
}

fn unexplained(status: &Status, address: &str) -> Error {
    let code = status.code();
    let message = match status.message() {
        "" => format!("the server at {address} answered {code:?}"),
        message => format!("{message} ({code:?})"),
    };
    let error = Error::new(exit_of(code, ""), message);
    match code {
        Code::Unimplemented => {
            error.hint(format!("is this a jobstream server, and as new as this one? {address}"))
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn status(code: Code, reason: &str) -> Status {
        let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
        Status::with_error_details(code, "it says so", details)
    }

    #[test]
    fn every_kind_of_refusal_has_its_exit_code() {
        let cases = [
            (Code::InvalidArgument, "INVALID_FIELD", Exit::Usage),
            (Code::Unauthenticated, "", Exit::Auth),
            (Code::PermissionDenied, "", Exit::Auth),
            (Code::NotFound, "JOB_NOT_FOUND", Exit::NotFound),
            (Code::NotFound, "RESULT_EXPIRED", Exit::Expired),
            (Code::ResourceExhausted, "QUEUE_FULL", Exit::Rejected),
            (Code::Unavailable, "DRAINING", Exit::Rejected),
            (Code::AlreadyExists, "JOB_ID_REUSED", Exit::Other),
            (Code::FailedPrecondition, "ILLEGAL_STATE", Exit::Other),
            (Code::Internal, "INTERNAL", Exit::Other),
        ];
        for (code, reason, exit) in cases {
            assert_eq!(from_status(&status(code, reason), "here").exit, exit, "{code:?} {reason}");
        }
    }

    #[test]
    fn a_silent_or_foreign_unavailable_is_no_refusal() {
        let error = from_status(&Status::unavailable("no healthy upstream"), "http://h:1 (from --address)");
        assert_eq!(error.exit, Exit::Unreachable);
        assert_eq!(error.message, "lost the server at http://h:1 (from --address): no healthy upstream");
        let error = from_status(&Status::deadline_exceeded(""), "http://h:1");
        assert_eq!(error.exit, Exit::Unreachable);
        assert_eq!(error.message, "the server at http://h:1 did not answer in time");
    }

    #[test]
    fn every_violation_and_the_reason_are_shown() {
        let mut details = ErrorDetails::with_error_info("INVALID_FIELD", DOMAIN, HashMap::new());
        details.add_bad_request_violation("job.kind", "is empty");
        details.add_bad_request_violation("job.priority", "is 200, limit is 100");
        let status = Status::with_error_details(Code::InvalidArgument, "2 fields are wrong", details);
        let error = from_status(&status, "here");
        assert_eq!(error.message, "2 fields are wrong (INVALID_FIELD)");
        assert_eq!(error.details, ["job.kind: is empty", "job.priority: is 200, limit is 100"]);
    }

    #[test]
    fn the_servers_retry_delay_becomes_a_hint() {
        let mut details = ErrorDetails::with_error_info("QUEUE_FULL", DOMAIN, HashMap::new());
        details.set_retry_info(Some(Duration::from_secs(2)));
        let status = Status::with_error_details(Code::ResourceExhausted, "full", details);
        assert_eq!(retry_delay(&status), Some(Duration::from_secs(2)));
        assert_eq!(from_status(&status, "here").hints, ["the server asks to try again in 2s"]);
    }
}
