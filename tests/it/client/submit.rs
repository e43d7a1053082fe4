//! Submits: one request is one job, also across retries.

use std::time::{Duration, Instant, SystemTime};

use jobstream::client::{Durability, ErrorKind, reason};
use jobstream::job::{JobFilter, JobId, JobState, RetryPolicy, Start, WaitReason};
use serde_json::{Value, json};

use super::Fixture;
use crate::support::{Towards, job, wait_for};

#[tokio::test]
async fn a_submit_with_a_lost_response_creates_one_job() {
    let fixture = Fixture::start().await;
    let request = fixture.client.job("demo.echo").text("once");
    fixture.proxy.stall_towards(Towards::Client);
    let submitting = tokio::spawn({
        let request = request.clone();
        async move { request.submit::<String>().await }
    });
    fixture.proxy.stalled(Towards::Client).await;
    assert_eq!(fixture.server.get(&request.job_id().to_string()).await.sequence, 3);
    fixture.proxy.cut();
    fixture.proxy.resume();
    let job = wait_for("the submit answers", submitting).await.unwrap().expect("the submit is retried");
    assert_eq!(job.id(), request.job_id());
    assert!(!job.submission().unwrap().is_new, "the first request created it");
    assert_eq!(fixture.server.info().await.jobs, 1);
}

#[tokio::test]
async fn a_repeated_request_is_the_same_job() {
    let fixture = Fixture::start().await;
    let request = fixture.client.job("demo.echo").text("again");
    let first = request.submit::<String>().await.unwrap();
    let submission = first.submission().unwrap();
    assert!(submission.is_new && submission.sequence >= 1);
    assert_eq!(submission.wait_reason, None, "a worker takes it at once");
    let waiting = fixture.client.job("no.such.kind").submit::<()>().await.unwrap();
    assert_eq!(waiting.submission().unwrap().wait_reason, Some(WaitReason::NoWorker));
    assert_eq!(submission.durability, Durability::Memory);
    assert_eq!(first.await.unwrap(), "again");
    let second = request.clone().submit::<String>().await.unwrap();
    assert_eq!(second.id(), request.job_id());
    assert_eq!(second.submission().unwrap().state, JobState::Succeeded);
    assert!(!second.submission().unwrap().is_new);
    let other = request.text("different").submit::<String>().await.unwrap_err();
    assert_eq!((other.kind(), other.reason()), (ErrorKind::AlreadyExists, reason::JOB_ID_REUSED));
}

#[tokio::test]
async fn all_options_of_a_request_are_sent() {
    let fixture = Fixture::start().await;
    let id = JobId::mint();
    let policy = RetryPolicy { max_attempts: 7, jitter: 0.5, ..RetryPolicy::default() };
    let seconds = Duration::from_secs;
    let request = fixture.client.job("a.kind").json(&json!({"n": 9_007_199_254_740_993_u64})).unwrap();
    let request = request.id(id).queue("slow").priority(-3).delay(seconds(600)).retry(policy);
    let request = request.timeout(seconds(900)).attempt_timeout(seconds(60)).retention(seconds(120));
    let job = request.label("team", "blue").header("trace", "1").submit::<Value>().await.unwrap();
    assert_eq!(job.id(), id);
    let view = fixture.client.get(id).await.unwrap();
    assert_eq!((view.id, view.state), (id, JobState::Scheduled));
    let spec = &view.spec;
    assert_eq!((spec.kind.as_str(), spec.queue.as_str(), spec.priority), ("a.kind", "slow", -3));
    assert_eq!(spec.payload.content_type(), "application/json");
    assert_eq!(spec.payload.bytes, r#"{"n":9007199254740993}"#);
    let options = spec.options.as_deref().unwrap();
    assert_eq!((options.start, options.retry), (Start::After(seconds(600)), policy));
    assert_eq!((options.timeout, options.attempt_timeout), (Some(seconds(900)), Some(seconds(60))));
    assert_eq!(options.retention, Some(seconds(120)));
    assert_eq!((options.labels["team"].as_str(), options.headers["trace"].as_str()), ("blue", "1"));

    let request = fixture.client.job("a.kind").start_at(SystemTime::UNIX_EPOCH + seconds(4_000_000_000));
    let view = fixture.client.get(request.submit::<Value>().await.unwrap().id()).await.unwrap();
    let Start::At(time) = view.spec.options.unwrap().start else { panic!("a start time") };
    assert_eq!(time.as_micros(), 4_000_000_000_000_000);
}

#[tokio::test]
async fn a_rejected_request_lists_all_violations() {
    let fixture = Fixture::start().await;
    let error = fixture.client.job("no such kind!").priority(1000).submit::<Value>().await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::InvalidArgument, reason::INVALID_FIELD));
    let fields: Vec<_> = error.violations().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["job.kind", "job.priority"]);
    assert!(error.to_string().contains(&fixture.proxy.url()), "{error}");
    let error = fixture.client.job("a").data(vec![0; 2 << 20], "").submit::<Value>().await.unwrap_err();
    assert_eq!(error.reason(), reason::PAYLOAD_TOO_LARGE);
    assert_eq!(error.fact("limit"), Some("1048576"));
}

