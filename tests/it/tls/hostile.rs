//! Peers that do not complete a handshake, and those that are no TLS clients.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::time::Duration;

use jobstream::client::Client;
use jobstream::engine::{Engine, EngineOptions};
use jobstream::server::{
    Server, ServerError, ServerOptions, ServerTls, Shutdown, ShutdownReport, TlsOptions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::reload::{connector, localhost};
use super::{Authority, HOSTS, host_of, start};
use crate::support::wait_for;

/// The first bytes of a handshake record of 512 bytes.
pub(super) const HALF_HANDSHAKE: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00";
const CONNECTIONS_MAX: usize = 8;

/// A server in this process.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    shutdown: Shutdown,
    ended: JoinHandle<Result<ShutdownReport, ServerError>>,
}

pub(super) fn serve(authority: &Authority, change: impl FnOnce(&mut ServerOptions)) -> Running {
    let files = TlsOptions::new(authority.path("server.crt"), authority.path("server.key"));
    let mut options = ServerOptions::default();
    options.serve.tls = Some(ServerTls::load(files).expect("valid files"));
    change(&mut options);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let shutdown = Shutdown::default();
    let server = Server::new(Engine::start(EngineOptions::default()), options);
    let ended = tokio::spawn(server.run(listener, shutdown.clone()));
    Running { address, shutdown, ended }
}

async fn half_handshake(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(HALF_HANDSHAKE).await.expect("an open connection");
    stream
}

/// Reads until the server closes the connection.
pub(super) async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    // A reset is an end as well.
    let _ = wait_for("the server closes", stream.read_to_end(&mut received)).await;
    received
}

#[tokio::test]
async fn a_half_handshake_ends_at_its_timeout() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let server = serve(&authority, |options| {
        options.serve.limits.tls_handshake_timeout = Duration::from_millis(100);
        // Only the timeout of the handshake can end the connection in time.
        options.serve.limits.preface_timeout = Duration::from_secs(3_600);
    });
    let mut half = half_handshake(server.address).await;
    assert_eq!(closed(&mut half).await, b"");
    let mut silent = TcpStream::connect(server.address).await.expect("a connection");
    assert_eq!(closed(&mut silent).await, b"");
}

#[tokio::test]
async fn half_handshakes_count_as_connections_and_do_not_harm_a_client() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let server = serve(&authority, |options| {
        options.serve.limits.max_connections = CONNECTIONS_MAX;
        options.serve.limits.max_connections_per_address = None;
        options.serve.limits.tls_handshake_timeout = Duration::from_secs(3_600);
    });
    let address = format!("https://{}", server.address);
    let client = Client::connect_with(&address, authority.client()).await.expect("a connection");
    let idle = connector(&authority, &["h2"]);
    let (mut halves, mut idles) = (Vec::new(), Vec::new());
    for _ in 0..3 * CONNECTIONS_MAX {
        halves.push(half_handshake(server.address).await);
        let stream = TcpStream::connect(server.address).await.expect("a connection");
        // A connection may be evicted before its handshake is complete.
        idles.push(wait_for("a handshake", idle.connect(localhost(), stream)).await);
        client.server_info().await.expect("a call beside them");
    }
    // Those beyond the limit are closed, although their handshake may take an hour.
    let evicted = halves.len() - CONNECTIONS_MAX;
    for half in &mut halves[..evicted] {
        closed(half).await;
    }
    server.shutdown.graceful.cancel();
    wait_for("the server ends", server.ended).await.expect("no panic").expect("a report");
}

#[tokio::test]
async fn a_handshake_above_the_limit_ends_the_oldest() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let server = serve(&authority, |options| {
        options.serve.connection_threads = NonZeroUsize::MIN;
        options.serve.limits.max_tls_handshakes = 2;
        options.serve.limits.tls_handshake_timeout = Duration::from_secs(3_600);
    });
    let mut oldest = half_handshake(server.address).await;
    let mut second = half_handshake(server.address).await;
    let address = format!("https://{}", server.address);
    let client = Client::connect_with(&address, authority.client()).await.expect("a connection");
    closed(&mut oldest).await;
    client.server_info().await.expect("a call");
    let _third = half_handshake(server.address).await;
    let _fourth = half_handshake(server.address).await;
    closed(&mut second).await;
    client.server_info().await.expect("a call");
}

#[tokio::test]
async fn a_drain_lets_calls_finish_and_closes_half_handshakes() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let dev = start(&authority, "server", &[]).await;
    let address: SocketAddr = host_of(&dev).parse().expect("an address");
    let mut half = half_handshake(address).await;
    let client = Client::connect_with(&dev.address, authority.client()).await.expect("a connection");
    let job = client.job("demo.sleep").json(&serde_json::json!({"seconds": 0.3})).expect("JSON");
    let job = job.submit::<serde_json::Value>().await.expect("it is accepted");
    let result = tokio::spawn(job.into_future());
    dev.signal(rustix::process::Signal::TERM);
    wait_for("the result", result).await.expect("no panic").expect("a result");
    closed(&mut half).await;
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(0), "{stderr}");
}

#[tokio::test]
async fn a_peer_without_a_common_protocol_is_refused_and_logged() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let dev = start(&authority, "server", &[]).await;
    let host = host_of(&dev);
    let connect = async || TcpStream::connect(host).await.expect("a connection");
    let handshake = connector(&authority, &["nonsense"]).connect(localhost(), connect().await);
    let error = wait_for("a refusal", handshake).await.expect_err("no common protocol");
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");

    let handshake = connector(&authority, &[]).connect(localhost(), connect().await);
    let mut stream = wait_for("a handshake", handshake).await.expect("ALPN is optional");
    let request = format!("GET /v1/server HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("an open connection");
    let mut answer = String::new();
    wait_for("the answer", stream.read_to_string(&mut answer)).await.expect("text");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    dev.signal(rustix::process::Signal::TERM);
    let (_, stderr) = dev.end().await;
    assert!(stderr.contains("offers neither h2 nor http/1.1"), "{stderr}");
}
