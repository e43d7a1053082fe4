//! The HTTP client of one handler: HTTP/1.1 and HTTP/2, a pool of connections, TLS.

pub(crate) mod connector;

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use self::connector::Connector;
use super::response::chain;
use crate::worker::JobError;

/// Idle connections are closed after this time. Common servers close theirs after 5 seconds: a request on a connection
/// that its server closes at the same time fails.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// An open connection without traffic is probed in this interval. A dead peer is detected while a request is open.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// Timeout for the answer to a probe of an HTTP/2 connection.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Sends requests to one endpoint.
pub(super) struct Client {
    client: legacy::Client<Connector, Full<Bytes>>,
    /// The host and port of the endpoint.
    endpoint: String,
}

/// Why there is no response.
pub(super) enum SendError {
    /// No connection could be made, so nothing was sent.
    NotConnected(String),
    /// The certificate was refused, or the connection broke.
    Failed(JobError),
}

impl Client {
    /// A client with at most `idle_max` idle connections. It verifies certificates with these authorities (PEM) or the
    /// system's.
    ///
    /// # Errors
    ///
    /// A message if the authorities cannot be read.
    pub(super) fn new(url: &Uri, idle_max: u32, authorities: Option<&[u8]>) -> Result<Self, String> {
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(idle_max as usize)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .http2_keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .build(connector::new(url, authorities, KEEPALIVE_INTERVAL)?);
        let endpoint = url.authority().map(ToString::to_string).unwrap_or_default();
        Ok(Self { client, endpoint })
    }

    /// Sends a request and returns the head of its response.
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<impl BodyExt<Data = Bytes, Error = impl Error + use<>> + Unpin + use<>>, SendError>
    {
        self.client.request(request).await.map_err(|error| self.send_error(&error))
    }

    fn send_error(&self, error: &legacy::Error) -> SendError {
        let causes = causes(error, "ca_file");
        if is_tls(error) {
            let message = format!("no TLS connection to {}: {causes}", self.endpoint);
            return SendError::Failed(JobError::retryable(message).with_type("http.tls"));
        }
        if error.is_connect() {
            return SendError::NotConnected(format!("cannot connect to {}: {causes}", self.endpoint));
        }
        let message = format!("the connection to {} broke before the response: {causes}", self.endpoint);
        SendError::Failed(JobError::retryable(message).with_type("http.connection"))
    }
}

/// Why a request has no response: a failed TLS handshake in words, with the option that names authorities, else all causes.
pub(crate) fn causes(error: &legacy::Error, ca_option: &str) -> String {
    // The client's own text repeats what the message says.
    tls_failure(error, ca_option).unwrap_or_else(|| error.source().map_or_else(|| error.to_string(), chain))
}

#[cfg(feature = "tls")]
fn tls_failure(error: &legacy::Error, ca_option: &str) -> Option<String> {
    use crate::client::{reason, tls};

    Some(match tls::explain(error)? {
        (reason::UNKNOWN_CA, why) => format!("{why}: name its CA with {ca_option}"),
        (_, why) => why,
    })
}

#[cfg(not(feature = "tls"))]
fn tls_failure(_error: &legacy::Error, _ca_option: &str) -> Option<String> {
    None
}

/// Whether the TLS handshake failed, most often because the certificate cannot be verified.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if is_rustls(error) {
            return true;
        }
        // The source of an I/O error is that of the error inside it.
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match inside {
            Some(inside) => Some(inside),
            None => error.source(),
        };
    }
    false
}

#[cfg(feature = "tls")]
fn is_rustls(error: &(dyn Error + 'static)) -> bool {
    error.is::<rustls::Error>()
}

#[cfg(not(feature = "tls"))]
fn is_rustls(_error: &(dyn Error + 'static)) -> bool {
    false
}
