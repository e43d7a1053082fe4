//! GetResult: responses at the end, at the wait timeout or before the caller's deadline.

use std::time::{Duration, Instant};

use jobstream::proto::v1;
use jobstream::proto::v1::{JobState, WaitReason};
use prost::Message;
use tonic::Code;

use crate::support::{
    Ended, TestServer, echo, frame, job, millis, new_id, raw_call, refused, text, until, wait_for,
};

const LONG: Duration = Duration::from_secs(25);

/// Waits until there are this many watchers.
async fn watchers(server: &TestServer, count: u32) {
    until("the calls wait", || async { server.info().await.watchers == count }).await;
}

#[tokio::test]
async fn a_wait_completes_when_the_job_ends() {
    let server = TestServer::start().await;
    let id = server.submit(v1::JobSpec { payload: Some(text("done")), ..job("test.gate") }).await;
    let open = async {
        watchers(&server, 1).await;
        server.gate.open(1);
        Instant::now()
    };
    let (answer, opened) = tokio::join!(server.try_result(&id, LONG), open);
    assert_eq!(Ended::of(&id, &answer.unwrap()).result(), &text("done"));
    assert!(opened.elapsed() < Duration::from_secs(2), "{:?}", opened.elapsed());
}

#[tokio::test]
async fn a_hundred_waits_for_one_job_complete() {
    let server = TestServer::start().await;
    let id = server.submit(job("test.gate")).await;
    let mut waiters = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let mut client = server.jobs();
        let request = v1::GetResultRequest { job_id: id.clone(), wait: Some(millis(25_000)) };
        waiters.spawn(async move { client.get_result(request).await.unwrap().into_inner() });
    }
    watchers(&server, 100).await;
    server.gate.open(1);
    let answers = wait_for("every wait is answered", waiters.join_all()).await;
    assert!(answers.iter().all(|answer| answer == &answers[0] && answer.outcome.is_some()));
    watchers(&server, 0).await;
}

#[tokio::test]
async fn a_wait_that_times_out_returns_the_state() {
    let server = TestServer::start().await;
    let id = server.submit(job("test.gate")).await;
    let begin = Instant::now();
    let answer = server.try_result(&id, Duration::from_millis(300)).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(300), "{:?}", begin.elapsed());
    assert_eq!((answer.state(), answer.outcome, answer.expire_time), (JobState::Running, None, None));
    assert_eq!(answer.sequence, 2);
}

#[tokio::test]
async fn a_wait_completes_before_the_deadline_of_the_caller() {
    let server = TestServer::start().await;
    let id = server.submit(job("test.gate")).await;
    let request = v1::GetResultRequest { job_id: id, wait: Some(millis(25_000)) };
    // A raw call: a stub would enforce the deadline itself.
    let path = "/jobstream.v1.JobService/GetResult";
    let timeout = [("grpc-timeout", "700m")];
    let begin = Instant::now();
    let answer = raw_call(server.address, path, &timeout, frame(0, &request.encode_to_vec())).await;
    assert!(begin.elapsed() >= Duration::from_millis(500), "{:?}", begin.elapsed());
    assert_eq!(answer.status().code(), Code::Ok);
    let answer = v1::GetResultResponse::decode(&answer.body[5..]).unwrap();
    assert_eq!((answer.state(), answer.outcome), (JobState::Running, None));
}

#[tokio::test]
async fn without_a_wait_the_response_has_the_wait_reason() {
    let server = TestServer::start().await;
    let id = server.submit(job("nobody.serves.this")).await;
    let answer = server.peek(&id).await;
    assert_eq!((answer.state(), answer.wait_reason()), (JobState::Queued, WaitReason::NoWorker));
    assert_eq!(answer.outcome, None);
}

#[tokio::test]
async fn a_result_never_changes() {
    let server = TestServer::start().await;
    let first = server.run_to_end(echo("done")).await;
    let answer = server.peek(&first.id).await;
    assert!(answer.expire_time.is_some());
    server.cancel(&first.id, Duration::ZERO).await.unwrap_err();
    assert_eq!(server.peek(&first.id).await, answer);
    assert_eq!(server.end(&first.id).await, first);
}

#[tokio::test]
async fn unknown_and_expired_jobs_have_different_errors() {
    let server = TestServer::start().await;
    let unknown = new_id();
    let status = server.try_result(&unknown, LONG).await.unwrap_err();
    let details = refused(&status, Code::NotFound, "JOB_NOT_FOUND");
    let resource = details.resource_info().unwrap();
    assert_eq!((resource.resource_type.as_str(), &resource.resource_name), ("jobstream.v1.Job", &unknown));
    assert_eq!(details.error_info().unwrap().metadata["boot_id"], server.info().await.boot_id);

    let id = server.submit(v1::JobSpec { retention: Some(millis(1)), ..echo("brief") }).await;
    let is_gone = || async { server.try_result(&id, Duration::ZERO).await.is_err() };
    until("the retention passes", is_gone).await;
    let status = server.try_result(&id, LONG).await.unwrap_err();
    let details = refused(&status, Code::NotFound, "RESULT_EXPIRED");
    let facts = &details.error_info().unwrap().metadata;
    assert_eq!(facts["job_id"], id);
    assert!(facts["expire_time"].starts_with("20") && facts["expire_time"].ends_with('Z'), "{facts:?}");
}

#[tokio::test]
async fn a_deleted_job_is_not_found() {
    let server = TestServer::start().await;
    let ended = server.run_to_end(echo("done")).await;
    server.delete(&ended.id).await.unwrap();
    let status = server.try_result(&ended.id, LONG).await.unwrap_err();
    refused(&status, Code::NotFound, "JOB_NOT_FOUND");
    refused(&server.delete(&ended.id).await.unwrap_err(), Code::NotFound, "JOB_NOT_FOUND");
}

#[tokio::test]
async fn above_the_byte_limit_the_oldest_results_are_removed() {
    let server = TestServer::with(|setup| setup.engine.core.retention_bytes_max = 64 * 1024).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(server.run_to_end(echo(&"x".repeat(10 * 1024))).await.id);
    }
    refused(&server.try_result(&ids[0], LONG).await.unwrap_err(), Code::NotFound, "RESULT_EXPIRED");
    assert!(server.peek(&ids[9]).await.outcome.is_some());
    assert!(server.info().await.jobs < 7);
}
