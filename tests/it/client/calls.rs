//! Cancel, retry, delete and list.

use std::collections::BTreeMap;

use jobstream::client::{ErrorKind, reason};
use jobstream::job::{JobFilter, JobState, Kind, StateSet};
use serde_json::Value;

use super::Fixture;
use crate::support::{Towards, wait_for};

#[tokio::test]
async fn cancel_returns_the_state_of_the_job() {
    let fixture = Fixture::start().await;
    let waiting = fixture.client.job("nobody.serves").submit::<Value>().await.unwrap();
    assert_eq!(waiting.cancel("a test").await.unwrap(), JobState::Cancelled);
    assert_eq!(waiting.cancel("again").await.unwrap(), JobState::Cancelled);
    let done = fixture.client.job("demo.echo").submit::<Value>().await.unwrap();
    done.outcome().await.unwrap();
    let error = done.cancel("too late").await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::FailedPrecondition, reason::ILLEGAL_STATE));
    assert_eq!(error.fact("state"), Some("SUCCEEDED"));
}

#[tokio::test]
async fn a_retry_with_a_lost_response_creates_one_job() {
    let fixture = Fixture::start().await;
    let done = fixture.client.job("demo.echo").text("x").submit::<String>().await.unwrap();
    done.outcome().await.unwrap();
    fixture.proxy.stall_towards(Towards::Client);
    let retrying = tokio::spawn({
        let (client, id) = (fixture.client.clone(), done.id());
        async move { client.retry::<String>(id).await }
    });
    fixture.proxy.stalled(Towards::Client).await;
    fixture.proxy.cut();
    fixture.proxy.resume();
    let new = wait_for("the retry answers", retrying).await.unwrap().unwrap();
    assert!(new.id() != done.id() && !new.submission().unwrap().is_new);
    assert_eq!(new.result().await.unwrap(), "x");
    let view = fixture.client.get(new.id()).await.unwrap();
    assert_eq!(view.spec.options.unwrap().origin, Some(done.id()));
    assert_eq!(fixture.server.info().await.jobs, 2);
}

#[tokio::test]
async fn a_delete_with_a_lost_response_succeeds() {
    let fixture = Fixture::start().await;
    let done = fixture.client.job("demo.echo").submit::<Value>().await.unwrap();
    done.outcome().await.unwrap();
    fixture.proxy.stall_towards(Towards::Client);
    let deleting = tokio::spawn({
        let (client, id) = (fixture.client.clone(), done.id());
        async move { client.delete(id).await }
    });
    fixture.proxy.stalled(Towards::Client).await;
    fixture.proxy.cut();
    fixture.proxy.resume();
    wait_for("the delete answers", deleting).await.unwrap().expect("the job is gone");
    let error = fixture.client.delete(done.id()).await.unwrap_err();
    assert_eq!(error.reason(), reason::RESULT_EXPIRED);
}

#[tokio::test]
async fn a_list_reads_all_pages() {
    let fixture = Fixture::start().await;
    let request = |number: u32| fixture.client.job("later.kind").label("half", (number % 2).to_string());
    let requests: Vec<_> = (0..500).map(request).collect();
    let odd: Vec<_> = requests.iter().skip(1).step_by(2).map(|request| request.job_id()).rev().collect();
    fixture.client.submit_all::<Value>(requests).await.into_iter().for_each(|job| drop(job.unwrap()));
    fixture.client.job("other.kind").label("half", "1").submit::<Value>().await.unwrap();
    let filter = JobFilter {
        kind: Some(Kind::parse("kind", "later.kind").unwrap()),
        labels: BTreeMap::from([("half".to_owned(), "1".to_owned())]),
        states: StateSet::NONE.with(JobState::Queued),
        ..JobFilter::default()
    };
    let mut jobs = fixture.client.list(&filter);
    let mut listed = Vec::new();
    while let Some(job) = wait_for("a page", jobs.next()).await {
        listed.push(job.unwrap().id);
    }
    assert_eq!(listed, odd);
    let nothing = JobFilter { states: StateSet::NONE, ..JobFilter::default() };
    assert!(fixture.client.list(&nothing).next().await.is_none());
}
