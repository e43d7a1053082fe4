//! Unavailable and restarted servers, and jobs that they lost.

use std::future::IntoFuture;
use std::time::{Duration, Instant};

use jobstream::client::{Client, ClientOptions, ErrorKind, ResultError, reason};
use jobstream::job::JobState;
use serde_json::Value;

use super::{Fixture, read_to};
use crate::support::{TestServer, wait_for};

/// A lower limit of a restart. The client detects a restart only if it takes longer than a call.
const RESTART: Duration = Duration::from_millis(500);

/// Replaces the server behind the proxy.
async fn restart(fixture: &mut Fixture) {
    tokio::time::sleep(RESTART).await;
    fixture.server = TestServer::start().await;
    fixture.proxy.retarget(fixture.server.address);
    fixture.proxy.cut();
}

#[tokio::test]
async fn a_job_lost_in_a_restart_is_reported_as_such() {
    let mut fixture = Fixture::start().await;
    let job = fixture.client.job("test.gate").submit::<Value>().await.unwrap();
    let mut watch = job.watch();
    read_to(&mut watch, JobState::Running).await;
    let result = tokio::spawn(job.clone().into_future());
    restart(&mut fixture).await;
    let watch_error = wait_for("the watch ends", watch.next()).await.unwrap().unwrap_err();
    let result = wait_for("the wait ends", result).await.unwrap().unwrap_err();
    let ResultError::Call(waited) = result else { panic!("no end of the job: {result}") };
    for error in [watch_error, waited] {
        assert_eq!((error.kind(), error.reason()), (ErrorKind::NotFound, reason::SERVER_RESTARTED));
        let text = error.to_string();
        assert!(text.contains(&job.id().to_string()) && text.contains("submit it again"), "{text}");
    }
}

#[tokio::test]
async fn a_deleted_job_is_not_reported_as_lost_in_a_restart() {
    let fixture = Fixture::start().await;
    let job = fixture.client.job("demo.echo").submit::<Value>().await.unwrap();
    job.outcome().await.unwrap();
    fixture.client.delete(job.id()).await.unwrap();
    let error = job.outcome().await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::NotFound, reason::RESULT_EXPIRED));
}

#[tokio::test]
async fn a_watch_ends_when_the_server_stays_unavailable() {
    let patience = Duration::from_millis(300);
    let fixture = Fixture::with(|_| {}, |options| options.patience = patience).await;
    let job = fixture.client.job("test.gate").submit::<Value>().await.unwrap();
    let mut watch = job.watch();
    read_to(&mut watch, JobState::Running).await;
    fixture.proxy.refuse();
    fixture.proxy.cut();
    let error = wait_for("the watch gives up", watch.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("gave up after"), "{error}");
    assert!(fixture.proxy.opened() > 2, "{} connections", fixture.proxy.opened());
    fixture.proxy.accept();
    fixture.server.gate.open(1);
    assert_eq!(job.await.unwrap(), Value::Null);
}

#[tokio::test]
async fn a_call_is_retried_up_to_its_limit() {
    let fixture = Fixture::with(|_| {}, |options| options.retry.tries_max = 4).await;
    fixture.proxy.refuse();
    fixture.proxy.cut();
    fixture.proxy.closed(1).await;
    let error = wait_for("the call ends", fixture.client.server_info()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().ends_with("gave up after 4 tries"), "{error}");
    let tried = fixture.proxy.opened() - 1;
    assert!((3..=8).contains(&tried), "{tried} connections");
}

#[tokio::test]
async fn a_call_never_outlasts_its_deadline() {
    let limit = Duration::from_millis(300);
    let fixture = Fixture::with(|_| {}, |options| options.call_timeout = limit).await;
    fixture.proxy.stall();
    let started = Instant::now();
    let error = wait_for("the call ends", fixture.client.server_info()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert!(error.to_string().contains(&fixture.proxy.url()), "{error}");
    assert!(started.elapsed() >= limit && started.elapsed() < limit * 10, "{:?}", started.elapsed());
    fixture.proxy.resume();
    fixture.client.server_info().await.expect("the connection is open");
}

#[tokio::test]
async fn a_slow_network_is_tolerated_within_the_deadline() {
    let fixture = Fixture::with(|_| {}, |options| options.call_timeout = Duration::from_secs(1)).await;
    let delay = Duration::from_millis(50);
    fixture.proxy.delay(delay);
    let started = Instant::now();
    wait_for("an answer", fixture.client.server_info()).await.expect("a response in time");
    assert!(started.elapsed() >= delay * 2, "{:?}", started.elapsed());
    fixture.proxy.delay(Duration::from_secs(3));
    let error = wait_for("the call ends", fixture.client.server_info()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
}

#[tokio::test]
async fn retries_stop_at_the_deadline() {
    let limit = Duration::from_millis(300);
    let fixture = Fixture::with(
        |_| {},
        |options| {
            options.call_timeout = limit;
            options.retry.tries_max = u32::MAX;
            options.retry.longest_pause = Duration::from_millis(20);
        },
    )
    .await;
    fixture.proxy.refuse();
    fixture.proxy.cut();
    let started = Instant::now();
    let error = wait_for("the call ends", fixture.client.server_info()).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::DeadlineExceeded),
        "{error}: {:?}",
        error.kind()
    );
    assert!(started.elapsed() < limit * 10, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_refused_connection_is_reported_at_once() {
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
