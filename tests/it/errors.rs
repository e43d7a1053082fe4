//! Errors: each condition on every call, with code, reason and details.

use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::JobState;
use tonic::{Code, Status};

use crate::support::{
    TestServer, echo, frame, job, millis, new_id, raw_call, refused, until, wait_for, watch_request,
};

/// Makes every call that refers to a job. Returns their errors.
async fn all_calls(server: &TestServer, id: &str) -> Vec<(&'static str, Option<Status>)> {
    let job_id = id.to_owned();
    let retry = v1::RetryRequest { job_id: job_id.clone(), ..Default::default() };
    let get = v1::GetJobRequest { job_id };
    let watched = server.watch_all(id, 0).await.ended.expect("the watch has ended");
    vec![
        ("GetResult", server.try_result(id, Duration::ZERO).await.err()),
        ("GetJob", wait_for("GetJob answers", server.jobs().get_job(get)).await.err()),
        ("WatchResult", watched.err()),
        ("Cancel", server.cancel(id, Duration::ZERO).await.err()),
        ("Retry", wait_for("Retry answers", server.jobs().retry(retry)).await.err()),
        ("Delete", server.delete(id).await.err()),
    ]
}

#[tokio::test]
async fn an_unknown_job_is_not_found_by_any_call() {
    let server = TestServer::start().await;
    let (id, boot_id) = (new_id(), server.info().await.boot_id);
    for (call, status) in all_calls(&server, &id).await {
        let details = refused(&status.expect(call), Code::NotFound, "JOB_NOT_FOUND");
        assert_eq!(details.resource_info().expect(call).resource_name, id, "{call}");
        assert_eq!(details.error_info().expect(call).metadata["boot_id"], boot_id, "{call}");
    }
}

#[tokio::test]
async fn an_expired_job_is_reported_by_every_call() {
    let server = TestServer::start().await;
    let id = server.submit(v1::JobSpec { retention: Some(millis(1)), ..echo("brief") }).await;
    until("the job expires", || async { server.info().await.jobs == 0 }).await;
    for (call, status) in all_calls(&server, &id).await {
        let details = refused(&status.expect(call), Code::NotFound, "RESULT_EXPIRED");
        assert!(details.error_info().expect(call).metadata.contains_key("expire_time"), "{call}");
    }
    let again = server.try_submit(v1::JobSpec { job_id: id, ..echo("brief") }).await.expect_err("a known id");
    refused(&again, Code::NotFound, "RESULT_EXPIRED");
}

#[tokio::test]
async fn an_unknown_queue_is_not_found() {
    let server = TestServer::start().await;
    let queue = "no-such-queue".to_owned();
    let resume = v1::ResumeQueueRequest { queue: queue.clone() };
    let purge = v1::PurgeQueueRequest { queue: queue.clone() };
    let mut admin = server.admin();
    let statuses = [
        wait_for("ResumeQueue answers", admin.resume_queue(resume)).await.unwrap_err(),
        wait_for("PurgeQueue answers", admin.purge_queue(purge)).await.unwrap_err(),
    ];
    for status in statuses {
        let details = refused(&status, Code::NotFound, "QUEUE_NOT_FOUND");
        let resource = details.resource_info().unwrap();
        assert_eq!(
            (resource.resource_type.as_str(), &resource.resource_name),
            ("jobstream.v1.Queue", &queue)
        );
    }
}

#[tokio::test]
async fn a_failed_job_is_not_an_error_of_a_call() {
    let server = TestServer::start().await;
    let id = server.run_to_end(job("demo.fail")).await.id;
    assert_eq!(server.peek(&id).await.state(), JobState::Failed);
    assert_eq!(server.get(&id).await.state(), JobState::Failed);
    server.watch_all(&id, 0).await.outcome();
    server.delete(&id).await.unwrap();
}

#[tokio::test]
async fn the_deadline_of_the_caller_is_reported_as_such() {
    let server = TestServer::start().await;
    let id = server.submit(job("test.gate")).await;
    let request = prost::Message::encode_to_vec(&watch_request(&id, 0));
    let headers = [("grpc-timeout", "300m")];
    let path = "/jobstream.v1.JobService/WatchResult";
    let answer = raw_call(server.address, path, &headers, frame(0, &request)).await;
    assert_eq!(answer.status().code(), Code::DeadlineExceeded);
    let headers = [("grpc-timeout", "soon")];
    let answer = raw_call(server.address, path, &headers, frame(0, &request)).await;
    assert_eq!(answer.status().code(), Code::InvalidArgument);
    server.gate.open(1);
    server.end(&id).await.result();
}

#[tokio::test]
async fn every_submit_is_rejected_while_draining() {
    let server = TestServer::start().await;
    let finished = server.run_to_end(echo("before")).await.id;
    let running = server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    server.shutdown.graceful.cancel();
    until("the drain begins", || async { server.info().await.draining }).await;
    let mut jobs = server.jobs();
    let validate = v1::SubmitRequest { job: Some(echo("x")), validate_only: true };
    let run = v1::RunRequest { job: Some(echo("x")), ..Default::default() };
    let retry = v1::RetryRequest { job_id: finished.clone(), ..Default::default() };
    let atomic = v1::BatchSubmitRequest { jobs: vec![echo("x")], atomic: true };
    let statuses = [
        server.try_submit(echo("x")).await.unwrap_err(),
        jobs.submit(validate).await.unwrap_err(),
        jobs.run(run).await.unwrap_err(),
        jobs.retry(retry).await.unwrap_err(),
        jobs.batch_submit(atomic).await.unwrap_err(),
    ];
    for status in statuses {
        let details = refused(&status, Code::Unavailable, "DRAINING");
        assert!(details.retry_info().unwrap().retry_delay.unwrap() > Duration::ZERO);
    }
    // Accepted jobs can be read and watched to their end.
    server.end(&finished).await.result();
    let watched = server.watch(watch_request(&running, 0)).await;
    server.gate.open(1);
    watched.rest().await.outcome();
}
