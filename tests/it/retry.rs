//! Retries of failed attempts by the policy or the handler; the Retry call, which creates a new job.

use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::job_spec::Start;
use jobstream::proto::v1::{Disposition, FailureReason, JobState};
use jobstream::worker::JobError;
use serde_json::json;
use tonic::{Code, Status};

use crate::support::{
    Setup, TestServer, echo, job, json as payload, millis, new_id, refused, seconds, text, wait_for,
    watch_request,
};

/// Returns a policy with this many attempts and a short back-off.
fn attempts(max_attempts: u32) -> Option<v1::RetryPolicy> {
    let pause = Some(millis(1));
    Some(v1::RetryPolicy { max_attempts, initial_backoff: pause, max_backoff: pause, ..Default::default() })
}

fn flaky(failures: u32, max_attempts: u32) -> v1::JobSpec {
    let payload = Some(payload(json!({"failures": failures})));
    v1::JobSpec { payload, retry: attempts(max_attempts), ..job("demo.flaky") }
}

async fn retry(server: &TestServer, request: v1::RetryRequest) -> Result<v1::RetryResponse, Status> {
    let answer = wait_for("Retry answers", server.jobs().retry(request)).await;
    answer.map(tonic::Response::into_inner)
}

fn of(job_id: &str) -> v1::RetryRequest {
    v1::RetryRequest { job_id: job_id.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn a_flaky_job_succeeds_in_a_later_attempt() {
    let server = TestServer::start().await;
    let ended = server.run_to_end(flaky(2, 3)).await;
    assert_eq!(ended.result(), &payload(json!({"succeeded_at_attempt": 3})));
    let watched = server.watch_all(&ended.id, 0).await;
    watched.outcome();
    use JobState::{Queued, Running, Scheduled, Succeeded};
    let round = [Queued, Running, Scheduled];
    assert_eq!(watched.states(), [round, round, [Queued, Running, Succeeded]].concat());
    let failure = |event: &v1::JobEvent| match &event.event {
        Some(Event::StateChange(change)) => change.failure.clone(),
        _ => None,
    };
    let failures: Vec<_> = watched.events.iter().filter_map(failure).collect();
    assert_eq!(failures.iter().map(|failure| failure.attempt).collect::<Vec<_>>(), [1, 2]);
    assert!(failures.iter().all(|failure| failure.reason() == FailureReason::Handler && failure.retryable));
    let seen = server.get(&ended.id).await;
    assert_eq!(
        seen.attempts.iter().map(|attempt| attempt.failure.is_some()).collect::<Vec<_>>(),
        [true, true, false]
    );
    assert_eq!((seen.attempt, seen.attempts[0].worker.as_str()), (3, "local"));
}

#[tokio::test]
async fn the_failure_of_the_last_attempt_is_the_outcome() {
    let server = TestServer::start().await;
    let ended = server.run_to_end(flaky(5, 3)).await;
    let failure = ended.failure();
    assert_eq!((failure.attempt, failure.retryable, failure.r#type.as_str()), (3, true, "demo.Flaky"));
    assert_eq!(failure.message, "attempt 3 fails as requested, the first 5 do");
}

#[tokio::test]
async fn a_permanent_failure_ends_the_job_with_attempts_left() {
    let server = TestServer::start().await;
    let ended = server.run_to_end(v1::JobSpec { retry: attempts(9), ..job("demo.fail") }).await;
    assert_eq!((ended.failure().attempt, ended.failure().retryable), (1, false));
    let misfit = v1::JobSpec {
        payload: Some(payload(json!({"to": "five"}))),
        retry: attempts(9),
        ..job("demo.count")
    };
    let ended = server.run_to_end(misfit).await;
    assert_eq!((ended.failure().reason(), ended.failure().attempt), (FailureReason::BadPayload, 1));
}

#[tokio::test]
async fn a_handler_may_choose_the_retry_delay() {
    let server = TestServer::with(|setup: &mut Setup| {
        let worker = std::mem::take(&mut setup.worker);
        setup.worker = worker.raw_handler("test.later", |context| async move {
            match context.attempt() {
                1 => Err(JobError::retry_after(Duration::from_millis(300), "not yet")),
                _ => Ok(context.payload().clone()),
            }
        });
    })
    .await;
    let retry =
        v1::RetryPolicy { max_attempts: 2, initial_backoff: Some(seconds(600)), ..Default::default() };
    let ended = server.run_to_end(v1::JobSpec { retry: Some(retry), ..job("test.later") }).await;
    ended.result();
    let watched = server.watch_all(&ended.id, 0).await;
    let time = |at: usize| Duration::try_from(prost_duration(watched.events[at].time.unwrap())).unwrap();
    assert_eq!(watched.states()[2], JobState::Scheduled);
    let pause = time(3) - time(2);
    assert!(pause >= Duration::from_millis(299) && pause < Duration::from_secs(3), "{pause:?}");
}

/// Converts a time to the duration since 1970, which can be subtracted.
fn prost_duration(time: prost_types::Timestamp) -> prost_types::Duration {
    prost_types::Duration { seconds: time.seconds, nanos: time.nanos }
}

#[tokio::test]
async fn a_panic_is_a_failed_attempt_and_the_worker_continues() {
    let server = TestServer::start().await;
    let spec = v1::JobSpec { payload: Some(text("the sky fell")), retry: attempts(2), ..job("test.panic") };
    let ended = server.run_to_end(spec.clone()).await;
    let failure = ended.failure();
    assert_eq!((failure.reason(), failure.attempt), (FailureReason::Panic, 2));
    assert_eq!(failure.message, "the handler panicked: the sky fell");
    for _ in 0..10 {
        server.run_to_end(v1::JobSpec { retry: None, ..spec.clone() }).await.failure();
    }
    server.gate.open(1);
    server.run_to_end(job("test.gate")).await.result();
}

#[tokio::test]
async fn an_attempt_that_times_out_is_retried() {
    let server = TestServer::start().await;
    let attempt_timeout = Some(millis(100));
    let spec = v1::JobSpec { attempt_timeout, retry: attempts(2), ..job("test.stubborn") };
    let ended = server.run_to_end(spec).await;
    let failure = ended.failure();
    assert_eq!((failure.reason(), failure.attempt), (FailureReason::AttemptTimeout, 2));
    assert!(failure.message.contains("100ms"), "{failure:?}");
}

#[tokio::test]
async fn the_job_timeout_ends_a_job_in_every_state() {
    let server = TestServer::start().await;
    let timeout = Some(millis(150));
    let running = v1::JobSpec { timeout, ..job("test.stubborn") };
    let queued = v1::JobSpec { timeout, ..job("nobody.serves.this") };
    let scheduled = v1::JobSpec { timeout, start: Some(Start::StartDelay(seconds(600))), ..echo("later") };
    for (spec, attempt) in [(running, 1), (queued, 0), (scheduled, 0)] {
        let ended = server.run_to_end(spec).await;
        let failure = ended.failure();
        assert_eq!((failure.reason(), failure.attempt), (FailureReason::Deadline, attempt), "{failure:?}");
        server.watch_all(&ended.id, 0).await.outcome();
    }
}

#[tokio::test]
async fn a_result_above_the_limit_fails_the_attempt() {
    let server = TestServer::with(|setup: &mut Setup| {
        let worker = std::mem::take(&mut setup.worker);
        setup.worker = worker.handler("test.large", |_, bytes: usize| async move { Ok("x".repeat(bytes)) });
    })
    .await;
    let of_size = |bytes: usize| v1::JobSpec { payload: Some(text(&bytes.to_string())), ..job("test.large") };
    // The result includes two quotes.
    server.run_to_end(of_size((1 << 20) - 2)).await.result();
    let ended = server.run_to_end(v1::JobSpec { retry: attempts(3), ..of_size((1 << 20) - 1) }).await;
    let failure = ended.failure();
    assert_eq!((failure.reason(), failure.attempt), (FailureReason::ResultTooLarge, 1));
    assert!(failure.message.contains("1048577") && failure.message.contains("1048576"), "{failure:?}");
}

#[tokio::test]
async fn headers_reach_the_handler() {
    let server = TestServer::start().await;
    let headers = [("traceparent".to_owned(), "00-0af7-01".to_owned()), ("b".to_owned(), String::new())];
    let spec =
        v1::JobSpec { headers: headers.into(), payload: Some(payload(json!(null))), ..job("test.headers") };
    let ended = server.run_to_end(spec).await;
    assert_eq!(ended.result(), &payload(json!({"b": "", "traceparent": "00-0af7-01"})));
}

#[tokio::test]
async fn retry_creates_a_new_job_and_does_not_change_the_finished_one() {
    let server = TestServer::start().await;
    let labels = [("team".to_owned(), "blue".to_owned())];
    let spec =
        v1::JobSpec { payload: Some(payload(json!({"message": "no"}))), priority: 5, ..job("demo.fail") };
    let old = server.run_to_end(v1::JobSpec { labels: labels.into(), ..spec }).await;
    let before = server.get(&old.id).await;
    let answer = retry(&server, of(&old.id)).await.unwrap();
    assert_eq!(answer.disposition(), Disposition::Created);
    assert_ne!(answer.job_id, old.id);
    assert_eq!(server.end(&answer.job_id).await.failure().message, "no");
    let new = server.get(&answer.job_id).await;
    assert_eq!(new.origin_job_id, old.id);
    assert_eq!(v1::JobSpec { job_id: old.id.clone(), ..new.spec.unwrap() }, before.spec.clone().unwrap());
    assert_eq!(server.get(&old.id).await, before);
}

#[tokio::test]
async fn retry_may_change_payload_and_kind() {
    let server = TestServer::start().await;
    let old = server.run_to_end(job("demo.fail")).await;
    let request =
        v1::RetryRequest { kind: "demo.echo".to_owned(), payload: Some(text("mended")), ..of(&old.id) };
    let answer = retry(&server, request).await.unwrap();
    assert_eq!(server.end(&answer.job_id).await.result(), &text("mended"));
}

#[tokio::test]
async fn retry_with_an_id_is_idempotent() {
    let server = TestServer::start().await;
    let old = server.run_to_end(job("demo.fail")).await;
    let request = v1::RetryRequest { new_job_id: new_id(), ..of(&old.id) };
    assert_eq!(retry(&server, request.clone()).await.unwrap().disposition(), Disposition::Created);
    server.end(&request.new_job_id).await.failure();
    assert_eq!(retry(&server, request.clone()).await.unwrap().disposition(), Disposition::Existing);
    let other = v1::RetryRequest { payload: Some(text("other")), ..request };
    refused(&retry(&server, other).await.unwrap_err(), Code::AlreadyExists, "JOB_ID_REUSED");
    let itself = v1::RetryRequest { new_job_id: old.id.clone(), ..of(&old.id) };
    refused(&retry(&server, itself).await.unwrap_err(), Code::AlreadyExists, "JOB_ID_REUSED");
}

#[tokio::test]
async fn only_a_finished_job_can_be_retried_or_deleted() {
    let server = TestServer::start().await;
    let running = server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    for status in
        [retry(&server, of(&running)).await.unwrap_err(), server.delete(&running).await.unwrap_err()]
    {
        let details = refused(&status, Code::FailedPrecondition, "ILLEGAL_STATE");
        assert_eq!(details.error_info().unwrap().metadata["state"], "RUNNING");
    }
    refused(&retry(&server, of(&new_id())).await.unwrap_err(), Code::NotFound, "JOB_NOT_FOUND");
    let watched = server.watch(watch_request(&running, 0)).await;
    server.gate.open(1);
    watched.rest().await.outcome();
}
