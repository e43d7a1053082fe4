//! Submit and wait in one call.

use std::time::Duration;

use jobstream::client::{JobRequest, ResultError, WatchItem, WatchOptions, reason};
use jobstream::job::{EventBody, JobState};

use super::{Scene, state_of};
use crate::support::{Chatter, until, wait_for};

const TIMES: u32 = 200;

/// Ends at once, on a thread of the handlers.
fn brief(scene: &Scene) -> JobRequest {
    let chatter = Chatter { outputs: 1, ..Chatter::default() };
    scene.client.job("test.chatter").json(&chatter).expect("JSON").retention(Duration::ZERO)
}

#[tokio::test]
async fn the_end_of_a_job_without_retention_is_never_lost() {
    let scene = Scene::start().await;
    for number in 0..TIMES {
        let inline = scene.client.job("demo.echo").json(&number).unwrap().retention(Duration::ZERO);
        assert_eq!(wait_for("its end", inline.run::<u32>()).await.unwrap(), number);
        assert_eq!(wait_for("its end", brief(&scene).run::<u32>()).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn many_runs_at_a_time_lose_no_end_where_nothing_is_retained() {
    let scene = Scene::with(|setup| setup.engine.core.retention_bytes_max = 0, |_| {}).await;
    let requests = (0..5 * TIMES).map(|_| brief(&scene)).collect();
    let results = wait_for("their ends", scene.client.run_all::<u32>(requests)).await;
    let lost: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(
        lost.is_empty() && results.len() == 5 * TIMES as usize,
        "{} lost: {:?}",
        lost.len(),
        lost.first()
    );
}

#[tokio::test]
async fn a_wait_that_began_before_the_end_of_a_job_without_retention_gets_it() {
    let scene = Scene::start().await;
    for _ in 0..TIMES {
        let job = scene
            .client
            .job("test.gate")
            .text("done")
            .retention(Duration::ZERO)
            .submit::<String>()
            .await
            .unwrap();
        let result = tokio::spawn(async move { job.result().await });
        scene.server.gate.arrival().await;
        until("the wait is open", async || scene.server.info().await.watchers == 1).await;
        scene.server.gate.open(1);
        let result = wait_for("the result", result).await.unwrap();
        assert_eq!(result.unwrap(), "done");
    }
}

#[tokio::test]
async fn a_run_survives_cut_connections() {
    let scene = Scene::start().await;
    let request = scene.client.job("test.gate").text("done");
    let result = tokio::spawn(async move { request.run::<String>().await });
    scene.server.gate.arrival().await;
    for cut in 1..=3 {
        scene.proxy.cut();
        scene.proxy.connections(1 + cut).await;
    }
    scene.server.gate.open(1);
    assert_eq!(wait_for("the result", result).await.unwrap().unwrap(), "done");
}

#[tokio::test]
async fn a_run_that_is_watched_tells_every_event() {
    let scene = Scene::start().await;
    let (job, mut watch) = brief(&scene).run_and_watch::<u32>(WatchOptions::default()).await.unwrap();
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
async fn a_handle_reads_the_result_while_it_is_retained() {
    let scene = Scene::start().await;
    let job = brief(&scene).submit::<u32>().await.unwrap();
    until("its retention passed", async || scene.server.info().await.jobs == 0).await;
    let error = job.result().await.unwrap_err();
    let ResultError::Call(error) = error else { panic!("{error}") };
    assert_eq!(error.reason(), reason::RESULT_EXPIRED);
    assert!(error.message().contains("ended and its retention passed, or it was deleted"), "{error}");
}
