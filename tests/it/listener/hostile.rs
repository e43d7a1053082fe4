//! Peers that stall, flood or exceed limits are disconnected without an effect on others.

use super::peer::*;
use super::server::{TestServer, millis, soon, with_limits};

#[tokio::test]
async fn silent_connection_is_closed() {
    let server = TestServer::start(with_limits(|limits| limits.preface_timeout = millis(200)));
    let mut silent: Vec<_> = Vec::new();
    for _ in 0..20 {
        silent.push(Raw::connect(server.address).await);
    }
    for raw in &mut silent {
        assert_eq!(raw.read_text().await, "");
    }
}

#[tokio::test]
async fn connection_with_a_slow_preface_is_closed() {
    let server = TestServer::start(with_limits(|limits| limits.preface_timeout = millis(200)));
    let mut raw = Raw::connect(server.address).await;
    assert!(raw.trickle(PREFACE, millis(20)).await, "the connection was not closed during the preface");
}

#[tokio::test]
async fn connection_with_a_slow_http1_head_is_closed() {
    let server = TestServer::start(with_limits(|limits| limits.http1_header_timeout = millis(200)));
    let mut raw = Raw::connect(server.address).await;
    let head = "GET / HTTP/1.1\r\nhost: a-host-with-a-long-name\r\n\r\n";
    assert!(raw.trickle(head.as_bytes(), millis(20)).await, "the connection was not closed during the head");
}

#[tokio::test]
async fn active_connection_is_not_closed() {
    let server = TestServer::start(with_limits(|limits| limits.preface_timeout = millis(50)));
    let mut client = Client::connect(server.address).await;
    let waited = client.call_with("/test.Probe/Hang", &[("grpc-timeout", "200m")]).await;
    assert_eq!(status(waited.headers()), "4");
    let (_, trailers) = finish(client.call("/test.Probe/Echo").await).await;
    assert_eq!(status(&trailers), "0");
}

