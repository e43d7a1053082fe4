//! Submit and wait in one call.

use std::time::Duration;

use jobstream::client::{JobRequest, ResultError, WatchItem, WatchOptions, reason};
use jobstream::job::{EventBody, JobState};

use super::{Fixture, state_of};
use crate::support::{Chatter, until, wait_for};

const TIMES: u32 = 200;

/// Returns a job that ends at once on a handler thread.
fn brief(fixture: &Fixture) -> JobRequest {
    let chatter = Chatter { outputs: 1, ..Chatter::default() };
    fixture.client.job("test.chatter").json(&chatter).expect("JSON").retention(Duration::ZERO)
}

#[tokio::test]
async fn the_end_of_a_job_without_retention_is_never_missed() {
    let fixture = Fixture::start().await;
    for number in 0..TIMES {
        let inline = fixture.client.job("demo.echo").json(&number).unwrap().retention(Duration::ZERO);
        assert_eq!(wait_for("its end", inline.run::<u32>()).await.unwrap(), number);
        assert_eq!(wait_for("its end", brief(&fixture).run::<u32>()).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn concurrent_runs_without_retention_miss_no_end() {
    let fixture = Fixture::with(|setup| setup.engine.core.retention_bytes_max = 0, |_| {}).await;
    let requests = (0..5 * TIMES).map(|_| brief(&fixture)).collect();
    let results = wait_for("their ends", fixture.client.run_all::<u32>(requests)).await;
    let lost: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(
        lost.is_empty() && results.len() == 5 * TIMES as usize,
        "{} lost: {:?}",
        lost.len(),
        lost.first()
    );
}

#[tokio::test]
async fn a_wait_started_before_the_end_needs_no_retention() {
    let fixture = Fixture::start().await;
    for _ in 0..TIMES {
        let job = fixture
            .client
            .job("test.gate")
            .text("done")
            .retention(Duration::ZERO)
            .submit::<String>()
            .await
            .unwrap();
        let result = tokio::spawn(async move { job.result().await });
        fixture.server.gate.arrival().await;
        until("the wait is open", async || fixture.server.info().await.watchers == 1).await;
        fixture.server.gate.open(1);
        let result = wait_for("the result", result).await.unwrap();
        assert_eq!(result.unwrap(), "done");
    }
}

#[tokio::test]
async fn a_run_survives_lost_connections() {
    let fixture = Fixture::start().await;
    let request = fixture.client.job("test.gate").text("done");
    let result = tokio::spawn(async move { request.run::<String>().await });
    fixture.server.gate.arrival().await;
    for cut in 1..=3 {
        fixture.proxy.cut();
        fixture.proxy.connections(1 + cut).await;
    }
    fixture.server.gate.open(1);
    assert_eq!(wait_for("the result", result).await.unwrap().unwrap(), "done");
}

#[tokio::test]
async fn a_watched_run_returns_every_event() {
    let fixture = Fixture::start().await;
    let (job, mut watch) = brief(&fixture).run_and_watch::<u32>(WatchOptions::default()).await.unwrap();
    assert!(job.submission().unwrap().is_new);
    let (mut outputs, mut last) = (0, None);
    while let Some(item) = wait_for("an item", watch.next()).await {
        let WatchItem::Event(event) = item.unwrap() else { panic!("no gap") };
        outputs += usize::from(matches!(event.body, EventBody::Output(_)));
        last = state_of(&event).or(last);
    }
    assert_eq!((outputs, last), (1, Some(JobState::Succeeded)));
}

#[tokio::test]
async fn a_handle_can_read_a_retained_result() {
    let fixture = Fixture::start().await;
    let job = brief(&fixture).submit::<u32>().await.unwrap();
    until("its retention passed", async || fixture.server.info().await.jobs == 0).await;
    let error = job.result().await.unwrap_err();
    let ResultError::Call(error) = error else { panic!("{error}") };
    assert_eq!(error.reason(), reason::RESULT_EXPIRED);
    assert!(error.message().contains("ended and its retention passed, or it was deleted"), "{error}");
}
