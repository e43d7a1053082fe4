//! Connections: reuse, refusal, loss, and the end of a request that is not wanted any more.

use std::net::TcpListener as StdListener;
use std::time::Duration;

use bytes::Bytes;
use jobstream::proto::v1;
use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::{FailureReason, JobState, LogLevel};
use jobstream::worker::HttpHandler;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::endpoint::{Endpoint, response};
use super::{KIND, http_job, server, server_with};
use crate::support::{TestServer, millis, text, wait_for, watch_request};

/// Sends a message when a request begins, and one when it is dropped.
struct Guard(mpsc::Sender<&'static str>);

impl Guard {
    fn new(events: &mpsc::Sender<&'static str>) -> Self {
        events.try_send("begin").expect("capacity");
        Self(events.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.0.try_send("closed");
    }
}

/// An endpoint that never answers, and its events.
async fn silent() -> (Endpoint, mpsc::Receiver<&'static str>) {
    let (sender, events) = mpsc::channel(16);
    let endpoint = Endpoint::new(move |_| {
        let guard = Guard::new(&sender);
        async move {
            let _guard = guard;
            std::future::pending().await
        }
    });
    (endpoint.await, events)
}

#[tokio::test]
async fn a_hundred_jobs_share_few_connections() {
    let endpoint = Endpoint::new(|request| async { response(200, "text/plain", request.into_body()) }).await;
    let server = server_with(&endpoint, |mut handler| {
        handler.slots = 2;
        handler
    });
    let server = server.await;
    let mut ids = Vec::new();
    for number in 0..100 {
        let spec = v1::JobSpec { payload: Some(text(&number.to_string())), ..http_job() };
        ids.push(server.submit(spec).await);
    }
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(server.end(id).await.text(), number.to_string());
    }
    // Two, unless a job begins before the connection of an earlier one is back in the pool.
    assert!((1..=10).contains(&endpoint.connections()), "{} connections", endpoint.connections());
}

#[tokio::test]
async fn a_cancelled_attempt_closes_its_connection() {
    let (endpoint, mut events) = silent().await;
    let server = server(&endpoint).await;
    let id = server.submit(http_job()).await;
    assert_eq!(wait_for("the request begins", events.recv()).await, Some("begin"));
    server.cancel(&id, Duration::from_secs(20)).await.expect("it runs");
    assert_eq!(wait_for("the connection closes", events.recv()).await, Some("closed"));
    assert!(!server.end(&id).await.cancellation().forced);
}

#[tokio::test]
async fn the_attempt_timeout_closes_the_connection() {
    let (endpoint, mut events) = silent().await;
    let server = server(&endpoint).await;
    let spec = v1::JobSpec { attempt_timeout: Some(millis(200)), ..http_job() };
    let ended = server.run_to_end(spec).await;
    assert_eq!(ended.failure().reason(), FailureReason::AttemptTimeout);
    assert_eq!(wait_for("the request begins", events.recv()).await, Some("begin"));
    assert_eq!(wait_for("the connection closes", events.recv()).await, Some("closed"));
}

#[tokio::test]
async fn the_time_limit_closes_the_connection() {
    let (endpoint, mut events) = silent().await;
    let server = server_with(&endpoint, |mut handler| {
        handler.time_limit = Some(Duration::from_millis(200));
        handler
    });
    // It lives on: the end of the server would close the connection too.
    let server = server.await;
    let ended = server.run_to_end(http_job()).await;
    assert_eq!(ended.failure().reason(), FailureReason::AttemptTimeout);
    assert!(ended.failure().retryable && ended.failure().message.contains("200ms"), "{ended:?}");
    assert_eq!(wait_for("the request begins", events.recv()).await, Some("begin"));
    assert_eq!(wait_for("the connection closes", events.recv()).await, Some("closed"));
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_costs_no_attempt() {
    let free = StdListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let server = TestServer::with(|setup| {
        let handler = HttpHandler::new(&format!("http://{address}/")).expect("a URL");
        setup.worker = std::mem::take(&mut setup.worker).http(KIND, handler).expect("no TLS");
    });
    let server = server.await;
    // One attempt: the job fails if the first one is counted.
    let id = server.submit(http_job()).await;
    let mut watched = server.watch(watch_request(&id, 0)).await;
    watched.read_to(JobState::Scheduled).await;
    let logs = watched.events.iter().find_map(|event| match &event.event {
        Some(Event::Log(log)) => Some((log.level(), log.text.clone())),
        _ => None,
    });
    let (level, message) = logs.expect("a log line");
    assert_eq!(level, LogLevel::Warn);
    assert!(message.starts_with(&format!("cannot connect to {address}: ")), "{message}");
    let listener = TcpListener::bind(address).await.expect("the port is still free");
    let _endpoint = Endpoint::on(listener, None, |_| async { response(200, "text/plain", "here") });
    assert_eq!(server.end(&id).await.text(), "here");
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_retryable_failure() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
    for (answer, message) in
        [(&b""[..], "broke before the response"), (HEAD, "broke before the end of the response")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Bytes::new();
                while !request.ends_with(b"payload") {
                    let mut chunk = vec![0; 4_096];
                    let bytes = stream.read(&mut chunk).await.expect("a request");
                    request = [&request, &chunk[..bytes]].concat().into();
                }
                tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.expect("it is open");
            }
        });
        let server = TestServer::with(|setup| {
            let handler = HttpHandler::new(&format!("http://{address}/")).expect("a URL");
            setup.worker = std::mem::take(&mut setup.worker).http(KIND, handler).expect("no TLS");
        });
        let spec = v1::JobSpec { payload: Some(text("payload")), ..http_job() };
        let ended = server.await.run_to_end(spec).await;
        let failure = ended.failure();
        assert_eq!((failure.r#type.as_str(), failure.retryable), ("http.connection", true));
        assert!(failure.message.contains(message), "{failure:?}");
    }
}
