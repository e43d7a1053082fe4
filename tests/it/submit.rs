//! Submit and BatchSubmit: idempotency, batches and validation.

use jobstream::proto::v1;
use jobstream::proto::v1::job_spec::Start;
use jobstream::proto::v1::submit_result::Result as Submitted;
use jobstream::proto::v1::{Disposition, Durability, JobState, WaitReason};
use tonic::{Code, Status};

use crate::support::{
    TestServer, batch, echo, job, new_id, refused, refused_in_batch, seconds, text, wait_for,
};

async fn submit_batch(
    server: &TestServer,
    jobs: Vec<v1::JobSpec>,
    atomic: bool,
) -> Result<Vec<v1::SubmitResult>, Status> {
    let request = v1::BatchSubmitRequest { jobs, atomic };
    wait_for("BatchSubmit answers", server.jobs().batch_submit(request))
        .await
        .map(|answer| answer.into_inner().results)
}

#[track_caller]
fn submitted(result: &v1::SubmitResult) -> &v1::SubmitResponse {
    match &result.result {
        Some(Submitted::Submitted(answer)) => answer,
        other => panic!("not submitted: {other:?}"),
    }
}

/// Returns a batch of three valid jobs and one with an invalid kind.
fn batch_with_an_invalid_job() -> Vec<v1::JobSpec> {
    let mut jobs = batch(4);
    jobs[2].kind = "no spaces please".to_owned();
    jobs
}

#[tokio::test]
async fn a_job_runs_and_its_result_is_fetched() {
    let server = TestServer::start().await;
    let answer = server.try_submit(echo("hello")).await.unwrap();
    assert_eq!(answer.disposition(), Disposition::Created);
    assert_eq!(answer.durability(), Durability::Memory);
    assert_eq!(uuid::Uuid::parse_str(&answer.job_id).unwrap().get_version_num(), 7);
    assert_eq!(server.end(&answer.job_id).await.result(), &text("hello"));
}

#[tokio::test]
async fn a_repeated_submit_returns_the_existing_job() {
    let server = TestServer::start().await;
    let id = new_id();
    let spec = v1::JobSpec { job_id: id.clone(), ..echo("once") };
    let first = server.try_submit(spec.clone()).await.unwrap();
    let ended = server.end(&id).await;
    let second = server.try_submit(spec).await.unwrap();
    assert_eq!(first.disposition(), Disposition::Created);
    assert_eq!(second.disposition(), Disposition::Existing);
    assert_eq!((second.job_id.as_str(), second.state()), (id.as_str(), JobState::Succeeded));
    assert_eq!(second.sequence, ended.sequence);
    assert_eq!(server.info().await.jobs, 1);
}

#[tokio::test]
async fn an_id_in_another_notation_is_the_same_id() {
    let server = TestServer::start().await;
    let id = new_id();
    server.submit(v1::JobSpec { job_id: id.clone(), ..echo("once") }).await;
    let shouted = v1::JobSpec { job_id: id.to_uppercase(), ..echo("once") };
    let answer = server.try_submit(shouted).await.unwrap();
    assert_eq!((answer.disposition(), answer.job_id), (Disposition::Existing, id));
}

#[tokio::test]
async fn explicit_default_options_are_the_same_spec() {
    let server = TestServer::start().await;
    let short = v1::JobSpec { job_id: new_id(), ..echo("once") };
    let retry = v1::RetryPolicy { max_attempts: 1, multiplier: 2.0, ..Default::default() };
    let long = v1::JobSpec { queue: "default".to_owned(), retry: Some(retry), ..short.clone() };
    server.submit(short).await;
    assert_eq!(server.try_submit(long).await.unwrap().disposition(), Disposition::Existing);
}

#[tokio::test]
async fn a_repeated_submit_after_the_start_time_is_the_same_job() {
    let server = TestServer::start().await;
    let start = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let start = start + std::time::Duration::from_millis(300);
    let start =
        prost_types::Timestamp { seconds: start.as_secs() as i64, nanos: start.subsec_nanos() as i32 };
    let spec = v1::JobSpec { job_id: new_id(), start: Some(Start::StartTime(start)), ..echo("later") };
    assert_eq!(server.try_submit(spec.clone()).await.unwrap().state(), JobState::Scheduled);
    server.end(&spec.job_id).await.result();
    assert_eq!(server.try_submit(spec).await.unwrap().disposition(), Disposition::Existing);
}

