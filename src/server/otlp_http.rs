//! The HTTP client of exports over OTLP: the protocol http/protobuf.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::worker::{chain, connector};

/// Idle connections are probed in this interval.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Largest response of a collector, in bytes.
const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// A client of a collector of OpenTelemetry over HTTP, with TLS for https. It is the
/// [`HttpClient`](opentelemetry_http::HttpClient) of an exporter, and may be called from any thread.
#[derive(Debug, Clone)]
pub struct OtlpHttp {
    client: Client<connector::Connector, Full<Bytes>>,
    runtime: Handle,
    /// Longest time of a request. Default 10 s.
    pub timeout: Duration,
}

impl OtlpHttp {
    /// A client for this URL. It verifies the collector with these certificate authorities (PEM), or with those of the system.
    /// Needs a Tokio runtime, and connects with the first request.
    ///
    /// # Errors
    ///
    /// If the URL is invalid, is `https` and the feature `tls` is absent, or the authorities cannot be read. The text says why.
    pub fn new(url: &str, ca: Option<&[u8]>) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))?;
        match uri.scheme_str() {
            Some("https") if !cfg!(feature = "tls") => Err(format!("{url} needs the feature tls")),
            Some("http" | "https") => Ok(()),
            _ => Err(format!("{url:?} is no URL of HTTP: write http://HOST:PORT")),
        }?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector::new(&uri, ca, KEEPALIVE)?);
        Ok(Self { client, runtime: Handle::current(), timeout: Duration::from_secs(10) })
    }

    /// Sends a request and returns its response.
    ///
    /// # Errors
    ///
    /// Why there is no response.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let exchange = async {
            let response = self.client.request(request.map(Full::new)).await.map_err(|error| {
                // The client's own text repeats what the message says.
                error.source().map_or_else(|| error.to_string(), chain)
            })?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
            let body = body.map_err(|error| format!("the response cannot be read: {error}"))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        timeout(self.timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(format!("no response within {:?}", self.timeout)))
    }
}

#[tonic::async_trait]
impl HttpClient for OtlpHttp {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.clone();
        // Exporters run on threads without a runtime.
        let response = self.runtime.spawn(async move { client.send(request).await }).await?;
        // The exporter only says that the network failed.
        response.inspect_err(|why| tracing::debug!("the collector did not answer: {why}")).map_err(Into::into)
    }
}
