//! Submitting: one request is one job, whatever happens on the way.

use std::time::{Duration, Instant, SystemTime};

use jobstream::client::{Durability, ErrorKind, reason};
use jobstream::job::{JobFilter, JobId, JobState, RetryPolicy, Start};
use serde_json::{Value, json};

use super::Scene;
use crate::support::{Towards, job, wait_for};

#[tokio::test]
async fn a_submit_whose_answer_is_lost_makes_one_job() {
    let scene = Scene::start().await;
    let request = scene.client.job("demo.echo").text("once");
    scene.proxy.stall_towards(Towards::Client);
    let submitting = tokio::spawn({
        let request = request.clone();
        async move { request.submit::<String>().await }
    });
    scene.proxy.held_back(Towards::Client).await;
    assert_eq!(scene.server.get(&request.job_id().to_string()).await.sequence, 3);
    scene.proxy.cut();
    scene.proxy.resume();
    let job = wait_for("the submit answers", submitting).await.unwrap().expect("it is tried again");
    assert_eq!(job.id(), request.job_id());
    assert!(!job.submission().unwrap().is_new, "the first try made it");
    assert_eq!(scene.server.info().await.jobs, 1);
}

#[tokio::test]
async fn a_request_submitted_again_is_the_same_job() {
    let scene = Scene::start().await;
    let request = scene.client.job("demo.echo").text("again");
    let first = request.submit::<String>().await.unwrap();
    let submission = first.submission().unwrap();
    assert!(submission.is_new && submission.sequence >= 1);
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
async fn every_option_of_a_request_arrives() {
    let scene = Scene::start().await;
    let id = JobId::mint();
    let policy = RetryPolicy { max_attempts: 7, jitter: 0.5, ..RetryPolicy::default() };
    let seconds = Duration::from_secs;
    let request = scene.client.job("a.kind").json(&json!({"n": 9_007_199_254_740_993_u64})).unwrap();
    let request = request.id(id).queue("slow").priority(-3).delay(seconds(600)).retry(policy);
    let request = request.timeout(seconds(900)).attempt_timeout(seconds(60)).retention(seconds(120));
    let job = request.label("team", "blue").header("trace", "1").submit::<Value>().await.unwrap();
    assert_eq!(job.id(), id);
    let view = scene.client.get(id).await.unwrap();
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

    let request = scene.client.job("a.kind").start_at(SystemTime::UNIX_EPOCH + seconds(4_000_000_000));
    let view = scene.client.get(request.submit::<Value>().await.unwrap().id()).await.unwrap();
    let Start::At(time) = view.spec.options.unwrap().start else { panic!("a start time") };
    assert_eq!(time.as_micros(), 4_000_000_000_000_000);
}

#[tokio::test]
async fn what_the_server_refuses_is_told_field_by_field() {
    let scene = Scene::start().await;
    let error = scene.client.job("no such kind!").priority(1000).submit::<Value>().await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::InvalidArgument, reason::INVALID_FIELD));
    let fields: Vec<_> = error.violations().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["job.kind", "job.priority"]);
    assert!(error.to_string().contains(&scene.proxy.url()), "{error}");
    let error = scene.client.job("a").data(vec![0; 2 << 20], "").submit::<Value>().await.unwrap_err();
    assert_eq!(error.reason(), reason::PAYLOAD_TOO_LARGE);
    assert_eq!(error.fact("limit"), Some("1048576"));
}

#[tokio::test]
async fn a_batch_of_any_size_is_answered_in_order() {
    let scene = Scene::start().await;
    let mut requests: Vec<_> =
        (0..2_300).map(|number| scene.client.job("later.kind").text(number.to_string())).collect();
    requests[1_500] = scene.client.job("");
    // Larger together than one message may be.
    requests[7..15].iter_mut().for_each(|request| {
        *request = request.clone().text("x".repeat(1 << 20));
    });
    let ids: Vec<_> = requests.iter().map(|request| request.job_id()).collect();
    let answers = scene.client.submit_all::<Value>(requests.clone()).await;
    assert_eq!(answers.len(), ids.len());
    for (number, (answer, id)) in answers.into_iter().zip(ids).enumerate() {
        match answer {
            Ok(job) => assert_eq!(job.id(), id, "{number}"),
            Err(error) => assert_eq!((number, error.kind()), (1_500, ErrorKind::InvalidArgument), "{error}"),
        }
    }
    assert_eq!(scene.server.info().await.jobs, 2_299);
    let again = scene.client.submit_all::<Value>(requests).await;
    assert!(again.iter().flatten().all(|job| !job.submission().unwrap().is_new));
    assert_eq!(scene.server.info().await.jobs, 2_299);
}

#[tokio::test]
async fn a_full_server_is_asked_again_when_it_says_so() {
    let scene = Scene::with(|setup| setup.engine.core.jobs_max = 1, |_| {}).await;
    let running = scene.server.submit(job("test.gate")).await;
    scene.proxy.stall_towards(Towards::Client);
    let request = scene.client.job("demo.echo").text("at last");
    let submitting = tokio::spawn(async move { request.submit::<String>().await });
    // The refusal is on its way.
    scene.proxy.held_back(Towards::Client).await;
    scene.server.gate.open(1);
    scene.server.end(&running).await;
    let told = Instant::now();
    scene.proxy.resume();
    let job = wait_for("there is room", submitting).await.unwrap().expect("it is tried again");
    assert!(told.elapsed() >= Duration::from_secs(1), "{:?}", told.elapsed());
    assert_eq!(job.await.unwrap(), "at last");
}

#[tokio::test]
async fn a_full_server_is_told_when_no_try_is_left() {
    let scene =
        Scene::with(|setup| setup.engine.core.jobs_max = 1, |options| options.retry.tries_max = 1).await;
    scene.server.submit(job("test.gate")).await;
    let request = scene.client.job("demo.echo");
    let error = wait_for("the submit ends", request.submit::<Value>()).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::ResourceExhausted, reason::QUEUE_FULL));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert!(error.is_transient());
    let listed = scene.client.list(&JobFilter::default()).next().await.unwrap().unwrap();
    assert_eq!(listed.spec.kind.as_str(), "test.gate");
}
