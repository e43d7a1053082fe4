//! Well-formed requests with invalid values.

use std::collections::HashMap;

use jobstream::proto::v1;
use jobstream::proto::v1::job_spec::Start;
use tonic::Code;

use super::{assert_untouched, bad_fields};
use crate::support::{TestServer, batch, echo, job, new_id, refused, seconds, wait_for};

fn pairs(count: usize) -> HashMap<String, String> {
    (0..count).map(|number| (format!("key{number}"), "value".to_owned())).collect()
}

fn pair(key: &str, value: &str) -> HashMap<String, String> {
    HashMap::from([(key.to_owned(), value.to_owned())])
}

fn with_retry(retry: v1::RetryPolicy) -> v1::JobSpec {
    v1::JobSpec { retry: Some(retry), ..echo("x") }
}

fn retry() -> v1::RetryPolicy {
    v1::RetryPolicy::default()
}

const YEARS_11: i64 = 11 * 365 * 24 * 3600;

/// Returns specs with the name of their invalid field.
fn bad_specs() -> Vec<(v1::JobSpec, &'static str)> {
    let spec = || echo("x");
    let (negative, long) = (Some(seconds(-1)), Some(seconds(YEARS_11)));
    let broken = Some(prost_types::Duration { seconds: 1, nanos: -1 });
    let absurd = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
    vec![
        (v1::JobSpec { kind: String::new(), ..spec() }, "job.kind"),
        (v1::JobSpec { kind: "two words".into(), ..spec() }, "job.kind"),
        (v1::JobSpec { kind: "é".into(), ..spec() }, "job.kind"),
        (v1::JobSpec { kind: "k".repeat(129), ..spec() }, "job.kind"),
        (v1::JobSpec { queue: "a\nb".into(), ..spec() }, "job.queue"),
        (v1::JobSpec { queue: "q".repeat(1_000_000), ..spec() }, "job.queue"),
        (v1::JobSpec { job_id: "not-a-uuid".into(), ..spec() }, "job.job_id"),
        (v1::JobSpec { job_id: uuid::Uuid::nil().to_string(), ..spec() }, "job.job_id"),
        (v1::JobSpec { priority: 101, ..spec() }, "job.priority"),
        (v1::JobSpec { priority: i32::MIN, ..spec() }, "job.priority"),
        (v1::JobSpec { timeout: negative, ..spec() }, "job.timeout"),
        (v1::JobSpec { timeout: Some(seconds(0)), ..spec() }, "job.timeout"),
        (v1::JobSpec { attempt_timeout: negative, ..spec() }, "job.attempt_timeout"),
        (v1::JobSpec { attempt_timeout: broken, ..spec() }, "job.attempt_timeout"),
        (v1::JobSpec { retention: negative, ..spec() }, "job.retention"),
        (v1::JobSpec { retention: long, ..spec() }, "job.retention"),
        (v1::JobSpec { start: Some(Start::StartDelay(seconds(-1))), ..spec() }, "job.start_delay"),
        (v1::JobSpec { start: Some(Start::StartDelay(seconds(i64::MAX))), ..spec() }, "job.start_delay"),
        (v1::JobSpec { start: Some(Start::StartTime(absurd)), ..spec() }, "job.start_time"),
        (v1::JobSpec { labels: pairs(17), ..spec() }, "job.labels"),
        (v1::JobSpec { labels: pairs(2_000), ..spec() }, "job.labels"),
        (v1::JobSpec { headers: pairs(2_000), ..spec() }, "job.headers"),
        (v1::JobSpec { labels: pair("", "x"), ..spec() }, "job.labels[\"\"]"),
        (v1::JobSpec { labels: pair("a", &"x".repeat(257)), ..spec() }, "job.labels[\"a\"]"),
        (v1::JobSpec { headers: pair("a", "x\r\ny"), ..spec() }, "job.headers[\"a\"]"),
        (with_retry(v1::RetryPolicy { max_attempts: 101, ..retry() }), "job.retry.max_attempts"),
        (with_retry(v1::RetryPolicy { initial_backoff: negative, ..retry() }), "job.retry.initial_backoff"),
        (with_retry(v1::RetryPolicy { max_backoff: negative, ..retry() }), "job.retry.max_backoff"),
        (with_retry(v1::RetryPolicy { multiplier: 0.5, ..retry() }), "job.retry.multiplier"),
        (with_retry(v1::RetryPolicy { multiplier: f64::NAN, ..retry() }), "job.retry.multiplier"),
        (with_retry(v1::RetryPolicy { jitter: Some(1.5), ..retry() }), "job.retry.jitter"),
        (
            with_retry(v1::RetryPolicy { max_lost_attempts: u32::MAX, ..retry() }),
            "job.retry.max_lost_attempts",
        ),
    ]
}

