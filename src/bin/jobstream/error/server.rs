//! The failure of a call as an error for a person: its exit code, and the hints for its reason.

use jobstream::client::{self, ErrorKind};

use super::Error;
use crate::connect::Address;
use crate::exit::Exit;
use crate::output::text;

/// The error for options that no client can be made with.
pub(crate) fn from_options(error: &client::Error) -> Error {
    match error.reason() {
        client::reason::INSECURE_TOKEN => Error::usage(error.short_message())
            .hint("use an address that begins with https://, or allow it with --insecure-token"),
        _ => Error::usage(error.message()),
    }
}

/// The error that opening a connection to the server at `address` failed with.
pub(crate) fn from_connect(error: &client::Error, address: &Address) -> Error {
    if error.kind() == ErrorKind::InvalidArgument {
        return from_options(error);
    }
    let exit = match error.kind() {
        ErrorKind::Unauthenticated => Exit::Auth,
        _ => Exit::Unreachable,
    };
    let shown = Error::new(exit, format!("cannot reach the server at {address}: {}", error.short_message()));
    match hint_for(error.reason(), false, &address.as_flag()) {
        Some(hint) => shown.hint(hint),
        None if !error.reason().is_empty() => shown,
        None if address.is_of_dev() => shown
            .hint("start one here with `jobstream dev`")
            .hint("or name another with --address or JOBSTREAM_ADDRESS"),
        None => shown.hint("check that it runs, and the address: --address or JOBSTREAM_ADDRESS"),
    }
}

/// The error that a call to the server at `address` failed with.
pub(crate) fn from_client(error: &client::Error, address: &Address) -> Error {
    let (reason, text) = (error.reason(), error.short_message());
    let mut shown = match error.kind() {
        ErrorKind::DeadlineExceeded => {
            Error::new(Exit::Unreachable, format!("the server at {address} did not answer in time"))
                .hint("allow it more time with --rpc-timeout")
        }
        ErrorKind::Unreachable if !error.is_transient() => {
            Error::new(Exit::Unreachable, format!("cannot use the server at {address}: {text}"))
        }
        ErrorKind::Unreachable => {
            Error::new(Exit::Unreachable, format!("lost the server at {address}: {text}"))
        }
        ErrorKind::Unreadable => Error::new(Exit::Other, error.message()),
        ErrorKind::Unimplemented => Error::new(Exit::Other, text)
            .hint(format!("is this a jobstream server, and as new as this one? {address}")),
        kind if reason == client::reason::CLIENT_CERTIFICATE => Error::new(
            exit_of(kind, reason),
            format!("cannot use the server at {address}: {text} ({reason})"),
        ),
        kind if reason.is_empty() => Error::new(exit_of(kind, reason), text),
        kind => Error::new(exit_of(kind, reason), format!("{text} ({reason})")),
    };
    if let Some(hint) = credential_hint(error.kind(), reason) {
        shown = shown.hint(hint);
    }
    if let Some(hint) = hint_for(reason, error.fact("worker").is_some(), &address.as_flag()) {
        shown = shown.hint(hint);
    }
    if let Some(delay) = error.retry_after() {
        shown = shown.hint(format!("the server asks to try again in {}", text::duration(delay)));
    }
    for violation in error.violations() {
        // The message of a single violation is the violation.
        if !(shown.message.contains(&violation.field) && shown.message.contains(&violation.description)) {
            shown = shown.detail(format!("{}: {}", violation.field, violation.description));
        }
    }
    shown
}

fn exit_of(kind: ErrorKind, reason: &str) -> Exit {
    match (kind, reason) {
        (_, client::reason::RESULT_EXPIRED) => Exit::Expired,
        (_, client::reason::CREDENTIAL_EXPIRED | client::reason::TOKEN_UNAVAILABLE) => Exit::Auth,
        (ErrorKind::InvalidArgument, _) => Exit::Usage,
        (ErrorKind::Unauthenticated | ErrorKind::PermissionDenied, _) => Exit::Auth,
        (ErrorKind::NotFound, _) => Exit::NotFound,
        (ErrorKind::Unavailable | ErrorKind::ResourceExhausted, _) => Exit::Rejected,
        _ => Exit::Other,
    }
}

