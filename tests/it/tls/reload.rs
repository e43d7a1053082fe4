//! The certificate changes while clients call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use jobstream::client::{Client, ClientOptions};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::{Authority, HOSTS, host_of, start};
use crate::support::{Served, until, wait_for};

/// Certificates of a test, each used once.
const SWAPS: usize = 12;
const MANY_SWAPS: usize = 100;
/// Clients that call at a time in the long test, each with one connection, and those with a connection for each call.
const MANY_CLIENTS: usize = 16;

/// A handshake with ALPN for these protocols.
pub(super) fn connector(authority: &Authority, protocols: &[&str]) -> TlsConnector {
    authority.client_config(protocols, None).into()
}

pub(super) fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

/// The certificate of a new connection.
async fn served(connector: &TlsConnector, host: &str) -> CertificateDer<'static> {
    let stream = TcpStream::connect(host).await.expect("a connection");
    let stream = wait_for("a handshake", connector.connect(localhost(), stream)).await.expect("a handshake");
    let (_, session) = stream.get_ref();
    session.peer_certificates().expect("a certificate")[0].clone().into_owned()
}

#[tokio::test]
async fn no_call_fails_while_the_certificate_changes() {
    change_under_load(SWAPS, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute: run it in release"]
async fn no_call_fails_while_the_certificate_changes_a_hundred_times() {
    change_under_load(MANY_SWAPS, MANY_CLIENTS).await;
}

/// Calls of clients until the flag is set.
#[derive(Clone, Default)]
struct Calls {
    ended: Arc<AtomicBool>,
    count: Arc<AtomicU32>,
}

impl Calls {
    async fn on_one_connection(self, address: String, options: ClientOptions) {
        let client = Client::connect_with(&address, options).await.expect("a connection");
        while !self.ended.load(Relaxed) {
            client.server_info().await.expect("a call on an old connection");
            self.count.fetch_add(1, Relaxed);
        }
    }

    async fn on_new_connections(self, address: String, options: ClientOptions) {
        while !self.ended.load(Relaxed) {
            let client = Client::connect_with(&address, options.clone()).await.expect("a handshake");
            client.server_info().await.expect("a call on a new connection");
            self.count.fetch_add(1, Relaxed);
        }
    }
}

/// Replaces the certificate while `clients` clients keep their connections, and as many connect for each call.
async fn change_under_load(swaps: usize, clients: usize) {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let dev = start(&authority, "server", &["--tls-poll-interval", "20ms"]).await;
    let (calls, mut callers) = (Calls::default(), JoinSet::new());
    for _ in 0..clients {
        callers.spawn(calls.clone().on_one_connection(dev.address.clone(), authority.client()));
        callers.spawn(calls.clone().on_new_connections(dev.address.clone(), authority.client()));
    }
    let connector = connector(&authority, &["h2"]);
    for swap in 0..swaps {
        let before = calls.count.load(Relaxed);
        let issued = authority.issue("server", &HOSTS);
        let issued = CertificateDer::from_pem_slice(issued.as_bytes()).expect("a certificate");
        // Every other one is applied at once.
        if swap % 2 == 0 {
            dev.signal(Signal::HUP);
        }
        until("the new certificate", async || served(&connector, host_of(&dev)).await == issued).await;
        until("further calls", async || calls.count.load(Relaxed) > before + 4).await;
    }
    calls.ended.store(true, Relaxed);
    while let Some(ended) = wait_for("the calls end", callers.join_next()).await {
        ended.expect("no call fails");
    }
    eprintln!("{} calls during {swaps} certificates", calls.count.load(Relaxed));
    dev.signal(Signal::TERM);
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(0), "{stderr}");
}

#[tokio::test]
async fn a_reload_of_the_config_uses_other_files() {
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let other = authority.issue("other", &HOSTS);
    let other = CertificateDer::from_pem_slice(other.as_bytes()).expect("a certificate");
    let config = |name: &str, more: &str| {
        let file = |extension: &str| authority.path(&format!("{name}.{extension}"));
        let (cert, key) = (file("crt"), file("key"));
        format!("listen = '127.0.0.1:0'\n[tls]\npoll_interval = '1h'\ncert = {cert:?}\nkey = {key:?}\n{more}")
    };
    let mut server = Served::start(&config("server", "")).await;
    let (host, connector) = (server.address.to_string(), connector(&authority, &["h2"]));
    assert_ne!(served(&connector, &host).await, other);
    let changed = server.reload(&config("other", "")).await;
    assert!(changed.ends_with("reloaded: tls.cert, tls.key, changed the TLS files"), "{changed}");
    assert_eq!(served(&connector, &host).await, other);
    let refused = server.reload(&config("missing", "[log]\nlevel = 'debug'")).await;
    assert!(refused.contains("missing.crt"), "{refused}");
    assert_eq!(served(&connector, &host).await, other);
}

#[tokio::test]
async fn a_wrong_pair_keeps_the_former_one() {
    let authority = Authority::new();
    let issued = authority.issue("server", &HOSTS);
    let issued = CertificateDer::from_pem_slice(issued.as_bytes()).expect("a certificate");
    authority.issue("other", &HOSTS);
    let dev = start(&authority, "server", &["--tls-poll-interval", "1h"]).await;
    std::fs::copy(authority.path("other.key"), authority.path("server.key")).expect("a copy");
    dev.signal(Signal::HUP);
    let connector = connector(&authority, &["h2"]);
    assert_eq!(served(&connector, host_of(&dev)).await, issued);
    std::fs::copy(authority.path("other.crt"), authority.path("server.crt")).expect("a copy");
    until("the second pair", async || {
        dev.signal(Signal::HUP);
        served(&connector, host_of(&dev)).await != issued
    })
    .await;
    dev.signal(Signal::TERM);
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("SIGHUP: reloaded: changed the TLS files"), "{stderr}");
}
