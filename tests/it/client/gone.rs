//! Servers that are away, for a while or for good, and jobs that went with them.

use std::future::IntoFuture;
use std::time::{Duration, Instant};

use jobstream::client::{Client, ClientOptions, ErrorKind, ResultError, reason};
use jobstream::job::JobState;
use serde_json::Value;

use super::{Scene, read_to};
use crate::support::{TestServer, wait_for};

/// No process comes back faster. The client tells a restart only if it took longer than a call.
const RESTART: Duration = Duration::from_millis(500);

/// Ends the server and starts another behind the same proxy.
async fn restart(scene: &mut Scene) {
    tokio::time::sleep(RESTART).await;
    scene.server = TestServer::start().await;
    scene.proxy.retarget(scene.server.address);
    scene.proxy.cut();
}

#[tokio::test]
async fn a_job_lost_in_a_restart_is_told_as_that() {
    let mut scene = Scene::start().await;
    let job = scene.client.job("test.gate").submit::<Value>().await.unwrap();
    let mut watch = job.watch();
    read_to(&mut watch, JobState::Running).await;
    let result = tokio::spawn(job.clone().into_future());
    restart(&mut scene).await;
    let told = wait_for("the watch ends", watch.next()).await.unwrap().unwrap_err();
    let result = wait_for("the wait ends", result).await.unwrap().unwrap_err();
    let ResultError::Call(waited) = result else { panic!("no end of the job: {result}") };
    for error in [told, waited] {
        assert_eq!((error.kind(), error.reason()), (ErrorKind::NotFound, reason::SERVER_RESTARTED));
        let text = error.to_string();
        assert!(text.contains(&job.id().to_string()) && text.contains("submit it again"), "{text}");
    }
}

#[tokio::test]
async fn a_job_that_was_deleted_is_not_blamed_on_a_restart() {
    let scene = Scene::start().await;
    let job = scene.client.job("demo.echo").submit::<Value>().await.unwrap();
    job.outcome().await.unwrap();
    scene.client.delete(job.id()).await.unwrap();
    let error = job.outcome().await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::NotFound, reason::RESULT_EXPIRED));
}

#[tokio::test]
async fn a_watch_gives_up_when_the_server_stays_away() {
    let patience = Duration::from_millis(300);
    let scene = Scene::with(|_| {}, |options| options.patience = patience).await;
    let job = scene.client.job("test.gate").submit::<Value>().await.unwrap();
    let mut watch = job.watch();
    read_to(&mut watch, JobState::Running).await;
    scene.proxy.refuse();
    scene.proxy.cut();
    let error = wait_for("the watch gives up", watch.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("gave up after"), "{error}");
    assert!(scene.proxy.opened() > 2, "{} connections", scene.proxy.opened());
    scene.proxy.accept();
    scene.server.gate.open(1);
    assert_eq!(job.await.unwrap(), Value::Null);
}

#[tokio::test]
async fn a_call_is_tried_as_often_as_it_may() {
    let scene = Scene::with(|_| {}, |options| options.retry.tries_max = 4).await;
    scene.proxy.refuse();
    scene.proxy.cut();
    scene.proxy.closed(1).await;
    let error = wait_for("the call ends", scene.client.server_info()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().ends_with("gave up after 4 tries"), "{error}");
    let tried = scene.proxy.opened() - 1;
    assert!((3..=8).contains(&tried), "{tried} connections");
}

#[tokio::test]
async fn a_call_never_outlasts_its_deadline() {
    let limit = Duration::from_millis(300);
    let scene = Scene::with(|_| {}, |options| options.call_timeout = limit).await;
    scene.proxy.stall();
    let started = Instant::now();
    let error = wait_for("the call ends", scene.client.server_info()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert!(error.to_string().contains(&scene.proxy.url()), "{error}");
    assert!(started.elapsed() >= limit && started.elapsed() < limit * 10, "{:?}", started.elapsed());
    scene.proxy.resume();
    scene.client.server_info().await.expect("the connection still stands");
}

#[tokio::test]
async fn a_slow_network_is_waited_for_within_the_deadline() {
    let scene = Scene::with(|_| {}, |options| options.call_timeout = Duration::from_secs(1)).await;
    let delay = Duration::from_millis(50);
    scene.proxy.delay(delay);
    let started = Instant::now();
    wait_for("an answer", scene.client.server_info()).await.expect("an answer in time");
    assert!(started.elapsed() >= delay * 2, "{:?}", started.elapsed());
    scene.proxy.delay(Duration::from_secs(3));
    let error = wait_for("the call ends", scene.client.server_info()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
}

#[tokio::test]
async fn tries_end_with_the_deadline_too() {
    let limit = Duration::from_millis(300);
    let scene = Scene::with(
        |_| {},
        |options| {
            options.call_timeout = limit;
            options.retry.tries_max = u32::MAX;
            options.retry.longest_pause = Duration::from_millis(20);
        },
    )
    .await;
    scene.proxy.refuse();
    scene.proxy.cut();
    let started = Instant::now();
    let error = wait_for("the call ends", scene.client.server_info()).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::DeadlineExceeded),
        "{error}: {:?}",
        error.kind()
    );
    assert!(started.elapsed() < limit * 10, "{:?}", started.elapsed());
}

#[tokio::test]
async fn nobody_listening_is_told_at_once() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("http://{free}");
    let error = Client::connect(&address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains(&address) && error.to_string().contains("refused"), "{error}");
    let mut options = ClientOptions::default();
    options.retry.tries_max = 1;
    let lazy = Client::lazy(&address, options).unwrap();
    assert_eq!(lazy.server_info().await.unwrap_err().kind(), ErrorKind::Unreachable);
}
