//! The certificate changes while clients call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use jobstream::client::Client;
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Authority, HOSTS, host_of, start};
use crate::support::{until, wait_for};

/// Certificates of the test, each used once.
const SWAPS: usize = 12;

/// A handshake with ALPN for these protocols.
pub(super) fn connector(authority: &Authority, protocols: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(authority.path("ca.crt")).expect("a certificate");
    roots.add(ca).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.expect("TLS 1.2 and 1.3").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Arc::new(config).into()
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
    let authority = Authority::new();
    authority.issue("server", &HOSTS);
    let dev = start(&authority, "server", &["--tls-poll-interval", "20ms"]).await;
    let ended = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicU32::new(0));
    let keeps_one_connection =
        Client::connect_with(&dev.address, authority.client()).await.expect("a connection");
    let steady = {
        let (client, ended, calls) = (keeps_one_connection, ended.clone(), calls.clone());
        tokio::spawn(async move {
            while !ended.load(Relaxed) {
                client.server_info().await.expect("a call on an old connection");
                calls.fetch_add(1, Relaxed);
            }
        })
    };
    let fresh = {
        let (address, options) = (dev.address.clone(), authority.client());
        let (ended, calls) = (ended.clone(), calls.clone());
        tokio::spawn(async move {
            while !ended.load(Relaxed) {
                let client = Client::connect_with(&address, options.clone()).await.expect("a handshake");
                client.server_info().await.expect("a call on a new connection");
                calls.fetch_add(1, Relaxed);
            }
        })
    };
    let connector = connector(&authority, &["h2"]);
    for swap in 0..SWAPS {
        let before = calls.load(Relaxed);
        let issued = authority.issue("server", &HOSTS);
        let issued = CertificateDer::from_pem_slice(issued.as_bytes()).expect("a certificate");
        // Every other one is applied at once.
        if swap % 2 == 0 {
            dev.signal(Signal::HUP);
        }
        until("the new certificate", async || served(&connector, host_of(&dev)).await == issued).await;
        until("further calls", async || calls.load(Relaxed) > before + 4).await;
    }
    ended.store(true, Relaxed);
    wait_for("the calls end", steady).await.expect("no call fails");
    wait_for("the calls end", fresh).await.expect("no call fails");
    dev.signal(Signal::TERM);
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(0), "{stderr}");
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
    assert!(stderr.contains("SIGHUP: reloaded the TLS files"), "{stderr}");
}
