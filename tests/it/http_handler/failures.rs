//! Responses that are failures: which are retried and when, and what the failure says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use jobstream::proto::v1;
use jobstream::proto::v1::{FailureReason, JobState};
use serde_json::json;

use super::endpoint::{Endpoint, empty, response};
use super::{http_job, server};
use crate::support::{json as payload, seconds, text, watch_request};

fn retried(max_attempts: u32) -> v1::JobSpec {
    let hour = Some(seconds(3_600));
    let retry =
        v1::RetryPolicy { max_attempts, initial_backoff: hour, max_backoff: hour, ..Default::default() };
    v1::JobSpec { retry: Some(retry), ..http_job() }
}

/// Runs a job with one attempt at an endpoint that answers with this status and body. Returns its failure.
async fn failure(status: u16, content_type: &'static str, body: &'static str) -> v1::Failure {
    let endpoint = Endpoint::new(move |_| async move { response(status, content_type, body) }).await;
    server(&endpoint).await.run_to_end(retried(1)).await.failure().clone()
}

#[tokio::test]
async fn some_statuses_are_retryable_and_others_are_not() {
    for (status, is_retryable) in [
        (400, false),
        (401, false),
        (404, false),
        (409, false),
        (422, false),
        (408, true),
        (425, true),
        (429, true),
        (500, true),
        (502, true),
        (503, true),
        (504, true),
        (599, true),
        (304, false),
    ] {
        let failure = failure(status, "text/plain", "").await;
        assert_eq!(failure.retryable, is_retryable, "{failure:?}");
        assert_eq!(failure.reason(), FailureReason::Handler);
        assert_eq!(failure.r#type, format!("http.{status}"));
        assert!(failure.message.contains(&status.to_string()), "{failure:?}");
    }
}

#[tokio::test]
async fn a_permanent_failure_ends_the_job_and_a_retryable_one_is_retried() {
    for (status, attempts) in [(404, 1), (503, 3)] {
        let endpoint = Endpoint::new(move |_| async move {
            let mut response = empty(status);
            response.headers_mut().insert("retry-after", "0".parse().unwrap());
            response
        });
        // The back-off of the job is an hour: Retry-After replaces it.
        let ended = server(&endpoint.await).await.run_to_end(retried(3)).await;
        assert_eq!(ended.failure().attempt, attempts, "{ended:?}");
    }
}

/// Runs the first attempt of a job. Returns the delay of the next one.
async fn delay(retry_after: String) -> i64 {
    let endpoint = Endpoint::new(move |_| {
        let retry_after = retry_after.parse().expect("a value");
        async move {
            let mut response = empty(429);
            response.headers_mut().insert("retry-after", retry_after);
            response
        }
    });
    let endpoint = endpoint.await;
    let server = server(&endpoint).await;
    let id = server.submit(retried(2)).await;
    server.watch(watch_request(&id, 0)).await.read_to(JobState::Scheduled).await;
    let job = server.get(&id).await;
    let failed = job.attempts[0].finish_time.expect("it ended").seconds;
    job.next_attempt_time.expect("it is scheduled").seconds - failed
}

#[tokio::test]
async fn retry_after_in_seconds_or_as_a_date_delays_the_next_attempt() {
    let in_seconds = delay("600".to_owned()).await;
    assert!((599..=601).contains(&in_seconds), "{in_seconds}");
    let date = httpdate::fmt_http_date(
        UNIX_EPOCH + UNIX_EPOCH.elapsed().expect("after 1970") + Duration::from_secs(900),
    );
    let until_date = delay(date).await;
    assert!((840..=901).contains(&until_date), "{until_date}");
    let ignored = delay("soon".to_owned()).await;
    assert!((2_000..=3_601).contains(&ignored), "{ignored}");
}

#[tokio::test]
async fn problem_details_are_the_message_the_type_and_the_details() {
    const BODY: &str =
        r#"{"type":"https://errors.example/quota","title":"Quota exceeded","detail":"3 of 3 used","left":0}"#;
    let failed = failure(429, "application/problem+json; charset=utf-8", BODY).await;
    assert_eq!(failed.message, "the endpoint answered 429 Too Many Requests: Quota exceeded: 3 of 3 used");
    assert_eq!(failed.r#type, "https://errors.example/quota");
    let details =
        v1::Payload { content_type: "application/problem+json; charset=utf-8".to_owned(), ..text(BODY) };
    assert_eq!(failed.details, Some(details));

    let blank =
        failure(400, "application/problem+json", r#"{"type":"about:blank","title":"Bad Request"}"#).await;
    assert_eq!((blank.r#type.as_str(), blank.message.ends_with(": Bad Request")), ("http.400", true));
    let broken = failure(400, "application/problem+json", "{").await;
    assert_eq!((broken.r#type.as_str(), broken.details), ("http.400", None));
}

#[tokio::test]
async fn a_body_of_text_or_json_is_in_the_message() {
    let failed = failure(500, "text/html", "  <h1>Oops</h1>\n").await;
    assert_eq!(failed.message, "the endpoint answered 500 Internal Server Error: <h1>Oops</h1>");
    assert_eq!(failed.details, None);
    let failed = failure(422, "image/png", "x").await;
    assert_eq!(failed.message, "the endpoint answered 422 Unprocessable Entity");

    let endpoint =
        Endpoint::new(|_| async { response(422, "application/json", r#"{"detail":"no width"}"#) }).await;
    let spec = v1::JobSpec { payload: Some(payload(json!({}))), ..http_job() };
    let ended = server(&endpoint).await.run_to_end(spec).await;
    assert!(ended.failure().message.ends_with(r#": {"detail":"no width"}"#), "{ended:?}");
    assert_eq!(ended.failure().details, Some(payload(json!({"detail": "no width"}))));
}

#[tokio::test]
async fn a_long_body_is_truncated_and_no_details() {
    let endpoint =
        Endpoint::new(|_| async { response(400, "application/json", format!("[{}0]", "0,".repeat(9_000))) });
    let ended = server(&endpoint.await).await.run_to_end(http_job()).await;
    let failure = ended.failure();
    assert!((2_000..2_200).contains(&failure.message.len()), "{}", failure.message.len());
    assert_eq!(failure.details, None);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let endpoint = Endpoint::new(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let mut response = empty(307);
            response.headers_mut().insert("location", "/other".parse().unwrap());
            response
        }
    });
    let ended = server(&endpoint.await).await.run_to_end(retried(3)).await;
    let failure = ended.failure();
    assert_eq!((failure.r#type.as_str(), failure.retryable), ("http.307", false));
    assert!(failure.message.contains("Location \"/other\": redirects are not followed"), "{failure:?}");
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}
