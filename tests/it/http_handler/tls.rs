//! TLS to an endpoint: a certificate authority of our own, HTTP/2 by ALPN, and certificates that are refused.

use std::sync::Arc;

use http::Version;
use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::{FailureReason, JobEvent, JobState};
use jobstream::worker::HttpHandler;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{self, ServerConfig};

use super::endpoint::{Endpoint, response};
use super::{KIND, http_job, server_with};
use crate::support::{TestServer, watch_request};

/// A certificate authority.
pub(super) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// An endpoint with a certificate of this authority for 127.0.0.1. It answers with the version of HTTP.
pub(super) async fn endpoint(authority: &CertifiedIssuer<'static, KeyPair>, alpn: &[&str]) -> Endpoint {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = ServerConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = config.expect("versions").with_no_client_auth();
    let mut config = config.with_single_cert(vec![certificate.der().clone()], key).expect("a certificate");
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Endpoint::on(listener, Some(acceptor), |request| async move {
        let version = if request.version() == Version::HTTP_2 { "HTTP/2" } else { "HTTP/1.1" };
        response(200, "text/plain", version)
    })
}

#[tokio::test]
async fn the_version_of_http_is_negotiated() {
    let authority = authority();
    for (alpn, version) in
        [(&["h2", "http/1.1"][..], "HTTP/2"), (&["http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")]
    {
        let endpoint = endpoint(&authority, alpn).await;
        let server = server_with(&endpoint, |handler| handler.ca_certificates(authority.pem())).await;
        assert_eq!(server.run_to_end(http_job()).await.text(), version);
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let endpoint = endpoint(&authority(), &["h2"]).await;
    let other = authority();
    let server = server_with(&endpoint, |handler| handler.ca_certificates(other.pem())).await;
    let ended = server.run_to_end(http_job()).await;
    let failure = ended.failure();
    assert_eq!((failure.reason(), failure.r#type.as_str()), (FailureReason::Handler, "http.tls"));
    assert!(failure.message.contains(&endpoint.address.to_string()), "{failure:?}");
    let expected = "is from an authority (CA) that this client does not trust: name its CA with ca_file";
    assert!(failure.message.ends_with(expected), "{failure:?}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = authority();
    let endpoint = endpoint(&authority, &[]).await;
    let url = format!("https://localhost:{}/", endpoint.address.port());
    let server =
        server_with(&endpoint, |_| HttpHandler::new(&url).expect("a URL").ca_certificates(authority.pem()));
    let ended = server.await.run_to_end(http_job()).await;
    assert_eq!(ended.failure().r#type, "http.tls", "{ended:?}");
}

#[tokio::test]
async fn a_handshake_that_hangs_is_no_connection() {
    // The system accepts connections for it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let authority = authority();
    let server = TestServer::with(|setup| {
        let handler =
            HttpHandler::new(&format!("https://{address}/")).expect("a URL").ca_certificates(authority.pem());
        setup.worker = std::mem::take(&mut setup.worker).http(KIND, handler).expect("an authority");
    });
    let server = server.await;
    let id = server.submit(http_job()).await;
    let mut watched = server.watch(watch_request(&id, 0)).await;
    watched.read_to(JobState::Scheduled).await;
    let is_warned = |event: &JobEvent| matches!(&event.event, Some(Event::Log(log)) if log.text.contains("no connection within 5s"));
    assert!(watched.events.iter().any(is_warned), "{:?}", watched.events);
}
