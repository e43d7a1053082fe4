//! The thin calls: cancel, retry, delete and list.

use std::collections::BTreeMap;

use jobstream::client::{ErrorKind, reason};
use jobstream::job::{JobFilter, JobState, Kind, StateSet};
use serde_json::Value;

use super::Scene;
use crate::support::{Towards, wait_for};

#[tokio::test]
async fn cancel_answers_where_the_job_is() {
    let scene = Scene::start().await;
    let waiting = scene.client.job("nobody.serves").submit::<Value>().await.unwrap();
    assert_eq!(waiting.cancel("a test").await.unwrap(), JobState::Cancelled);
    assert_eq!(waiting.cancel("again").await.unwrap(), JobState::Cancelled);
    let done = scene.client.job("demo.echo").submit::<Value>().await.unwrap();
    done.outcome().await.unwrap();
    let error = done.cancel("too late").await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::FailedPrecondition, reason::ILLEGAL_STATE));
    assert_eq!(error.fact("state"), Some("SUCCEEDED"));
}

#[tokio::test]
async fn retry_makes_one_new_job_even_if_its_answer_is_lost() {
    let scene = Scene::start().await;
    let done = scene.client.job("demo.echo").text("x").submit::<String>().await.unwrap();
    done.outcome().await.unwrap();
    scene.proxy.stall_towards(Towards::Client);
    let retrying = tokio::spawn({
        let (client, id) = (scene.client.clone(), done.id());
        async move { client.retry::<String>(id).await }
    });
    scene.proxy.held_back(Towards::Client).await;
    scene.proxy.cut();
    scene.proxy.resume();
    let new = wait_for("the retry answers", retrying).await.unwrap().unwrap();
    assert!(new.id() != done.id() && !new.submission().unwrap().is_new);
    assert_eq!(new.result().await.unwrap(), "x");
    let view = scene.client.get(new.id()).await.unwrap();
    assert_eq!(view.spec.options.unwrap().origin, Some(done.id()));
    assert_eq!(scene.server.info().await.jobs, 2);
}

#[tokio::test]
async fn a_delete_whose_answer_is_lost_has_succeeded() {
    let scene = Scene::start().await;
    let done = scene.client.job("demo.echo").submit::<Value>().await.unwrap();
    done.outcome().await.unwrap();
    scene.proxy.stall_towards(Towards::Client);
    let deleting = tokio::spawn({
        let (client, id) = (scene.client.clone(), done.id());
        async move { client.delete(id).await }
    });
    scene.proxy.held_back(Towards::Client).await;
    scene.proxy.cut();
    scene.proxy.resume();
    wait_for("the delete answers", deleting).await.unwrap().expect("the job is gone");
    let error = scene.client.delete(done.id()).await.unwrap_err();
    assert_eq!(error.reason(), reason::RESULT_EXPIRED);
}

#[tokio::test]
async fn a_listing_runs_over_all_pages_of_what_matches() {
    let scene = Scene::start().await;
    let request = |number: u32| scene.client.job("later.kind").label("half", (number % 2).to_string());
    let requests: Vec<_> = (0..500).map(request).collect();
    let odd: Vec<_> = requests.iter().skip(1).step_by(2).map(|request| request.job_id()).rev().collect();
    scene.client.submit_all::<Value>(requests).await.into_iter().for_each(|job| drop(job.unwrap()));
    scene.client.job("other.kind").label("half", "1").submit::<Value>().await.unwrap();
    let filter = JobFilter {
        kind: Some(Kind::parse("kind", "later.kind").unwrap()),
        labels: BTreeMap::from([("half".to_owned(), "1".to_owned())]),
        states: StateSet::NONE.with(JobState::Queued),
        ..JobFilter::default()
    };
    let mut jobs = scene.client.list(&filter);
    let mut listed = Vec::new();
    while let Some(job) = wait_for("a page", jobs.next()).await {
        listed.push(job.unwrap().id);
    }
    assert_eq!(listed, odd);
    let nothing = JobFilter { states: StateSet::NONE, ..JobFilter::default() };
    assert!(scene.client.list(&nothing).next().await.is_none());
}
