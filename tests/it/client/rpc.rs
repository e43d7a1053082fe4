//! Calls with generated messages, admin calls, and notifications of retries.

use std::time::Duration;

use jobstream::client::ErrorKind;
use jobstream::job::EventTypes;
use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::watch_result_response::Message;
use jobstream::proto::v1::{
    GetJobRequest, JobSpec, JobState, ListJobsRequest, RetryRequest, SubmitRequest, WorkerLink,
};
use serde_json::Value;

use super::Fixture;
use crate::support::wait_for;

fn spec(kind: &str) -> JobSpec {
    JobSpec { kind: kind.to_owned(), queue: "media".to_owned(), ..JobSpec::default() }
}

#[tokio::test]
async fn a_queue_is_paused_purged_and_resumed() {
    let fixture = Fixture::start().await;
    let client = &fixture.client;
    let error = client.resume_queue("nowhere").await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::NotFound, "QUEUE_NOT_FOUND"));
    assert!(client.pause_queue("media").await.unwrap().paused);
    for _ in 0..3 {
        let request = SubmitRequest { job: Some(spec("demo.echo")), validate_only: false };
        client.rpc().submit(request).await.unwrap();
    }
    let queues = client.queues().await.unwrap();
    let media = queues.iter().find(|queue| queue.queue == "media").expect("it is listed");
    assert_eq!((media.paused, media.counts.unwrap().queued), (true, 3));
    assert_eq!(client.purge_queue("media").await.unwrap(), 3);
    assert!(!client.resume_queue("media").await.unwrap().paused);
}

#[tokio::test]
async fn the_in_process_pool_is_listed_and_cannot_be_drained() {
    let fixture = Fixture::start().await;
    let workers = fixture.client.workers().await.unwrap();
    assert!(!workers.is_empty() && workers.iter().all(|worker| worker.link() == WorkerLink::Pool));
    let error = fixture.client.drain_worker(&workers[0].name, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::FailedPrecondition, "ILLEGAL_STATE"));
    assert!(error.message().starts_with(error.short_message()) && error.fact("worker").is_some(), "{error}");
    assert!(!error.short_message().contains(&fixture.proxy.url()), "{}", error.short_message());
}

#[tokio::test]
async fn a_job_without_an_id_gets_one_and_can_be_watched() {
    let fixture = Fixture::start().await;
    let rpc = fixture.client.rpc();
    let mut options = jobstream::client::WatchOptions::default();
    options.types = EventTypes::NONE;
    let (answer, mut watch) = rpc.run(spec("demo.echo"), options).await.unwrap();
    assert_eq!(answer.job_id, watch.job_id().to_string());
    let message = wait_for("the end", watch.next_message()).await.expect("a message").unwrap();
    let Message::Event(event) = message else { panic!("no event: {message:?}") };
    let Some(Event::StateChange(change)) = event.event else { panic!("no state change") };
    assert_eq!(change.state(), JobState::Succeeded);
    assert!(change.outcome.is_some() && watch.next_message().await.is_none());
    let job = rpc.get_job(GetJobRequest { job_id: answer.job_id.clone() }).await.unwrap().job.unwrap();
    assert_eq!((job.sequence, job.state()), (event.sequence, JobState::Succeeded));
    let retried = rpc.retry(RetryRequest { job_id: answer.job_id, ..Default::default() }).await.unwrap();
    let page = rpc.list_jobs(ListJobsRequest { page_size: 1, ..Default::default() }).await.unwrap();
    assert_eq!((page.jobs[0].job_id.as_str(), page.jobs.len()), (retried.job_id.as_str(), 1));
}

#[tokio::test]
async fn a_wait_ends_at_its_timeout_or_with_the_job() {
    let fixture = Fixture::start().await;
    let job = fixture.client.job("test.gate").submit::<Value>().await.unwrap();
    let rpc = fixture.client.rpc();
    let limit = Some(Duration::from_millis(50));
    let waiting = wait_for("the limit", rpc.wait_result(job.id(), limit)).await.unwrap();
    assert!(waiting.outcome.is_none() && waiting.state() != JobState::Unspecified);
    fixture.server.gate.open(1);
    let ended = wait_for("the end", rpc.wait_result(job.id(), None)).await.unwrap();
    assert_eq!((ended.state(), ended.outcome.is_some()), (JobState::Succeeded, true));
    assert_eq!(rpc.get_result(job.id()).await.unwrap().state(), JobState::Succeeded);
}

#[tokio::test]
async fn retries_are_published_with_their_reason() {
    let fixture = Fixture::start().await;
    let mut retries = fixture.client.retries();
    fixture.proxy.refuse();
    fixture.proxy.cut();
    fixture.proxy.closed(1).await;
    let client = fixture.client.clone();
    let call = tokio::spawn(async move { client.server_info().await });
    wait_for("a retry", retries.changed()).await.expect("the client is there");
    let error = retries.borrow_and_update().as_ref().expect("a retry").error.clone();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    fixture.proxy.accept();
    wait_for("the call", call).await.unwrap().expect("a response after retries");
}