#[tokio::test]
async fn a_batch_of_any_size_has_results_in_order() {
    let fixture = Fixture::start().await;
    let mut requests: Vec<_> =
        (0..2_300).map(|number| fixture.client.job("later.kind").text(number.to_string())).collect();
    requests[1_500] = fixture.client.job("");
    // Together larger than one message.
    requests[7..15].iter_mut().for_each(|request| {
        *request = request.clone().text("x".repeat(1 << 20));
    });
    let ids: Vec<_> = requests.iter().map(|request| request.job_id()).collect();
    let answers = fixture.client.submit_all::<Value>(requests.clone()).await;
    assert_eq!(answers.len(), ids.len());
    for (number, (answer, id)) in answers.into_iter().zip(ids).enumerate() {
        match answer {
            Ok(job) => assert_eq!(job.id(), id, "{number}"),
            Err(error) => assert_eq!((number, error.kind()), (1_500, ErrorKind::InvalidArgument), "{error}"),
        }
    }
    assert_eq!(fixture.server.info().await.jobs, 2_299);
    let again = fixture.client.submit_all::<Value>(requests).await;
    assert!(again.iter().flatten().all(|job| !job.submission().unwrap().is_new));
    assert_eq!(fixture.server.info().await.jobs, 2_299);
}

#[tokio::test]
async fn a_full_server_is_retried_after_its_retry_delay() {
    let fixture = Fixture::with(|setup| setup.engine.core.jobs_max = 1, |_| {}).await;
    let running = fixture.server.submit(job("test.gate")).await;
    fixture.proxy.stall_towards(Towards::Client);
    let request = fixture.client.job("demo.echo").text("at last");
    let submitting = tokio::spawn(async move { request.submit::<String>().await });
    // The server has rejected the request.
    fixture.proxy.stalled(Towards::Client).await;
    fixture.server.gate.open(1);
    fixture.server.end(&running).await;
    let refused = Instant::now();
    fixture.proxy.resume();
    let job = wait_for("there is capacity", submitting).await.unwrap().expect("the submit is retried");
    assert!(refused.elapsed() >= Duration::from_secs(1), "{:?}", refused.elapsed());
    assert_eq!(job.await.unwrap(), "at last");
}

#[tokio::test]
async fn a_full_server_is_reported_after_the_last_retry() {
    let fixture =
        Fixture::with(|setup| setup.engine.core.jobs_max = 1, |options| options.retry.tries_max = 1).await;
    fixture.server.submit(job("test.gate")).await;
    let request = fixture.client.job("demo.echo");
    let error = wait_for("the submit ends", request.submit::<Value>()).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::ResourceExhausted, reason::QUEUE_FULL));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert!(error.is_transient());
    let listed = fixture.client.list(&JobFilter::default()).next().await.unwrap().unwrap();
    assert_eq!(listed.spec.kind.as_str(), "test.gate");
}
