//! A full server rejects requests at once without a change of state.

use std::time::Duration;

use jobstream::proto::v1;
use tonic::{Code, Status};
use tonic_types::ErrorDetails;

use crate::support::{
    TestServer, data, echo, job, refused, refused_in_batch, seconds, until, wait_for, watch_request,
};

#[track_caller]
fn full(status: &Status, reason: &str) -> ErrorDetails {
    let details = refused(status, Code::ResourceExhausted, reason);
    let violations = &details.quota_failure().expect("QuotaFailure").violations;
    assert!(!violations.is_empty() && !violations[0].description.is_empty());
    let pause = details.retry_info().and_then(|info| info.retry_delay);
    assert!(pause.is_some_and(|pause| pause > Duration::ZERO));
    details
}

#[tokio::test]
async fn jobs_above_the_limit_are_rejected_and_accepted_ones_end() {
    let server = TestServer::with(|setup| setup.engine.core.jobs_max = 3).await;
    server.pause("default").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(server.submit(echo("accepted")).await);
    }
    full(&server.try_submit(echo("one too many")).await.unwrap_err(), "QUEUE_FULL");
    let jobs = vec![echo("a"), echo("b")];
    let request = v1::BatchSubmitRequest { jobs, atomic: false };
    let answer = wait_for("BatchSubmit answers", server.jobs().batch_submit(request)).await.unwrap();
    for result in answer.into_inner().results {
        refused_in_batch(&result, Code::ResourceExhausted, "QUEUE_FULL");
    }
    let again = v1::JobSpec { job_id: ids[0].clone(), ..echo("accepted") };
    server.try_submit(again).await.expect("the job exists");
    assert_eq!(server.info().await.jobs, 3);
    server.resume("default").await;
    for id in &ids {
        server.end(id).await.result();
    }
    server.run_to_end(echo("capacity again")).await.result();
}

#[tokio::test]
async fn an_atomic_batch_above_the_limit_is_rejected() {
    let server = TestServer::with(|setup| setup.engine.core.jobs_max = 3).await;
    server.pause("default").await;
    let request = v1::BatchSubmitRequest { jobs: vec![echo("x"); 4], atomic: true };
    let status = wait_for("BatchSubmit answers", server.jobs().batch_submit(request)).await.unwrap_err();
    full(&status, "QUEUE_FULL");
    assert!(status.message().starts_with("jobs[3]: "), "{status:?}");
    assert_eq!(server.info().await.jobs, 0);
}

#[tokio::test]
async fn jobs_above_the_byte_limit_are_rejected() {
    let server = TestServer::with(|setup| setup.engine.core.job_bytes_max = 1_000).await;
    server.pause("default").await;
    let of_size = |bytes: usize| v1::JobSpec { payload: Some(data(vec![7; bytes])), ..job("demo.echo") };
    let accepted = server.submit(of_size(600)).await;
    full(&server.try_submit(of_size(401)).await.unwrap_err(), "QUEUE_BYTES_FULL");
    server.submit(of_size(400)).await;
    full(&server.try_submit(of_size(1)).await.unwrap_err(), "QUEUE_BYTES_FULL");
    server.submit(of_size(0)).await;
    server.cancel(&accepted, Duration::ZERO).await.unwrap();
    server.submit(of_size(600)).await;
}

#[tokio::test]
async fn the_number_of_lanes_is_limited() {
    let server = TestServer::start().await;
    for part in 0..10 {
        let jobs =
            (0..1_000).map(|n| v1::JobSpec { queue: format!("q{part}-{n}"), ..job("nobody.serves.this") });
        let request = v1::BatchSubmitRequest { jobs: jobs.collect(), atomic: true };
        wait_for("BatchSubmit answers", server.jobs().batch_submit(request)).await.unwrap();
    }
    let one_more = || v1::JobSpec { queue: "one-too-many".into(), ..job("nobody.serves.this") };
    full(&server.try_submit(one_more()).await.unwrap_err(), "LANES_FULL");
    let known = v1::JobSpec { queue: "q0-0".into(), ..job("nobody.serves.this") };
    server.submit(known).await;
    let request = v1::PurgeQueueRequest { queue: "q0-1".into() };
    wait_for("PurgeQueue answers", server.admin().purge_queue(request)).await.unwrap();
    full(&server.try_submit(one_more()).await.unwrap_err(), "LANES_FULL");
    assert_eq!(server.info().await.jobs, 10_001);
}

#[tokio::test]
async fn the_number_of_watchers_is_limited() {
    let server = TestServer::with(|setup| setup.engine.watchers_max = 2).await;
    let id = server.submit(job("test.gate")).await;
    let watches = [server.watch(watch_request(&id, 0)).await, server.watch(watch_request(&id, 0)).await];
    assert_eq!(server.info().await.watchers, 2);
    full(server.watch(watch_request(&id, 0)).await.status(), "TOO_MANY_WATCHERS");
    let waiting = server.try_result(&id, Duration::from_secs(20)).await.unwrap_err();
    full(&waiting, "TOO_MANY_WATCHERS");
    server.peek(&id).await;
    drop(watches);
    until("the places are free", || async { server.info().await.watchers == 0 }).await;
    server.gate.open(1);
    server.watch_all(&id, 0).await.outcome();
}

#[tokio::test]
async fn a_run_above_the_watcher_limit_submits_no_job() {
    let server = TestServer::with(|setup| setup.engine.watchers_max = 0).await;
    let request = v1::RunRequest { job: Some(echo("x")), heartbeat: Some(seconds(1)), ..Default::default() };
    let status = wait_for("Run answers", server.jobs().run(request)).await.unwrap_err();
    full(&status, "TOO_MANY_WATCHERS");
    assert_eq!(server.info().await.jobs, 0);
}
