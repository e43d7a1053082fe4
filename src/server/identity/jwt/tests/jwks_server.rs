//! A web server with a key set, in plain text or over TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use super::File;

/// A server that stops when it is dropped.
pub(super) struct JwksServer {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    /// The certificate authority of a server with TLS.
    authority: Option<File>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Shared {
    /// The whole HTTP response; without one, the server does not answer.
    response: Mutex<Option<Vec<u8>>>,
    requests: AtomicUsize,
}

impl JwksServer {
    pub(super) async fn new() -> Self {
        Self::bind("127.0.0.1:0".parse().expect("an address")).await
    }

    pub(super) async fn bind(address: SocketAddr) -> Self {
        Self::start(address, None).await
    }

    /// With a certificate of its own authority for 127.0.0.1.
    pub(super) async fn with_tls() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("TLS 1.2 and 1.3").with_no_client_auth();
        let config = builder.with_single_cert(vec![certificate], key).expect("a pair");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = Self::start("127.0.0.1:0".parse().expect("an address"), Some(acceptor)).await;
        Self { authority: Some(File::new(&pem)), ..server }
    }

    async fn start(address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let task = AbortOnDropHandle::new(tokio::spawn(accept(listener, tls, shared.clone())));
        Self { address, shared, authority: None, _task: task }
    }

    pub(super) fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/keys", self.address)
    }

    /// The file of the authority.
    pub(super) fn ca(&self) -> std::path::PathBuf {
        self.authority.as_ref().expect("a server with TLS").0.clone()
    }

    /// Responds with this key set from now on.
    pub(super) fn publish(&self, document: &str) {
        self.respond("200 OK", "", document);
    }

    pub(super) fn respond(&self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        let response = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}");
        *self.shared.response.lock() = Some(response.into_bytes());
    }

    pub(super) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (tls, shared) = (tls.clone(), shared.clone());
        // A client may break its connection.
        tokio::spawn(async move {
            match tls {
                Some(tls) => answer(tls.accept(stream).await?, &shared).await,
                None => answer(stream, &shared).await,
            }
        });
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let response = shared.response.lock().clone();
    let Some(response) = response else { return std::future::pending().await };
    stream.write_all(&response).await?;
    stream.shutdown().await
}