#[tokio::test]
async fn a_change_of_any_field_is_another_spec() {
    let server = TestServer::start().await;
    let spec = v1::JobSpec { job_id: new_id(), ..echo("once") };
    server.submit(spec.clone()).await;
    let labels = [("team".to_owned(), "blue".to_owned())];
    let others = [
        v1::JobSpec { kind: "demo.sleep".to_owned(), ..spec.clone() },
        v1::JobSpec { queue: "other".to_owned(), ..spec.clone() },
        v1::JobSpec { payload: Some(text("twice")), ..spec.clone() },
        v1::JobSpec { priority: 1, ..spec.clone() },
        v1::JobSpec { labels: labels.clone().into(), ..spec.clone() },
        v1::JobSpec { headers: labels.into(), ..spec.clone() },
        v1::JobSpec { timeout: Some(seconds(60)), ..spec.clone() },
        v1::JobSpec { attempt_timeout: Some(seconds(60)), ..spec.clone() },
        v1::JobSpec { retention: Some(seconds(60)), ..spec.clone() },
        v1::JobSpec { start: Some(Start::StartDelay(seconds(60))), ..spec.clone() },
    ];
    for other in others {
        let status = server.try_submit(other).await.unwrap_err();
        let details = refused(&status, Code::AlreadyExists, "JOB_ID_REUSED");
        assert_eq!(details.resource_info().unwrap().resource_name, spec.job_id);
    }
    assert_eq!(server.info().await.jobs, 1);
}

#[tokio::test]
async fn concurrent_submits_of_one_id_create_one_job() {
    let server = TestServer::start().await;
    let spec = v1::JobSpec { job_id: new_id(), ..echo("once") };
    let mut submits = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (mut client, spec) = (server.new_jobs().await, spec.clone());
        submits.spawn(async move {
            let request = v1::SubmitRequest { job: Some(spec), validate_only: false };
            client.submit(request).await.unwrap().into_inner().disposition()
        });
    }
    let answers = wait_for("every Submit answers", submits.join_all()).await;
    assert_eq!(answers.iter().filter(|answer| **answer == Disposition::Created).count(), 1);
    assert_eq!(server.watch_all(&spec.job_id, 0).await.sequences(), [1, 2, 3]);
}

#[tokio::test]
async fn validate_only_checks_a_job_and_stores_nothing() {
    let server = TestServer::start().await;
    let validate = async |job| {
        let request = v1::SubmitRequest { job: Some(job), validate_only: true };
        wait_for("Submit answers", server.jobs().submit(request)).await.map(tonic::Response::into_inner)
    };
    let answer = validate(echo("hello")).await.unwrap();
    assert_eq!((answer.disposition(), answer.job_id.as_str()), (Disposition::Validated, ""));
    let id = new_id();
    let answer = validate(v1::JobSpec { job_id: id.clone(), ..echo("hello") }).await.unwrap();
    assert_eq!((answer.disposition(), answer.job_id), (Disposition::Validated, id.clone()));
    refused(
        &server.try_result(&id, std::time::Duration::ZERO).await.unwrap_err(),
        Code::NotFound,
        "JOB_NOT_FOUND",
    );

    let status = validate(job("")).await.unwrap_err();
    refused(&status, Code::InvalidArgument, "INVALID_FIELD");
    server.submit(v1::JobSpec { job_id: id.clone(), ..echo("hello") }).await;
    let status = validate(v1::JobSpec { job_id: id, ..echo("other") }).await.unwrap_err();
    refused(&status, Code::AlreadyExists, "JOB_ID_REUSED");
    assert_eq!(server.info().await.jobs, 1);
}

