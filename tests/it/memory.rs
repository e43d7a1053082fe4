//! The memory budget: limits derive from it, memory is accounted, and reported limits are enforced.

mod cgroup;

use jobstream::engine::EngineOptions;
use jobstream::memory::MemoryBudget;
use jobstream::proto::v1;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::support::{TestServer, data, echo, job, refused, wait_for};

/// Returns the reported memory of a category.
async fn memory(server: &TestServer, category: &str) -> v1::MemoryUse {
    let uses = server.info().await.memory;
    let found = uses.iter().find(|found| found.category == category);
    found.unwrap_or_else(|| panic!("no category {category} in {uses:?}")).clone()
}

#[tokio::test]
async fn a_server_reports_memory_and_limits_of_its_budget() {
    let server =
        TestServer::with(|setup| setup.engine = EngineOptions::within(MemoryBudget::of(512 << 20))).await;
    server.pause("default").await;
    server.submit(v1::JobSpec { payload: Some(data(vec![7; 1_000_000])), ..job("demo.echo") }).await;
    let limits = server.info().await.limits.expect("limits");
    assert_eq!((limits.memory_bytes_max, limits.job_bytes_max), (512 << 20, 96 << 20));
    let jobs = memory(&server, "jobs").await;
    assert_eq!((jobs.used_bytes, jobs.limit_bytes), (1_000_000, 120 << 20));
    let records = memory(&server, "job_records").await;
    assert_eq!((records.used_bytes, records.limit_bytes), (512, 48 << 20));
    assert_eq!(memory(&server, "finished_jobs").await.limit_bytes, (96 + 16) << 20);
}

/// Submits jobs until one is refused. Returns the number of accepted jobs and the error.
async fn fill(jobs: &mut JobServiceClient<Channel>, spec: impl Fn(usize) -> v1::JobSpec) -> (usize, Status) {
    for accepted in 0..2_000 {
        let request = v1::SubmitRequest { job: Some(spec(accepted)), validate_only: false };
        if let Err(status) = wait_for("Submit answers", jobs.submit(request)).await {
            return (accepted, status);
        }
    }
    panic!("no job was refused");
}

#[tokio::test]
async fn one_connection_cannot_take_the_reserved_job_capacity() {
    let server = TestServer::with(|setup| setup.engine.core.jobs_max = 80).await;
    let (mut hog, mut other) = (server.new_jobs().await, server.new_jobs().await);
    let waiting = |_| job("nobody.serves.this");
    let (accepted, status) = fill(&mut hog, waiting).await;
    assert_eq!(accepted, 70);
    refused(&status, Code::ResourceExhausted, "QUEUE_FULL");
    assert!(status.message().contains("for connections that use less"), "{status:?}");
    let request = v1::SubmitRequest { job: Some(echo("beside it")), validate_only: false };
    wait_for("Submit answers", other.submit(request)).await.expect("there is capacity");
    assert_eq!(fill(&mut other, waiting).await.0, 5);
}

#[tokio::test]
async fn a_connection_with_many_queues_does_not_block_the_default_queue() {
    let server = TestServer::with(|setup| setup.engine.core.queues_max = 100).await;
    let (mut hog, mut other) = (server.new_jobs().await, server.new_jobs().await);
    let in_its_own = |number| v1::JobSpec { queue: format!("q{number}"), ..job("nobody.serves.this") };
    let (accepted, status) = fill(&mut hog, in_its_own).await;
    assert_eq!(accepted, 100);
    refused(&status, Code::ResourceExhausted, "LANES_FULL");
    assert!(status.message().contains("raise queues_max"), "{status:?}");
    for spec in [echo("default"), v1::JobSpec { queue: "new".into(), ..echo("a new queue") }] {
        let request = v1::SubmitRequest { job: Some(spec), validate_only: false };
        wait_for("Submit answers", other.submit(request)).await.expect("there is capacity for a lane");
    }
    assert_eq!(server.info().await.limits.expect("limits").queues_max, 100);
}
