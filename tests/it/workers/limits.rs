//! Jobs above the message limit of a worker, and jobs that break streams.

use std::time::Duration;

use jobstream::job::Payload;
use jobstream::proto::v1;
use jobstream::proto::v1::worker_service_client::WorkerServiceClient;
use jobstream::proto::v1::{FailureReason, WaitReason};
use jobstream::worker::{JobContext, RemoteOptions, Worker};
use tonic::Code;

use super::remote_job;
use crate::support::raw_worker::{RawWorker, complete, hello};
use crate::support::{TestServer, data, job, refused, until, wait_for};

const LARGE: usize = 20_000_000;

/// Starts a server that accepts large jobs.
async fn server_with_large_limits() -> TestServer {
    TestServer::with(|setup| {
        setup.engine.core.payload_bytes_max = 24 << 20;
        setup.server.message_bytes_max = 32 << 20;
    })
    .await
}

fn large_job() -> v1::JobSpec {
    v1::JobSpec { payload: Some(data(vec![7; LARGE])), ..job("remote") }
}

fn reading(bytes: u32, hello: v1::Hello) -> v1::Hello {
    v1::Hello { message_bytes_max: Some(bytes), ..hello }
}

#[tokio::test]
async fn a_job_too_large_for_all_workers_waits_and_others_run() {
    let server = server_with_large_limits().await;
    let large = server.submit(large_job()).await;
    let mut worker = RawWorker::open(&server, hello(1, 10)).await;
    for number in 0..5 {
        let id = server.submit(remote_job(&number.to_string())).await;
        let assigned = worker.assigned(1).await;
        assert_eq!(assigned[0].job_id, id, "a worker with the default limit gets jobs within it");
        worker.report(&assigned[0].lease_id, complete("done")).await;
        assert_eq!(server.end(&id).await.text(), "done");
    }
    assert_eq!(server.peek(&large).await.wait_reason(), WaitReason::WorkerLimit);

    let mut roomy = RawWorker::open(&server, reading(32 << 20, hello(2, 1))).await;
    let assigned = roomy.assigned(1).await;
    assert_eq!(assigned[0].job_id, large);
    roomy.report(&assigned[0].lease_id, complete("large")).await;
    assert_eq!(server.end(&large).await.text(), "large");
}

#[tokio::test]
async fn a_lease_call_gets_jobs_within_its_message_limit() {
    let server = server_with_large_limits().await;
    let ids = [server.submit(large_job()).await, server.submit(remote_job("small")).await];
    let lease = async |message_bytes_max: Option<u32>| {
        let limit = message_bytes_max.unwrap_or(4 << 20) as usize;
        let mut client = WorkerServiceClient::new(server.channel()).max_decoding_message_size(limit);
        let kinds = vec!["remote".to_owned()];
        let request = v1::LeaseRequest {
            name: "caller".into(),
            kinds,
            max_jobs: 9,
            message_bytes_max,
            ..Default::default()
        };
        let answer = wait_for("Lease answers", client.lease(request))
            .await
            .expect("the response is within the limit")
            .into_inner();
        answer.assignments.into_iter().map(|assignment| assignment.job_id).collect::<Vec<_>>()
    };
    assert_eq!(lease(None).await, ids[1..]);
    assert_eq!(lease(Some(LARGE as u32)).await, Vec::<String>::new(), "the limit includes labels and names");
    assert_eq!(lease(Some(LARGE as u32 + 1_000)).await, ids[..1]);
}

#[tokio::test]
async fn messages_to_a_worker_stay_below_its_message_limit() {
    const LIMIT: u32 = 64 << 10;
    let server = TestServer::start().await;
    let spec = v1::JobSpec { payload: Some(data(vec![7; 10_000])), ..job("remote") };
    for _ in 0..30 {
        server.submit(spec.clone()).await;
    }
    let mut worker = RawWorker::open(&server, reading(LIMIT, hello(1, 100))).await;
    worker.assigned(30).await;
    assert!(worker.largest <= LIMIT as usize, "{} bytes", worker.largest);
}

#[tokio::test]
async fn a_message_limit_below_the_minimum_is_rejected() {
    let server = TestServer::start().await;
    let status = RawWorker::try_open(server.channel(), reading(65_535, hello(1, 1))).await.err();
    let status = status.expect("a refusal");
    let details = refused(&status, Code::InvalidArgument, "INVALID_FIELD");
    let violation = &details.bad_request().expect("BadRequest").field_violations[0];
    assert_eq!(violation.field, "hello.message_bytes_max");
    assert!(
        violation.description.contains("65535") && violation.description.contains("65536"),
        "{violation:?}"
    );
}

#[tokio::test]
async fn a_rust_worker_sends_its_message_limit() {
    let server = server_with_large_limits().await;
    let id = server.submit(large_job()).await;
    let worker = |bytes| {
        let mut options = RemoteOptions::default();
        options.message_bytes_max = bytes;
        let size =
            |context: JobContext| async move { Ok(Payload::text(context.payload().bytes.len().to_string())) };
        Worker::new().raw_handler("remote", size).connect(server.channel(), options).expect("valid names")
    };
    let small = worker(16 << 20);
    let is_limited = async || server.peek(&id).await.wait_reason() == WaitReason::WorkerLimit;
    until("no worker reads it", is_limited).await;
    let behind = server.submit(remote_job("small")).await;
    assert_eq!(server.end(&behind).await.text(), "5");
    let large = worker(24 << 20);
    assert_eq!(server.end(&id).await.text(), LARGE.to_string());
    drop((small, large));
}

#[tokio::test]
async fn a_job_that_breaks_streams_ends_and_others_run() {
    let server = TestServer::with(|setup| {
        setup.engine.core.reconnect_grace = Duration::from_millis(50);
    })
    .await;
    let retry = v1::RetryPolicy {
        max_lost_attempts: 2,
        initial_backoff: Some(prost_types::Duration { seconds: 0, nanos: 1_000_000 }),
        ..v1::RetryPolicy::default()
    };
    let poison = server.submit(v1::JobSpec { retry: Some(retry), ..remote_job("poison") }).await;
    let behind = server.submit(remote_job("behind")).await;
    let is_over = async || server.peek(&poison).await.outcome.is_some();
    let reason = async || server.peek(&poison).await.wait_reason();
    for instance in 1.. {
        let is_settled = async || is_over().await || reason().await == WaitReason::NoWorker;
        until("it waits again, or is over", is_settled).await;
        if is_over().await {
            break;
        }
        assert!(instance < 30, "it is offered without end");
        let worker = RawWorker::open(&server, hello(instance, 5)).await;
        until("it is offered", async || reason().await == WaitReason::Starting).await;
        drop(worker);
        until("its stream is seen to break", async || reason().await != WaitReason::Starting).await;
    }
    assert_eq!(server.end(&poison).await.failure().reason(), FailureReason::WorkerLost);
    let mut worker = RawWorker::open(&server, hello(99, 5)).await;
    let assigned = worker.assigned(1).await;
    worker.report(&assigned[0].lease_id, complete("done")).await;
    assert_eq!(server.end(&behind).await.text(), "done");
    let attempts = server.get(&behind).await.attempts;
    assert!(attempts.len() == 1 && attempts[0].failure.is_none(), "it was not suspected: {attempts:?}");
}
