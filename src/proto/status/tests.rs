//! Every kind of error has its code, reason and details, within the size limit of headers.

use super::*;
use crate::job::{JobId, JobState, Timestamp};

const BOOT: &str = "boot-7";
const PAUSE: Duration = Duration::from_millis(1500);

fn job_id() -> JobId {
    JobId::from_bytes([7; 16])
}

fn status(kind: ErrorKind) -> Status {
    to_status(&Error::new(kind, "what happened"), BOOT)
}

fn facts(status: &Status, reason: &str) -> HashMap<String, String> {
    let info = status.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "jobstream"));
    info.metadata
}

fn map<const N: usize>(facts: [(&str, String); N]) -> HashMap<String, String> {
    facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The size of the details as a header value.
fn header_bytes(status: &Status) -> usize {
    status.details().len().div_ceil(3) * 4
}

#[test]
fn all_invalid_fields_are_listed() {
    let violation = |field: &str| Violation { field: field.to_owned(), description: "is wrong".to_owned() };
    let error = Error::violations(vec![violation("job.kind"), violation("job.priority")]);
    let status = to_status(&error, BOOT);
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "job.kind: is wrong; job.priority: is wrong");
    assert!(facts(&status, "INVALID_FIELD").is_empty());
    let listed = status.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = listed.iter().map(|one| (one.field.as_str(), one.description.as_str())).collect();
    assert_eq!(fields, [("job.kind", "is wrong"), ("job.priority", "is wrong")]);
}

#[test]
fn many_violations_are_truncated() {
    for text in ["x".repeat(300), "ü".repeat(300), "a\u{1}".to_owned()] {
        let violation =
            |n| Violation { field: format!("job.labels[{n}{text}]"), description: format!("is {text}") };
        let status = to_status(&Error::violations((0..2000).map(violation).collect()), BOOT);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(header_bytes(&status) < 4096, "{}", header_bytes(&status));
        let listed = status.get_details_bad_request().unwrap().field_violations;
        let (more, shown) = listed.split_last().unwrap();
        assert!((3..=20).contains(&shown.len()), "{}", shown.len());
        assert!(shown[0].field.starts_with("job.labels[0"));
        assert_eq!(more.description, format!("{} more violations are not listed", 2000 - shown.len()));
        assert!(status.message().len() <= MESSAGE_BYTES_MAX && status.message().ends_with('…'));
    }
}

#[test]
fn a_too_large_payload_has_its_size_and_limit() {
    let status = status(ErrorKind::PayloadTooLarge { field: "job.payload".to_owned(), size: 9, limit: 8 });
    assert_eq!(status.code(), Code::InvalidArgument);
    let expected = [("field", "job.payload".to_owned()), ("size", "9".to_owned()), ("limit", "8".to_owned())];
    assert_eq!(facts(&status, "PAYLOAD_TOO_LARGE"), map(expected));
    let violations = status.get_details_bad_request().expect("clients list violations").field_violations;
    assert_eq!(violations.iter().map(|one| one.field.as_str()).collect::<Vec<_>>(), ["job.payload"]);
}

#[test]
fn an_unknown_job_has_the_boot_id() {
    let status = status(ErrorKind::JobNotFound(job_id()));
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(facts(&status, "JOB_NOT_FOUND"), map([("boot_id", BOOT.to_owned())]));
    let resource = status.get_details_resource_info().unwrap();
    assert_eq!((resource.resource_type.as_str(), resource.resource_name), (JOB_TYPE, job_id().to_string()));
}

#[test]
fn an_expired_result_has_its_expire_time() {
    let expire_time = Timestamp::from_micros(1_767_225_600_000_000);
    let status = status(ErrorKind::ResultExpired { job_id: job_id(), expire_time });
    assert_eq!(status.code(), Code::NotFound);
    let expected = [("job_id", job_id().to_string()), ("expire_time", "2026-01-01T00:00:00Z".to_owned())];
    assert_eq!(facts(&status, "RESULT_EXPIRED"), map(expected));
}

#[test]
fn an_unknown_queue_and_a_reused_id_name_their_resource() {
    let unknown = status(ErrorKind::QueueNotFound("mail".to_owned()));
    assert_eq!(unknown.code(), Code::NotFound);
    facts(&unknown, "QUEUE_NOT_FOUND");
    let resource = unknown.get_details_resource_info().unwrap();
    assert_eq!((resource.resource_type.as_str(), resource.resource_name.as_str()), (QUEUE_TYPE, "mail"));

    let reused = status(ErrorKind::JobIdReused(job_id()));
    assert_eq!(reused.code(), Code::AlreadyExists);
    facts(&reused, "JOB_ID_REUSED");
    assert_eq!(reused.get_details_resource_info().unwrap().resource_name, job_id().to_string());
}