#[tokio::test]
async fn an_invalid_field_of_a_spec_is_named() {
    let server = TestServer::start().await;
    for (spec, field) in bad_specs() {
        let status = server.try_submit(spec.clone()).await.unwrap_err();
        assert_eq!(bad_fields(&status), [field]);
        assert!(status.message().len() <= 1_024, "{} bytes of message", status.message().len());
        let request = v1::RunRequest { job: Some(spec), ..Default::default() };
        let status = wait_for("Run answers", server.jobs().run(request)).await.unwrap_err();
        assert_eq!(bad_fields(&status), [field]);
    }
    assert_untouched(&server).await;
}

#[tokio::test]
async fn all_invalid_fields_are_named_at_once() {
    let server = TestServer::start().await;
    let spec = v1::JobSpec { priority: 1_000, queue: "?".into(), timeout: Some(seconds(-1)), ..job("!") };
    let status = server.try_submit(spec).await.unwrap_err();
    assert_eq!(bad_fields(&status), ["job.kind", "job.queue", "job.priority", "job.timeout"]);
    let status = wait_for("Submit answers", server.jobs().submit(v1::SubmitRequest::default())).await;
    assert_eq!(bad_fields(&status.unwrap_err()), ["job"]);
    assert_untouched(&server).await;
}

#[tokio::test]
async fn the_error_of_many_violations_fits_a_header() {
    let server = TestServer::start().await;
    let nasty = |name: &str| (0..16).map(|n| (format!("{n}{name}\u{7f}"), "\u{1}".repeat(300))).collect();
    let spec = v1::JobSpec { labels: nasty(&"l".repeat(70)), headers: nasty(&"h".repeat(70)), ..job("🦀") };
    let status = server.try_submit(spec).await.unwrap_err();
    let fields = bad_fields(&status);
    assert!(fields.len() > 1 && fields.last().is_some_and(String::is_empty), "{fields:?}");
    assert_untouched(&server).await;
}

#[tokio::test]
async fn invalid_fields_of_other_requests_are_named() {
    let server = TestServer::start().await;
    let mut jobs = server.jobs();
    let id = new_id();
    let wait = Some(seconds(-1));
    let request = v1::GetResultRequest { job_id: "x".into(), wait };
    assert_eq!(bad_fields(&jobs.get_result(request).await.unwrap_err()), ["job_id", "wait"]);
    let request = v1::GetJobRequest { job_id: "../../etc".into() };
    assert_eq!(bad_fields(&jobs.get_job(request).await.unwrap_err()), ["job_id"]);
    let request =
        v1::CancelRequest { job_id: id.clone(), reason: "x".repeat(1_025), grace: Some(seconds(3_601)) };
    assert_eq!(bad_fields(&jobs.cancel(request).await.unwrap_err()), ["reason", "grace"]);
    let request = v1::RetryRequest { job_id: id, new_job_id: "x".into(), kind: "?".into(), payload: None };
    assert_eq!(bad_fields(&jobs.retry(request).await.unwrap_err()), ["new_job_id", "kind"]);
    let request = v1::DeleteRequest { job_id: String::new() };
    assert_eq!(bad_fields(&jobs.delete(request).await.unwrap_err()), ["job_id"]);
    let request = v1::ListJobsRequest {
        states: vec![1, 0],
        kind: "?".into(),
        labels: pairs(2_000),
        ..Default::default()
    };
    assert_eq!(bad_fields(&jobs.list_jobs(request).await.unwrap_err()), ["states[1]", "kind", "labels"]);
    let request = v1::PauseQueueRequest { queue: "no\u{0}".into() };
    assert_eq!(bad_fields(&server.admin().pause_queue(request).await.unwrap_err()), ["queue"]);
    let request = v1::ListQueuesRequest { page_size: 1_001, page_token: String::new() };
    assert_eq!(bad_fields(&server.admin().list_queues(request).await.unwrap_err()), ["page_size"]);
    let request = v1::ListQueuesRequest { page_size: 1, page_token: "?\u{0}".into() };
    assert_eq!(bad_fields(&server.admin().list_queues(request).await.unwrap_err()), ["page_token"]);
    assert_untouched(&server).await;
}

#[tokio::test]
async fn a_message_above_4_mib_is_rejected() {
    let server = TestServer::start().await;
    let mut jobs = batch(5);
    for job in &mut jobs {
        job.payload = Some(crate::support::data(vec![7; 1 << 20]));
    }
    let request = v1::BatchSubmitRequest { jobs, atomic: false };
    let status = wait_for("BatchSubmit answers", server.jobs().batch_submit(request)).await.unwrap_err();
    let details = refused(&status, Code::InvalidArgument, "PAYLOAD_TOO_LARGE");
    let facts = &details.error_info().unwrap().metadata;
    assert_eq!(facts["limit"], "4194304");
    assert!(facts["size"].parse::<usize>().unwrap() > 5 << 20, "{facts:?}");
    assert_untouched(&server).await;
}
