//! Turns a gRPC status into an [`Error`]: by its source (server, proxy or transport), reason and details.

use std::error::Error as StdError;

use tonic::{Code, Status, TimeoutExpired};
use tonic_types::{ErrorDetails, RpcStatusExt, StatusExt};

use super::channel::HttpError;
use super::credentials::TokenError;
use super::error::{self, Details, Error, ErrorKind, reason};
use crate::error::Violation;
use crate::proto::status::DOMAIN;

/// In the text of h2's error for bytes that are not HTTP/2, such as those of TLS.
const FRAME_ERROR: &str = "frame with invalid size";

/// The error for the status of a call to the server at `address`.
pub(super) fn from_status(status: &Status, address: &str) -> Error {
    if is_timeout(status) {
        return timed_out(address);
    }
    if let Some(error) = status.source().and_then(|source| source.downcast_ref()) {
        return from_http(status, error, address);
    }
    if let Some(error) = status.source().and_then(|source| source.downcast_ref::<TokenError>()) {
        return Error::new(ErrorKind::Unavailable, reason::TOKEN_UNAVAILABLE, error.to_string());
    }
    match status.source() {
        // This side made the status.
        Some(cause) => unreachable_by(address, cause),
        None => read(status.code(), status.message(), &status.get_error_details(), address),
    }
}

/// Whether no retry helps while the certificates and the address stay as they are.
pub(crate) fn is_of_certificates(status: &Status) -> bool {
    error::is_of_certificates(from_status(status, "").reason())
}

/// The error for an HTTP error of a proxy.
fn from_http(status: &Status, error: &HttpError, address: &str) -> Error {
    match status.code() {
        Code::Unavailable => unreachable(address, &error.to_string()),
        Code::Internal | Code::Unknown => Error::new(ErrorKind::Unreadable, "", status.message()),
        code => Error::new(kind_of(code), "", status.message()),
    }
}

/// The error for one job of a batch.
pub(crate) fn from_rpc_status(status: &tonic_types::Status, address: &str) -> Error {
    let details = status.get_error_details();
    read(Code::from(status.code), &status.message, &details, address)
}

/// No answer came in time.
pub(super) fn timed_out(address: &str) -> Error {
    let message = format!(
        "the server at {address} did not answer in time: allow it more with call_timeout, or try again later"
    );
    Error::new(ErrorKind::DeadlineExceeded, "", message)
}

/// No server answers, or the connection broke.
pub(super) fn unreachable(address: &str, why: &str) -> Error {
    let message =
        format!("no answer from the server at {address}: {why}: check the address and that the server runs");
    Error::new(ErrorKind::Unreachable, "", message).with_short_message(why)
}

/// The server answers, but not to calls of this client as it is.
fn unusable(kind: ErrorKind, reason: &str, address: &str, why: &str) -> Error {
    Error::new(kind, reason, format!("cannot use the server at {address}: {why}")).with_short_message(why)
}