#[tokio::test]
async fn unanswered_ping_closes_the_connection() {
    let server = TestServer::start(with_limits(|limits| {
        limits.keepalive_interval = millis(50);
        limits.keepalive_timeout = millis(50);
    }));
    let mut raw = Raw::handshake(server.address).await;
    raw.rest().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn peer_that_never_reads_is_disconnected() {
    let server = TestServer::start(with_limits(|limits| {
        limits.max_connections = 1;
        limits.tcp_user_timeout = millis(200);
    }));
    let mut raw = Raw::connect(server.address).await;
    raw.send(PREFACE).await;
    // Large windows, so that only the socket buffers limit the data.
    raw.send(&frame(SETTINGS, 0, 0, b"\x00\x04\x7f\xff\xff\xff")).await;
    raw.send(&frame(WINDOW_UPDATE, 0, 0, b"\x7f\x00\x00\x00")).await;
    raw.send(&request(1, "/test.Probe/Flood", &[])).await;
    raw.stream.readable().await.expect("an answer");
    wait_for_connection_capacity(&server).await;
}

#[tokio::test]
async fn flood_of_malformed_requests_closes_the_connection() {
    let server = TestServer::start(with_limits(|limits| limits.max_local_error_resets = 100));
    let mut raw = Raw::handshake(server.address).await;
    // A connection-specific field makes a request malformed.
    let flood: Vec<u8> = (0..1_000)
        .flat_map(|index| request(index * 2 + 1, "/test.Probe/Hang", b"\x00\x0aconnection\x01x"))
        .collect();
    raw.send(&flood).await;
    let frames = raw.rest().await;
    let goaway = frames.iter().find(|frame| frame.kind == GOAWAY).expect("a GOAWAY");
    assert_eq!(goaway.reason(), ENHANCE_YOUR_CALM);
    let resets = frames.iter().filter(|frame| frame.kind == RST_STREAM).count();
    assert!(resets <= 100, "{resets} resets");
}

#[tokio::test]
async fn rapid_resets_close_the_connection() {
    let server = TestServer::start(with_limits(|_| {}));
    let mut raw = Raw::handshake(server.address).await;
    let flood: Vec<u8> = (0..5_000)
        .flat_map(|index| {
            let stream = index * 2 + 1;
            let reset = frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
            [request(stream, "/test.Probe/Hang", &[]), reset].concat()
        })
        .collect();
    // The server may close before all is sent.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut raw.stream, &flood).await;
    let goaway = raw.next_of(GOAWAY).await.expect("a GOAWAY");
    assert_eq!(goaway.reason(), ENHANCE_YOUR_CALM);
    raw.rest().await;
}

#[tokio::test]
async fn stream_above_the_limit_is_refused() {
    let server = TestServer::start(with_limits(|limits| limits.max_concurrent_streams = 2));
    let mut raw = Raw::handshake(server.address).await;
    for stream in [1, 3, 5] {
        raw.send(&request(stream, "/test.Probe/Hang", &[])).await;
    }
    let refused = raw.next_of(RST_STREAM).await.expect("an open connection");
    assert_eq!((refused.stream, refused.reason()), (5, REFUSED_STREAM));
}

#[tokio::test]
async fn large_headers_are_refused() {
    let server = TestServer::start(with_limits(|_| {}));
    let mut client = Client::connect(server.address).await;
    let accepted = client.call_with("/test.Probe/Echo", &[("x-large", &"x".repeat(7 * 1_024))]).await;
    assert_eq!(accepted.status(), 200);
    let refused = client.call_with("/test.Probe/Echo", &[("x-large", &"x".repeat(8 * 1_024))]).await;
    assert_eq!(refused.status(), 431);
}

#[tokio::test]
async fn connection_above_the_limit_is_closed() {
    let server = TestServer::start(with_limits(|limits| limits.max_connections = 2));
    let mut first = Client::connect(server.address).await;
    let mut second = Client::connect(server.address).await;
    let _calls = [first.call("/test.Probe/Drip").await, second.call("/test.Probe/Drip").await];
    assert_eq!(Raw::connect(server.address).await.read_text().await, "");

    first.connection.abort();
    wait_for_connection_capacity(&server).await;
    server.shutdown.now.cancel();
    assert!(server.report().await.connections_refused >= 1);
}

/// Connects peers that only answer PINGs.
async fn idle_peers(server: &TestServer, count: usize) -> Vec<Client> {
    let mut peers = Vec::new();
    for _ in 0..count {
        let mut peer = Client::connect(server.address).await;
        peer.call("/test.Probe/Echo").await;
        peers.push(peer);
    }
    peers
}

#[tokio::test]
async fn a_new_connection_replaces_the_longest_idle_one() {
    let server = TestServer::start(with_limits(|limits| {
        limits.max_connections = 300;
        limits.keepalive_interval = millis(50);
    }));
    let mut busy = Client::connect(server.address).await;
    let call = busy.call("/test.Probe/Drip").await;
    let mut idle = idle_peers(&server, 299).await;
    for _ in 0..3 {
        let mut newcomer = Client::connect(server.address).await;
        let (_, trailers) = finish(newcomer.call("/test.Probe/Echo").await).await;
        assert_eq!(status(&trailers), "0");
        let longest_idle = idle.remove(0);
        let closed =
            soon("the longest idle connection closes", longest_idle.connection).await.expect("no panic");
        closed.expect("an orderly end");
        idle.push(newcomer);
    }
    assert!(idle.iter().all(|peer| !peer.connection.is_finished()), "no other connection closes");
    busy.call("/test.Probe/Echo").await;
    drop(call);
}

#[tokio::test]
async fn an_address_at_its_limit_loses_its_longest_idle_connection() {
    let server = TestServer::start(with_limits(|limits| limits.max_connections_per_address = Some(2)));
    let mut idle = idle_peers(&server, 1).await;
    let mut busy = Client::connect(server.address).await;
    let _call = busy.call("/test.Probe/Drip").await;
    let mut third = Client::connect(server.address).await;
    let _other_call = third.call("/test.Probe/Drip").await;
    let closed = soon("the idle connection closes", idle.remove(0).connection).await.expect("no panic");
    closed.expect("an orderly end");
    assert_eq!(Raw::connect(server.address).await.read_text().await, "");
    server.shutdown.now.cancel();
    assert_eq!(server.report().await.connections_refused, 1);
}

#[tokio::test]
async fn an_idle_connection_that_answers_pings_is_closed() {
    let server = TestServer::start(with_limits(|limits| {
        limits.preface_timeout = millis(20);
        limits.idle_timeout = millis(200);
        limits.keepalive_interval = millis(50);
    }));
    let mut busy = Client::connect(server.address).await;
    let call = busy.call("/test.Probe/Drip").await;
    let idle = idle_peers(&server, 1).await.remove(0);
    let closed = soon("the idle connection closes", idle.connection).await.expect("no panic");
    closed.expect("an orderly end");
    busy.call("/test.Probe/Echo").await;
    drop(call);
    let closed = soon("the other is idle as well", busy.connection).await.expect("no panic");
    closed.expect("an orderly end");
}

#[tokio::test]
async fn an_idle_connection_that_ignores_goaway_is_closed() {
    let server = TestServer::start(with_limits(|limits| {
        limits.preface_timeout = millis(20);
        limits.idle_timeout = millis(200);
    }));
    let mut raw = Raw::handshake(server.address).await;
    let goaway = raw.next_of(GOAWAY).await.expect("a GOAWAY");
    assert_eq!(goaway.reason(), NO_ERROR);
    raw.rest().await;
}

/// Waits until the server accepts another connection.
async fn wait_for_connection_capacity(server: &TestServer) {
    soon("there is capacity", async {
        while Raw::handshake(server.address).await.next_of(SETTINGS).await.is_none() {}
    })
    .await;
}
