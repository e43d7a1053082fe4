//! A client with a connection beside floods of handshakes, and many idle connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use jobstream::client::Client;
use jobstream::server::raise_descriptor_limit;
use rustls::ClientConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tokio_rustls::TlsConnector;

use super::hostile::{HALF_HANDSHAKE, closed};
use super::reload::localhost;
use super::{Authority, Dev, HOSTS, host_of, start};

/// Peers of an attack at a time.
const FULL_PEERS: usize = 512;
const HALF_PEERS: usize = 2_000;
const GARBAGE_PEERS: usize = 64;
/// How long the client is measured beside each attack.
const MEASURED: Duration = Duration::from_secs(2);
/// Latencies below it are as good as none.
const RESOLUTION: Duration = Duration::from_millis(2);
/// The p99 of the client may be this many times that beside the same attack on another server of the machine.
const FACTOR_MAX: u32 = 5;
/// Idle connections, and the most memory that one of them may take.
const IDLE: usize = 10_000;
const IDLE_BYTES_MAX: usize = 64 << 10;

/// What the peers do, one connection after the other.
#[derive(Debug, Clone, Copy)]
enum Attack {
    /// Handshakes that are completed and closed.
    Full,
    /// Half of a handshake, then a byte a second until the server closes the connection.
    Half,
    /// Bytes that are no TLS.
    Garbage,
}

impl Attack {
    fn peers(self) -> usize {
        match self {
            Self::Full => FULL_PEERS,
            Self::Half => HALF_PEERS,
            Self::Garbage => GARBAGE_PEERS,
        }
    }

    async fn once(self, address: SocketAddr, config: Arc<ClientConfig>) {
        let Ok(mut stream) = TcpStream::connect(address).await else { return };
        match self {
            // Resets and refusals are what an attack gets.
            Self::Full => drop(TlsConnector::from(config).connect(localhost(), stream).await),
            Self::Half => {
                let mut ticks = interval(Duration::from_secs(1));
                let mut sent = stream.write_all(HALF_HANDSHAKE).await;
                while sent.is_ok() {
                    ticks.tick().await;
                    sent = stream.write_all(b"\0").await;
                }
            }
            Self::Garbage => {
                // The server may close the connection before all is sent.
                let _ = stream.write_all(&[0x55; 4_096]).await;
                closed(&mut stream).await;
            }
        }
    }
}

/// Peers that attack a server until they are dropped.
struct Attackers {
    done: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Attackers {
    fn begin(attack: Attack, address: SocketAddr, authority: &Authority) -> Self {
        let (done, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        for _ in 0..attack.peers() {
            let (config, done) = (authority.client_config(&["h2"], None), done.clone());
            tasks.spawn(async move {
                loop {
                    attack.once(address, config.clone()).await;
                    done.fetch_add(1, Relaxed);
                }
            });
        }
        Self { done, _tasks: tasks }
    }
}

/// The p99 of calls on one connection, one after the other, measured by a thread of its own.
async fn p99(dev: &Dev, authority: &Authority) -> Duration {
    let (address, options) = (dev.address.clone(), authority.client());
    let measuring = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = Client::connect_with(&address, options).await.expect("a connection");
            let (end, mut took) = (Instant::now() + MEASURED, Vec::new());
            while Instant::now() < end {
                let begin = Instant::now();
                client.server_info().await.expect("a call beside the attack");
                took.push(begin.elapsed());
            }
            took.sort_unstable();
            took[took.len() * 99 / 100]
        })
    });
    measuring.await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures latencies: run it in release"]
async fn floods_of_handshakes_do_not_delay_an_established_client() {
    raise_descriptor_limit();
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let flags = ["--connections-per-address-max", "0"];
    let (attacked, other) =
        (start(&authority, "server", &flags).await, start(&authority, "server", &flags).await);
    let alone = p99(&attacked, &authority).await;
    for attack in [Attack::Full, Attack::Half, Attack::Garbage] {
        let mut figures = Vec::new();
        for target in [&other, &attacked] {
            let address = host_of(target).parse().expect("an address");
            let attackers = Attackers::begin(attack, address, &authority);
            // The handshakes of the flood have begun.
            tokio::time::sleep(Duration::from_millis(500)).await;
            figures.push(p99(&attacked, &authority).await);
            eprintln!("{attack:?}: {} connections ended", attackers.done.load(Relaxed));
        }
        let [elsewhere, here] = figures[..] else { unreachable!("two targets") };
        eprintln!(
            "{attack:?}: p99 {here:?}, {elsewhere:?} beside the attack on another server, {alone:?} alone"
        );
        assert!(here <= FACTOR_MAX * elsewhere.max(RESOLUTION), "{attack:?}: {here:?} and {elsewhere:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "opens ten thousand connections: run it in release"]
async fn ten_thousand_idle_connections_take_little_memory() {
    raise_descriptor_limit();
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let max = (IDLE + 100).to_string();
    let flags = ["--connections-per-address-max", "0", "--connections-max", &max];
    let dev = start(&authority, "server", &flags).await;
    let (address, config) = (host_of(&dev).to_owned(), authority.client_config(&["h2"], None));
    let alone = p99(&dev, &authority).await;
    let before = dev.memory_bytes("RssAnon");
    let mut opening = JoinSet::new();
    for _ in 0..8 {
        let (address, config) = (address.clone(), config.clone());
        opening.spawn(async move {
            let mut streams = Vec::new();
            for _ in 0..IDLE / 8 {
                streams.push(idle(&address, &config).await);
            }
            streams
        });
    }
    let streams = opening.join_all().await;
    assert_eq!(streams.iter().map(Vec::len).sum::<usize>(), IDLE);
    let each = dev.memory_bytes("RssAnon").saturating_sub(before) / IDLE;
    let beside = p99(&dev, &authority).await;
    eprintln!("{each} bytes each; p99 {beside:?}, {alone:?} without");
    assert!(each <= IDLE_BYTES_MAX, "{each} bytes each");
    assert!(beside <= FACTOR_MAX * alone.max(RESOLUTION), "p99 {beside:?}, {alone:?} without");
}

/// An HTTP/2 connection without a request.
async fn idle(address: &str, config: &Arc<ClientConfig>) -> tokio_rustls::client::TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let handshake = TlsConnector::from(config.clone()).connect(localhost(), stream);
    let mut stream =
        timeout(Duration::from_secs(30), handshake).await.expect("in time").expect("a handshake");
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .expect("an open connection");
    stream.flush().await.expect("an open connection");
    stream
}