/// The hint for a refused or missing credential.
fn credential_hint(kind: ErrorKind, reason: &str) -> Option<&'static str> {
    const NAME_TOKEN: &str = "name a token with --token-file FILE, JOBSTREAM_TOKEN or a context";
    match (kind, reason) {
        (_, client::reason::CREDENTIAL_EXPIRED) => {
            Some("get a new token, and write it to the file or the variable")
        }
        (_, client::reason::CREDENTIAL_INVALID) => {
            Some("check --token-file, JOBSTREAM_TOKEN and the context: is it a token of this server?")
        }
        (_, client::reason::GRANT_MISSING) => Some("ask the operator of the server for the grant"),
        (_, client::reason::CLIENT_CERTIFICATE | client::reason::TOKEN_UNAVAILABLE) => None,
        (ErrorKind::Unauthenticated, _) => Some(NAME_TOKEN),
        _ => None,
    }
}

/// The hint for a reason; `flag` names the server in commands.
fn hint_for(reason: &str, names_worker: bool, flag: &str) -> Option<String> {
    let hint = match reason {
        "JOB_NOT_FOUND" => {
            return Some(format!(
                "a restart loses every job in memory mode, and a job that your grants do not cover is not found; \
                 `jobstream jobs ls{flag}` lists those there are"
            ));
        }
        "QUEUE_NOT_FOUND" => return Some(format!("`jobstream queues ls{flag}` lists the queues there are")),
        "WORKER_NOT_FOUND" => {
            return Some(format!("`jobstream workers ls{flag}` lists the workers there are"));
        }
        "WORKERS_FULL" => "the server's --workers-max sets the limit",
        "ILLEGAL_STATE" if names_worker => {
            "`jobstream queues pause` holds jobs back from the server's own workers (link POOL)"
        }
        "RESULT_EXPIRED" => {
            "the job ended, and its retention has passed: `jobstream submit --retention 1d` retains a result longer"
        }
        "JOB_ID_REUSED" => "leave --job-id out, or give the same job again in full",
        "PAYLOAD_TOO_LARGE" => "store it elsewhere and submit a reference; `jobstream info` shows the limit",
        "DRAINING" => "the server is shutting down",
        client::reason::UNKNOWN_CA => "name the certificate of its CA with --ca FILE or JOBSTREAM_CA",
        client::reason::CLIENT_CERTIFICATE => {
            "name a certificate that it accepts with --client-cert and --client-key, or JOBSTREAM_CLIENT_CERT and \
             JOBSTREAM_CLIENT_KEY"
        }
        client::reason::NOT_TLS | client::reason::TLS_REQUIRED => {
            "check the address, --address or JOBSTREAM_ADDRESS"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use tonic::{Code, Status};
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;
    use crate::connect::Source;

    fn details(reason: &str) -> ErrorDetails {
        ErrorDetails::with_error_info(reason, "jobstream", HashMap::new())
    }

    fn shown(status: &Status) -> Error {
        let address = Address::new("http://h:1", Source::Flag).expect("an address");
        from_client(&client::Error::from_status(status, "http://h:1"), &address)
    }

    #[test]
    fn every_kind_of_refusal_has_its_exit_code() {
        let cases = [
            (Code::InvalidArgument, "INVALID_FIELD", Exit::Usage),
            (Code::Unauthenticated, "", Exit::Auth),
            (Code::PermissionDenied, "", Exit::Auth),
            (Code::PermissionDenied, "GRANT_MISSING", Exit::Auth),
            (Code::Unavailable, "CREDENTIAL_EXPIRED", Exit::Auth),
            (Code::ResourceExhausted, "QUOTA", Exit::Rejected),
            (Code::NotFound, "JOB_NOT_FOUND", Exit::NotFound),
            (Code::NotFound, "RESULT_EXPIRED", Exit::Expired),
            (Code::ResourceExhausted, "QUEUE_FULL", Exit::Rejected),
            (Code::Unavailable, "DRAINING", Exit::Rejected),
            (Code::AlreadyExists, "JOB_ID_REUSED", Exit::Other),
            (Code::FailedPrecondition, "ILLEGAL_STATE", Exit::Other),
            (Code::Internal, "INTERNAL", Exit::Other),
        ];
        for (code, reason, exit) in cases {
            let status = Status::with_error_details(code, "it says so", details(reason));
            assert_eq!(shown(&status).exit, exit, "{code:?} {reason}");
        }
    }

    #[test]
    fn a_silent_or_foreign_unavailable_is_no_refusal() {
        let error = shown(&Status::unavailable("no healthy upstream"));
        assert_eq!(error.exit, Exit::Unreachable);
        assert_eq!(error.message, "lost the server at http://h:1 (from --address): no healthy upstream");
        let error = shown(&Status::deadline_exceeded(""));
        assert_eq!(error.exit, Exit::Unreachable);
        assert_eq!(error.message, "the server at http://h:1 (from --address) did not answer in time");
    }

    #[test]
    fn a_refused_client_certificate_names_the_server() {
        let details = details(client::reason::CLIENT_CERTIFICATE);
        let error = shown(&Status::with_error_details(Code::Unauthenticated, "it requires one", details));
        let expected =
            "cannot use the server at http://h:1 (from --address): it requires one (CLIENT_CERTIFICATE)";
        assert_eq!(error.message, expected);
    }

    #[test]
    fn every_violation_and_the_reason_are_shown() {
        let mut details = details("INVALID_FIELD");
        details.add_bad_request_violation("job.kind", "is empty");
        details.add_bad_request_violation("job.priority", "is 200, limit is 100");
        let error = shown(&Status::with_error_details(Code::InvalidArgument, "2 fields are wrong", details));
        assert_eq!(error.message, "2 fields are wrong (INVALID_FIELD)");
        assert_eq!(error.details, ["job.kind: is empty", "job.priority: is 200, limit is 100"]);
    }

    #[test]
    fn a_single_violation_is_shown_once() {
        let mut details = details("INVALID_FIELD");
        details.add_bad_request_violation("job.kind", "is empty");
        let error = shown(&Status::with_error_details(Code::InvalidArgument, "job.kind: is empty", details));
        assert_eq!(error.message, "job.kind: is empty (INVALID_FIELD)");
        assert!(error.details.is_empty(), "{error:?}");
    }

    #[test]
    fn a_refused_credential_comes_with_the_way_out() {
        let hint = |code, reason| {
            let error = shown(&Status::with_error_details(code, "it says so", details(reason)));
            assert_eq!((error.exit, error.hints.len()), (Exit::Auth, 1), "{error:?}");
            error.hints[0].clone()
        };
        assert!(hint(Code::Unauthenticated, "CREDENTIAL_REQUIRED").contains("--token-file FILE"));
        assert!(hint(Code::Unauthenticated, "CREDENTIAL_INVALID").contains("of this server"));
        assert!(hint(Code::Unauthenticated, "CREDENTIAL_EXPIRED").contains("a new token"));
        assert!(hint(Code::PermissionDenied, "GRANT_MISSING").contains("grant"));
        let of_proxy = shown(&Status::unauthenticated("it says so"));
        assert!(of_proxy.hints[0].contains("JOBSTREAM_TOKEN"), "{of_proxy:?}");
    }

    #[test]
    fn hints_name_the_server_of_the_flag() {
        let error = shown(&Status::with_error_details(Code::NotFound, "no job", details("JOB_NOT_FOUND")));
        assert!(error.hints[0].contains("`jobstream jobs ls --address http://h:1`"), "{error:?}");
    }

    #[test]
    fn the_servers_retry_delay_becomes_a_hint() {
        let mut details = details("QUEUE_FULL");
        details.set_retry_info(Some(Duration::from_secs(2)));
        let error = shown(&Status::with_error_details(Code::ResourceExhausted, "full", details));
        assert_eq!(error.hints, ["the server asks to try again in 2s"]);
    }
}