#[tokio::test]
async fn a_submit_returns_why_the_job_waits() {
    let server = TestServer::start().await;
    server.admin().pause_queue(v1::PauseQueueRequest { queue: "paused".to_owned() }).await.expect("a queue");
    let later = Start::StartDelay(seconds(3600));
    let cases = [
        (job("no.such.kind"), WaitReason::NoWorker),
        (v1::JobSpec { start: Some(later), ..echo("later") }, WaitReason::NotDue),
        (v1::JobSpec { queue: "paused".to_owned(), ..echo("paused") }, WaitReason::QueuePaused),
    ];
    for (spec, reason) in &cases {
        let answer = server.try_submit(spec.clone()).await.expect("an answer");
        assert_eq!(answer.wait_reason(), *reason);
        let again = v1::JobSpec { job_id: answer.job_id, ..spec.clone() };
        let again = server.try_submit(again).await.expect("the same job");
        assert_eq!((again.disposition(), again.wait_reason()), (Disposition::Existing, *reason));
    }
    let specs = cases.iter().map(|(spec, _)| spec.clone()).collect::<Vec<_>>();
    let results = submit_batch(&server, specs, false).await.expect("results");
    for (result, (_, reason)) in results.iter().zip(&cases) {
        assert_eq!(submitted(result).wait_reason(), *reason);
    }

    let id = server.run_to_end(echo("done")).await.id;
    let done = server.try_submit(v1::JobSpec { job_id: id.clone(), ..echo("done") }).await.expect("the same");
    assert_eq!((done.state(), done.wait_reason()), (JobState::Succeeded, WaitReason::Unspecified));
    let retry = v1::RetryRequest { job_id: id, kind: "no.such.kind".to_owned(), ..Default::default() };
    let retried = server.jobs().retry(retry).await.expect("a new job").into_inner();
    assert_eq!(retried.wait_reason(), WaitReason::NoWorker);
}

#[tokio::test]
async fn a_batch_has_a_result_for_each_job_in_order() {
    let server = TestServer::start().await;
    let results = submit_batch(&server, batch_with_an_invalid_job(), false).await.unwrap();
    let message = refused_in_batch(&results[2], Code::InvalidArgument, "INVALID_FIELD");
    assert!(message.starts_with("jobs[2].kind: "), "{message}");
    for (number, index) in [(0, 0), (1, 1), (3, 3)] {
        let id = &submitted(&results[index]).job_id;
        assert_eq!(server.end(id).await.result(), &text(&number.to_string()));
    }
    assert_eq!(server.info().await.jobs, 3);
}

#[tokio::test]
async fn an_atomic_batch_with_an_invalid_job_is_rejected() {
    let server = TestServer::start().await;
    let status = submit_batch(&server, batch_with_an_invalid_job(), true).await.unwrap_err();
    let details = refused(&status, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "jobs[2].kind");
    assert_eq!(server.info().await.jobs, 0);

    let mut jobs = batch(3);
    jobs[2] = v1::JobSpec { job_id: jobs[0].job_id.clone(), ..echo("another") };
    let status = submit_batch(&server, jobs, true).await.unwrap_err();
    refused(&status, Code::AlreadyExists, "JOB_ID_REUSED");
    assert!(status.message().starts_with("jobs[2]: "), "{status:?}");
    assert_eq!(server.info().await.jobs, 0);
}

#[tokio::test]
async fn a_valid_atomic_batch_is_accepted_and_idempotent() {
    let server = TestServer::start().await;
    let mut jobs = batch(1_000);
    jobs[999] = jobs[0].clone();
    let results = submit_batch(&server, jobs.clone(), true).await.unwrap();
    assert_eq!(results.len(), 1_000);
    assert_eq!(submitted(&results[999]).disposition(), Disposition::Existing);
    let again = submit_batch(&server, jobs, true).await.unwrap();
    assert!(again.iter().all(|result| submitted(result).disposition() == Disposition::Existing));
    assert_eq!(server.info().await.jobs, 999);
}

#[tokio::test]
async fn empty_and_too_large_batches_are_rejected() {
    let server = TestServer::start().await;
    for jobs in [Vec::new(), batch(1_001)] {
        let status = submit_batch(&server, jobs, false).await.unwrap_err();
        let details = refused(&status, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "jobs");
    }
    assert_eq!(server.info().await.jobs, 0);
}
