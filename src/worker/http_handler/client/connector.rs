//! Makes connections: TCP, and TLS for https. Their time is bounded.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use tower_service::Service;

/// Timeout for a connection, with its TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(feature = "tls")]
type Inner = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "tls"))]
type Inner = HttpConnector;

pub(crate) type Connector = Bounded<Inner>;

type BoxError = Box<dyn Error + Send + Sync>;

/// Makes connections within [`CONNECT_TIMEOUT`].
#[derive(Clone)]
pub(crate) struct Bounded<C>(C);

impl<C> Service<Uri> for Bounded<C>
where
    C: Service<Uri, Error: Into<BoxError>, Future: Send + 'static>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => {
                    let message = format!("no connection within {CONNECT_TIMEOUT:?}");
                    Err(io::Error::new(io::ErrorKind::TimedOut, message).into())
                }
            }
        })
    }
}

/// # Errors
///
/// A message if the certificate authorities (PEM), or the system's if there are none, cannot be read.
pub(crate) fn new(url: &Uri, authorities: Option<&[u8]>, keepalive: Duration) -> Result<Connector, String> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // It is shared among the addresses of a name.
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(keepalive));
    tcp.set_nodelay(true);
    with_tls(tcp, url, authorities).map(Bounded)
}

#[cfg(feature = "tls")]
fn with_tls(tcp: HttpConnector, url: &Uri, authorities: Option<&[u8]>) -> Result<Inner, String> {
    let is_https = url.scheme() == Some(&http::uri::Scheme::HTTPS);
    let builder = hyper_rustls::HttpsConnectorBuilder::new();
    let builder = match authorities {
        None if is_https => {
            builder.with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider()).map_err(
                |error| format!("the system has no certificate authorities: {error}: name a file of them"),
            )?
        }
        authorities => builder.with_tls_config(tls_config(authorities)?),
    };
    Ok(builder.https_or_http().enable_http1().enable_http2().wrap_connector(tcp))
}

/// TLS with these authorities; without any for an endpoint that has none.
#[cfg(feature = "tls")]
fn tls_config(authorities: Option<&[u8]>) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(pem) = authorities {
        let certificates = crate::pem::certificates(pem);
        for certificate in certificates.map_err(|why| format!("the file of the authorities {why}"))? {
            roots.add(certificate).map_err(|error| format!("a certificate cannot be read: {error}"))?;
        }
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = rustls::ClientConfig::builder_with_provider(provider.into());
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(not(feature = "tls"))]
fn with_tls(tcp: HttpConnector, _url: &Uri, _authorities: Option<&[u8]>) -> Result<Inner, String> {
    Ok(tcp)
}