/// No server answers, or the connection broke: with the reason and the text if TLS is the cause.
pub(super) fn unreachable_by(address: &str, cause: &(dyn StdError + 'static)) -> Error {
    #[cfg(feature = "tls")]
    if let Some((explained, why)) = super::tls::explain(cause) {
        let kind = match explained {
            reason::CLIENT_CERTIFICATE => ErrorKind::Unauthenticated,
            _ => ErrorKind::Unreachable,
        };
        return unusable(kind, explained, address, &why);
    }
    let why = innermost(cause);
    match why.contains(FRAME_ERROR) && address.starts_with("http://") {
        true => unreachable(address, &format!("{why} (if it serves TLS, its address begins with https://)")),
        false => unreachable(address, &why),
    }
}

/// A response that this client cannot read.
pub(super) fn unreadable(address: &str, what: &str) -> Error {
    let message = format!(
        "the server at {address} sent {what} that this client cannot read: use a client as new as the server"
    );
    Error::new(ErrorKind::Unreadable, "", message).with_short_message(what)
}

/// The end of a chain of sources: `Connection refused (os error 111)`. A failed TLS handshake in words.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    #[cfg(feature = "tls")]
    if let Some((_, why)) = super::tls::explain(error) {
        return why;
    }
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn read(code: Code, message: &str, details: &ErrorDetails, address: &str) -> Error {
    let info = details.error_info().filter(|info| info.domain == DOMAIN);
    let (reason, facts) = match info {
        Some(info) => (info.reason.as_str(), info.metadata.clone()),
        None => ("", Default::default()),
    };
    let message = if message.is_empty() { "no message" } else { message };
    if reason == reason::TLS_REQUIRED {
        return unusable(ErrorKind::Unreachable, reason, address, message);
    }
    let kind = match info {
        Some(_) => kind_of(code),
        None => foreign_kind_of(code),
    };
    match kind {
        ErrorKind::Unreachable => return unreachable(address, message),
        ErrorKind::DeadlineExceeded => return timed_out(address),
        ErrorKind::Unreadable => return unreadable(address, message),
        _ => {}
    }
    let violations = details.bad_request().into_iter().flat_map(|request| &request.field_violations);
    let violations = violations.map(|violation| Violation {
        field: violation.field.clone(),
        description: violation.description.clone(),
    });
    Error::from_details(Details {
        kind,
        reason: reason.to_owned(),
        message: full_message(kind, message, reason, address),
        short_message: message.to_owned(),
        retry_after: details.retry_info().and_then(|info| info.retry_delay),
        violations: violations.collect(),
        facts,
    })
}

fn full_message(kind: ErrorKind, message: &str, reason: &str, address: &str) -> String {
    let reason = if reason.is_empty() { String::new() } else { format!("{reason}, ") };
    let way_out = match kind {
        ErrorKind::Unimplemented => ": is it a jobstream server, as new as this client?",
        _ => "",
    };
    format!("{message} ({reason}server {address}){way_out}")
}

/// For a status with a reason of this API: the server made it.
fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::InvalidArgument,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::FailedPrecondition | Code::Aborted => ErrorKind::FailedPrecondition,
        Code::ResourceExhausted => ErrorKind::ResourceExhausted,
        Code::Unavailable | Code::Cancelled => ErrorKind::Unavailable,
        Code::DeadlineExceeded => ErrorKind::DeadlineExceeded,
        Code::Unauthenticated => ErrorKind::Unauthenticated,
        Code::PermissionDenied => ErrorKind::PermissionDenied,
        Code::Unimplemented => ErrorKind::Unimplemented,
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => ErrorKind::Internal,
    }
}

/// For a status without a reason of this API: the transport or a proxy made it.
fn foreign_kind_of(code: Code) -> ErrorKind {
    match code {
        Code::Unavailable | Code::Cancelled | Code::Aborted => ErrorKind::Unreachable,
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => ErrorKind::Unreachable,
        // The codec's status for a message beyond its limit.
        Code::OutOfRange => ErrorKind::Unreadable,
        code => kind_of(code),
    }
}

/// Whether the transport reports that the deadline passed. Its code for that is a cancellation.
fn is_timeout(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<TimeoutExpired>() {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;

    const ADDRESS: &str = "http://jobs:7070";

    fn server_error(code: Code, reason: &str) -> Error {
        let facts = HashMap::from([("limit".to_owned(), "7".to_owned())]);
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, facts);
        details.set_retry_info(Some(Duration::from_secs(2)));
        details.add_bad_request_violation("job.kind", "is empty");
        from_status(&Status::with_error_details(code, "it says so", details), ADDRESS)
    }

    #[test]
    fn what_the_server_says_is_kept_whole() {
        let error = server_error(Code::ResourceExhausted, "QUEUE_FULL");
        assert_eq!((error.kind(), error.reason()), (ErrorKind::ResourceExhausted, "QUEUE_FULL"));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
        assert_eq!(error.fact("limit"), Some("7"));
        assert_eq!(error.violations()[0].field, "job.kind");
        assert_eq!(error.to_string(), "it says so (QUEUE_FULL, server http://jobs:7070)");
    }

    #[test]
    fn only_what_may_pass_is_transient() {
        assert!(server_error(Code::Unavailable, "DRAINING").is_transient());
        assert!(server_error(Code::ResourceExhausted, "QUEUE_FULL").is_transient());
        assert!(from_status(&Status::unavailable("no upstream"), ADDRESS).is_transient());
        assert!(!from_status(&Status::resource_exhausted("quota"), ADDRESS).is_transient());
        assert!(!server_error(Code::Internal, "INTERNAL").is_transient());
        assert!(!server_error(Code::NotFound, "JOB_NOT_FOUND").is_transient());
        assert!(!from_status(&Status::unimplemented(""), ADDRESS).is_transient());
    }

    #[test]
    fn a_code_without_our_reason_comes_from_something_between() {
        for code in [Code::Unavailable, Code::Unknown, Code::Internal, Code::Cancelled] {
            let error = from_status(&Status::new(code, "upstream reset"), ADDRESS);
            assert_eq!(error.kind(), ErrorKind::Unreachable, "{code:?}");
            assert!(error.message().contains("upstream reset") && error.message().contains(ADDRESS));
        }
        let error = from_status(&Status::permission_denied("no"), ADDRESS);
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_timeout_of_the_transport_is_a_deadline() {
        let error = from_status(&Status::from_error(Box::new(TimeoutExpired(()))), ADDRESS);
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    }
}
