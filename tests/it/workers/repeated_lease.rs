//! Lease calls that are repeated with their request_id because the response was lost.

use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::worker_service_client::WorkerServiceClient;
use jobstream::proto::v1::{JobState, WaitReason};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::{remote_job, workers};
use crate::support::raw_worker::{complete, span};
use crate::support::{FaultProxy, TestServer, Towards, new_id, refused, until, wait_for};

fn request(max_jobs: u32) -> v1::LeaseRequest {
    v1::LeaseRequest {
        name: "caller".to_owned(),
        kinds: vec!["remote".to_owned()],
        max_jobs,
        wait: span(Duration::from_secs(20)),
        request_id: new_id(),
        ..v1::LeaseRequest::default()
    }
}

async fn lease(channel: Channel, request: v1::LeaseRequest) -> Result<Vec<v1::Assignment>, Status> {
    let answer = wait_for("Lease answers", WorkerServiceClient::new(channel).lease(request)).await?;
    Ok(answer.into_inner().assignments)
}

#[tokio::test]
async fn a_lost_response_is_repeated_and_no_other_worker_runs_the_jobs() {
    let server = TestServer::start().await;
    let proxy = FaultProxy::start(server.address).await;
    let channel = || Endpoint::new(proxy.url()).expect("a URL").connect_lazy();
    let request = request(2);
    let ids = [server.submit(remote_job("1")).await, server.submit(remote_job("2")).await];
    proxy.stall_towards(Towards::Client);
    let lost = tokio::spawn(lease(channel(), request.clone()));
    for id in &ids {
        until("the attempt runs", async || server.peek(id).await.state() == JobState::Running).await;
    }
    proxy.stalled(Towards::Client).await;
    proxy.cut();
    proxy.resume();
    wait_for("the call fails", lost).await.expect("no panic").expect_err("the response is lost");
    let other = v1::LeaseRequest { wait: None, request_id: new_id(), ..request.clone() };
    assert_eq!(lease(server.channel(), other).await.expect("an answer"), [], "the jobs have a worker");
    let taken = lease(channel(), request.clone()).await.expect("an answer");
    assert_eq!(taken.iter().map(|one| &one.job_id).collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    assert_eq!(taken.iter().map(|one| one.attempt).collect::<Vec<_>>(), [1, 1]);
    let again = lease(channel(), request).await.expect("an answer");
    let leases = |taken: &[v1::Assignment]| taken.iter().map(|one| one.lease_id.clone()).collect::<Vec<_>>();
    assert_eq!(leases(&again), leases(&taken));
    let reports = taken.into_iter().map(|one| v1::AttemptReport {
        lease_id: one.lease_id,
        news: Some(complete("done")),
        ..v1::AttemptReport::default()
    });
    let report = v1::ReportRequest { reports: reports.collect(), ..v1::ReportRequest::default() };
    WorkerServiceClient::new(server.channel()).report(report).await.expect("an answer");
    for id in &ids {
        assert_eq!(server.end(id).await.text(), "done");
        assert_eq!(server.get(id).await.attempts.len(), 1, "it ran once");
    }
    assert_eq!(workers(&server).await, []);
}

#[tokio::test]
async fn a_repeat_waits_in_the_place_of_the_first_call() {
    let server = TestServer::start().await;
    let request = request(1);
    let first = tokio::spawn(lease(server.channel(), request.clone()));
    until("it waits", async || workers(&server).await.len() == 1).await;
    let repeat = tokio::spawn(lease(server.channel(), request));
    let replaced =
        wait_for("the first call ends", first).await.expect("no panic").expect_err("it is replaced");
    refused(&replaced, Code::Aborted, "WORKER_REPLACED");
    assert_eq!(workers(&server).await.len(), 1, "the repeat waits");
    let id = server.submit(remote_job("x")).await;
    let taken = wait_for("the repeat ends", repeat).await.expect("no panic").expect("an answer");
    assert_eq!(taken[0].job_id, id);
    assert_eq!(server.peek(&id).await.state(), JobState::Running, "the end of the first call took no job");
}

#[tokio::test]
async fn an_abandoned_repeat_takes_no_waiting_jobs() {
    let server = TestServer::start().await;
    let request = request(1);
    let first = tokio::spawn(lease(server.channel(), request.clone()));
    until("it waits", async || workers(&server).await.len() == 1).await;
    let repeat = tokio::spawn(lease(server.channel(), request));
    wait_for("the first call ends", first).await.expect("no panic").expect_err("it is replaced");
    repeat.abort();
    until("it is gone", async || workers(&server).await.is_empty()).await;
    let id = server.submit(remote_job("x")).await;
    assert_eq!(server.peek(&id).await.wait_reason(), WaitReason::NoWorker);
}

#[tokio::test]
async fn invalid_and_reused_ids_are_rejected() {
    let server = TestServer::start().await;
    for id in ["seven", "00000000-0000-0000-0000-000000000000"] {
        let invalid = v1::LeaseRequest { request_id: id.to_owned(), ..request(1) };
        assert_refused(&lease(server.channel(), invalid).await.expect_err("no UUID"));
    }
    let request = request(1);
    server.submit(remote_job("x")).await;
    lease(server.channel(), request.clone()).await.expect("an answer");
    let other = v1::LeaseRequest { kinds: vec!["other".to_owned()], ..request };
    assert_refused(&lease(server.channel(), other).await.expect_err("another request"));
}

#[track_caller]
fn assert_refused(error: &Status) {
    let details = refused(error, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(details.bad_request().expect("details").field_violations[0].field, "request_id");
}
