//! Connections over TLS.
//!
//! tonic's own TLS cannot change the certificate of a client, and refuses connections of another connector to https addresses if
//! any crate of the program switches it on. So tonic gets an http address here, with the https one as origin of the requests.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_rustls::ConfigBuilderExt;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Endpoint;
use tower_service::Service;

use super::super::ClientOptions;
use super::identity::IdentityResolver;
use crate::pem;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The protocol of gRPC, by ALPN.
const PROTOCOL: &[u8] = b"h2";

/// Connects to a server and does the handshake. tonic limits the time of both.
#[derive(Clone)]
pub(in super::super) struct TlsConnect {
    http: HttpConnector,
    tls: TlsConnector,
    host: ServerName<'static>,
}

impl std::fmt::Debug for TlsConnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConnect").field("host", &self.host).finish_non_exhaustive()
    }
}

impl TlsConnect {
    /// The endpoint of an https address, and its connector.
    ///
    /// # Errors
    ///
    /// What is wrong with the address, the certificates or the key.
    pub(in super::super) fn new(uri: &Uri, options: &ClientOptions) -> Result<(Endpoint, Self), String> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let host = ServerName::try_from(host).map_err(|error| format!("the host is invalid: {error}"))?;
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(options.connect_timeout));
        let tls = Arc::new(config(options)?).into();
        let endpoint = Endpoint::from(without_tls(uri)?).origin(uri.clone());
        Ok((endpoint, Self { http, tls, host }))
    }
}

/// The address with the scheme http, and with the port of https.
fn without_tls(uri: &Uri) -> Result<Uri, String> {
    let mut parts = uri.clone().into_parts();
    let host = uri.host().unwrap_or_default();
    let authority = format!("{host}:{}", uri.port_u16().unwrap_or(443));
    parts.scheme = Some(http::uri::Scheme::HTTP);
    parts.authority = Some(authority.parse().map_err(|error| format!("{error}"))?);
    Uri::from_parts(parts).map_err(|error| error.to_string())
}

fn config(options: &ClientOptions) -> Result<ClientConfig, String> {
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be used: {error}"))?;
    let builder = match &options.tls.ca {
        Some(pem) => {
            builder.with_root_certificates(roots(pem).map_err(|why| format!("the CA certificate {why}"))?)
        }
        None => builder
            .with_native_roots()
            .map_err(|error| format!("the CA certificates of the system cannot be used: {error}"))?,
    };
    let mut config = match options.tls.identity.clone() {
        Some(identity) => {
            builder.with_client_cert_resolver(Arc::new(IdentityResolver::new(identity, provider)?))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

/// The authorities of a text in PEM format.
///
/// # Errors
///
/// What is wrong with it, as the end of a sentence.
pub(super) fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(pem::certificates(pem)?);
    match added {
        0 => Err(format!("is unusable: none of its {ignored} certificates can be parsed")),
        _ => Ok(roots),
    }
}

impl Service<Uri> for TlsConnect {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.http.call(uri);
        let (tls, host) = (self.tls.clone(), self.host.clone());
        Box::pin(async move {
            let stream = tls.connect(host, connecting.await?.into_inner()).await?;
            match stream.get_ref().1.alpn_protocol() {
                Some(PROTOCOL) => Ok(TokioIo::new(stream)),
                _ => Err(io::Error::other("the server does not offer HTTP/2 by ALPN").into()),
            }
        })
    }
}
