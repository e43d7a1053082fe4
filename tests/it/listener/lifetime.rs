//! The end of connections and of the server: age, drain and stop.

use std::io;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use jobstream::server::{ServeOptions, ServeReport};
use tokio::net::TcpStream;

use super::peer::*;
use super::probe::BLOCKED;
use super::server::{TestServer, millis, soon, with_limits};

/// The 200 ms that `serve` documents, with a margin for a busy machine.
const STOP_TIME: Duration = Duration::from_millis(400);

/// Returns options with short connection ages.
fn short_lived() -> ServeOptions {
    with_limits(|limits| {
        limits.preface_timeout = millis(20);
        limits.connection_age = millis(100);
        limits.connection_age_grace = millis(100);
        limits.closing_linger = millis(100);
        limits.drain_grace = millis(100);
    })
}

#[tokio::test]
async fn sockets_are_distributed_to_the_threads_in_turn() {
    let mut options = with_limits(|_| {});
    options.connection_threads = NonZeroUsize::new(3).expect("not zero");
    let server = TestServer::start(options);
    for turn in 0..6 {
        let mut client = Client::connect(server.address).await;
        let answer = client.call("/test.Probe/Thread").await;
        let thread = format!("connection-{}", turn % 3);
        assert_eq!(answer.headers()["x-thread"], thread);
        assert_eq!(
            answer.headers()["x-spawned"],
            thread,
            "a task spawned by a handler must stay on its thread"
        );
    }
}

#[tokio::test]
async fn old_connection_gets_goaway_and_is_closed() {
    let server = TestServer::start(short_lived());
    let mut raw = Raw::handshake(server.address).await;
    let opened = Instant::now();
    raw.send(&request(1, "/test.Probe/Hang", &[])).await;
    let goaway = raw.next_of(GOAWAY).await.expect("a GOAWAY before the end");
    assert_eq!(goaway.reason(), NO_ERROR);
    assert!(opened.elapsed() >= millis(80), "went away after {:?}", opened.elapsed());
    raw.rest().await;
    assert!(opened.elapsed() >= millis(280), "cut after {:?}", opened.elapsed());
    server.shutdown.now.cancel();
    assert_eq!(
        server.report().await,
        ServeReport::default(),
        "the age of a connection does not cause a shutdown"
    );
}

#[tokio::test]
async fn old_connection_closes_after_its_streams_end() {
    let server = TestServer::start(short_lived());
    let mut client = Client::connect(server.address).await;
    let ended = client.call("/test.Probe/Obey").await;
    assert_eq!(status(ended.headers()), "14");
    let closed = soon("the connection closes", client.connection).await.expect("no panic");
    closed.expect("an orderly end");
}

#[tokio::test]
async fn drain_closes_the_listening_socket_at_once() {
    let server = TestServer::start(with_limits(|_| {}));
    let mut client = Client::connect(server.address).await;
    client.call("/test.Probe/Echo").await;
    let waiting = client.start("/test.Probe/Obey", &[]).await;
    server.shutdown.graceful.cancel();
    soon("connecting is refused", async {
        loop {
            match TcpStream::connect(server.address).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    drop(waiting);
}

#[tokio::test]
async fn drain_ends_with_stalled_peers() {
    let server = TestServer::start(with_limits(|limits| {
        limits.drain_grace = millis(100);
        limits.closing_linger = millis(100);
    }));
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(Raw::connect(server.address).await);
    }
    let mut obeying = Client::connect(server.address).await;
    obeying.call("/test.Probe/Echo").await;
    let completed = obeying.start("/test.Probe/Obey", &[]).await;
    let mut watching = Client::connect(server.address).await;
    let watched = watching.call("/grpc.health.v1.Health/Watch").await;
    let mut unread = Raw::handshake(server.address).await;
    unread.send(&request(1, "/test.Probe/Flood", &[])).await;
    unread.next_of(HEADERS).await.expect("a response");

    server.shutdown.graceful.cancel();
    let completed = soon("the stream ends", completed).await.expect("a status");
    assert_eq!(status(completed.headers()), "14");
    let report = server.report().await;
    assert_eq!(report, ServeReport { connections_aborted: 2, requests_aborted: 2, connections_refused: 0 });
    drop((watched, unread, silent));
}

#[tokio::test]
async fn drain_lets_open_requests_finish() {
    let server = TestServer::start(with_limits(|_| {}));
    let mut client = Client::connect(server.address).await;
    client.call("/test.Probe/Echo").await;
    let waiting = client.start("/test.Probe/Hang", &[("grpc-timeout", "200m")]).await;
    server.shutdown.graceful.cancel();
    let answered = soon("the answer", waiting).await.expect("an answer");
    assert_eq!(status(answered.headers()), "4");
    assert_eq!(server.report().await, ServeReport::default());
}

#[tokio::test]
async fn stop_closes_all_connections() {
    let server = TestServer::start(with_limits(|_| {}));
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(server.address).await;
        let response = client.call("/test.Probe/Drip").await;
        clients.push((client, response));
    }
    let mut unread = Raw::handshake(server.address).await;
    unread.send(&request(1, "/test.Probe/Flood", &[])).await;
    unread.next_of(HEADERS).await.expect("a response");

    let stopped = Instant::now();
    server.shutdown.now.cancel();
    let report = server.report().await;
    assert!(stopped.elapsed() < STOP_TIME, "took {:?}", stopped.elapsed());
    assert_eq!(report, ServeReport { connections_aborted: 4, requests_aborted: 4, connections_refused: 0 });
}

#[tokio::test]
async fn stop_does_not_wait_for_a_blocked_thread() {
    let server = TestServer::start(with_limits(|_| {}));
    let mut client = Client::connect(server.address).await;
    let _blocked = client.start("/test.Probe/Block", &[]).await;
    soon("the thread is blocked", BLOCKED.acquire()).await.expect("an open semaphore").forget();

    let stopped = Instant::now();
    server.shutdown.now.cancel();
    let report = server.report().await;
    assert!(stopped.elapsed() < STOP_TIME, "took {:?}", stopped.elapsed());
    assert_eq!(report.connections_aborted, 1);
}