#[test]
fn an_illegal_state_names_the_allowed_states() {
    let state = JobState::Running;
    let status =
        status(ErrorKind::IllegalState { job_id: job_id(), state, allowed: "SUCCEEDED, FAILED, CANCELLED" });
    assert_eq!(status.code(), Code::FailedPrecondition);
    let expected = [
        ("job_id", job_id().to_string()),
        ("state", "RUNNING".to_owned()),
        ("allowed", "SUCCEEDED, FAILED, CANCELLED".to_owned()),
    ];
    assert_eq!(facts(&status, "ILLEGAL_STATE"), map(expected));
}

#[test]
fn a_lost_lease_and_a_passed_deadline_have_no_metadata() {
    let lost = status(ErrorKind::LeaseLost);
    assert_eq!(lost.code(), Code::FailedPrecondition);
    assert!(facts(&lost, "LEASE_LOST").is_empty());
    let late = status(ErrorKind::DeadlineExceeded);
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert!(facts(&late, "DEADLINE_EXCEEDED").is_empty());
}

#[test]
fn a_log_error_has_its_reason_but_not_its_path() {
    let damaged = ErrorKind::LogDamaged { file: "disk/segment".into(), offset: 4096 };
    for (kind, code, reason, expected) in [
        (ErrorKind::DiskFull, Code::ResourceExhausted, "DISK_FULL", map([])),
        (ErrorKind::LogFailed, Code::Unavailable, "LOG_FAILED", map([])),
        (ErrorKind::LogRefused, Code::FailedPrecondition, "LOG_REFUSED", map([])),
        (damaged, Code::DataLoss, "LOG_DAMAGED", map([("offset", "4096".to_owned())])),
    ] {
        let status = status(kind);
        assert_eq!(status.code(), code);
        assert_eq!(facts(&status, reason), expected);
    }
}

#[test]
fn retryable_errors_have_a_retry_delay() {
    let full = ErrorKind::ResourceExhausted {
        reason: "QUEUE_FULL",
        subject: "queue:default".to_owned(),
        retry_after: PAUSE,
    };
    let cases = [
        (full, Code::ResourceExhausted, "QUEUE_FULL"),
        (ErrorKind::Draining { retry_after: PAUSE }, Code::Unavailable, "DRAINING"),
        (ErrorKind::ConnectionClosing { retry_after: PAUSE }, Code::Unavailable, "CONNECTION_CLOSING"),
    ];
    for (kind, code, reason) in cases {
        let status = status(kind);
        assert_eq!(status.code(), code);
        facts(&status, reason);
        assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(PAUSE));
        assert_eq!(status.metadata().get(RETRY_PUSHBACK).unwrap(), "1500");
        let quota = status.get_details_quota_failure();
        let subject = quota.map(|quota| quota.violations[0].subject.clone());
        assert_eq!(subject.as_deref(), (reason == "QUEUE_FULL").then_some("queue:default"));
    }
}

#[test]
fn other_errors_have_no_retry_delay() {
    let status = status(ErrorKind::LeaseLost);
    assert!(status.metadata().is_empty() && status.get_details_retry_info().is_none());
}

#[test]
fn a_bug_is_reported_with_an_id() {
    let status = status(ErrorKind::Internal);
    assert_eq!(status.code(), Code::Internal);
    facts(&status, "INTERNAL");
    let request_id = status.get_details_request_info().unwrap().request_id;
    assert_eq!(status.message(), format!("what happened; report it with request id {request_id}"));
}

#[test]
fn a_status_message_equals_the_status() {
    let error = Error::new(ErrorKind::Draining { retry_after: PAUSE }, "shutting down");
    let outer = to_status(&error, BOOT);
    let inner = to_rpc_status(&outer);
    assert_eq!((inner.code, inner.message.as_str()), (Code::Unavailable as i32, "shutting down"));
    assert_eq!(inner.details.len(), 2);
    assert_eq!(inner.encode_to_vec(), outer.details());
}

#[test]
fn texts_are_truncated_between_characters() {
    assert_eq!(truncated("short", 5), "short");
    assert_eq!(truncated("üüüü", 7), "üü…");
}
