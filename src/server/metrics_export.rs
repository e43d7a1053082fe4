//! The export of a server's metrics over OTLP: a push to a collector at an interval, and one at the end.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Request as HttpRequest, Uri};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use prost::Message;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Request;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};

use super::metrics::Sources;
use super::otlp_http::OtlpHttp;
use super::throttle::Throttle;

/// Longest time for the connection to the collector.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Shortest and longest time between two pushes.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Longest time for the last push, when the server ends.
const LAST_PUSH_TIME_MAX: Duration = Duration::from_millis(500);

/// The content of requests over HTTP.
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// Where and how often a server pushes its metrics. The protocol is OTLP over gRPC or HTTP.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MetricsExport {
    transport: Transport,
    headers: HeaderMap,
    /// Time between two pushes, from 10 ms to 24 h. Default 60 s.
    pub interval: Duration,
    /// Longest time of a push. Default 10 s.
    pub timeout: Duration,
    /// The attributes of the resource: `service.name` and others.
    pub resource: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
enum Transport {
    Grpc(Channel),
    Http(Box<OtlpHttp>, Uri),
}

impl MetricsExport {
    /// An export over gRPC to the collector with this URL, `http://localhost:4317`, which is verified with the certificate
    /// authorities of the system.
    ///
    /// # Errors
    ///
    /// Those of [`MetricsExport::grpc`].
    pub fn new(url: &str) -> Result<Self, String> {
        Self::grpc(url, None)
    }

    /// An export over gRPC to the collector with this URL. It is verified with these certificate authorities (PEM), or with those
    /// of the system. It connects with the first push.
    ///
    /// # Errors
    ///
    /// If the URL or the authorities are invalid, or the URL is `https` and the feature `tls` is absent. The text says why.
    pub fn grpc(url: &str, ca: Option<&[u8]>) -> Result<Self, String> {
        let invalid =
            |error: tonic::transport::Error| format!("{url:?} is no address of a collector: {error}");
        let endpoint =
            Endpoint::from_shared(url.to_owned()).map_err(invalid)?.connect_timeout(CONNECT_TIME_MAX);
        let endpoint = match url.starts_with("https:") {
            true => encrypted(endpoint, ca)?,
            false => endpoint,
        };
        Ok(Self::over(Transport::Grpc(endpoint.connect_lazy())))
    }

    /// An export over HTTP, as protobuf, to this URL with its path: `http://localhost:4318/v1/metrics`. The rest is as with
    /// [`MetricsExport::grpc`]. Needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// As [`MetricsExport::grpc`].
    pub fn http(url: &str, ca: Option<&[u8]>) -> Result<Self, String> {
        let mut client = OtlpHttp::new(url, ca)?;
        // A push has a bound of its own.
        client.timeout = Duration::MAX;
        let uri = url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))?;
        Ok(Self::over(Transport::Http(Box::new(client), uri)))
    }

    fn over(transport: Transport) -> Self {
        Self {
            transport,
            headers: HeaderMap::new(),
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            resource: vec![("service.name".to_owned(), "jobstream".to_owned())],
        }
    }

    /// Adds a header to each push, for example the key of an API.
    ///
    /// # Errors
    ///
    /// If the name or the value is no header.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, String> {
        let key: HeaderName = name.parse().map_err(|_| format!("{name:?} is no name of a header"))?;
        // A value may be a secret.
        let mut value: HeaderValue =
            value.parse().map_err(|_| format!("the value of the header {name:?} is invalid"))?;
        value.set_sensitive(true);
        self.headers.insert(key, value);
        Ok(self)
    }

    /// Starts to push.
    pub(super) fn start(self, sources: Sources) -> MetricsPush {
        let stop = CancellationToken::new();
        let pusher = Pusher { export: self, sources, warning: Throttle::default() };
        MetricsPush { task: tokio::spawn(pusher.run(stop.clone())), stop: stop.drop_guard() }
    }
}

/// A running export. Once it is dropped, it pushes for the last time, within [`LAST_PUSH_TIME_MAX`].
#[derive(Debug)]
pub(super) struct MetricsPush {
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl MetricsPush {
    /// Drops the export and waits until it has ended.
    pub(super) async fn stop(push: Option<Self>) {
        let Some(Self { task, stop }) = push else { return };
        drop(stop);
        // A task that panicked has pushed what it could.
        let _ = task.await;
    }
}

impl Transport {
    /// Sends a request.
    ///
    /// # Errors
    ///
    /// Why it was not accepted.
    async fn send(&self, request: ExportMetricsServiceRequest, headers: HeaderMap) -> Result<(), String> {
        match self {
            Self::Grpc(channel) => {
                let mut request = Request::new(request);
                *request.metadata_mut() = MetadataMap::from_headers(headers);
                let exported = MetricsServiceClient::new(channel.clone()).export(request).await;
                exported.map(drop).map_err(|status| format!("{:?}: {}", status.code(), status.message()))
            }
            Self::Http(client, uri) => {
                let mut request = HttpRequest::new(Bytes::from(request.encode_to_vec()));
                *request.method_mut() = http::Method::POST;
                *request.uri_mut() = uri.clone();
                *request.headers_mut() = headers;
                request.headers_mut().insert(CONTENT_TYPE, PROTOBUF);
                match client.send(request).await?.status() {
                    status if status.is_success() => Ok(()),
                    status => Err(format!("the response is {status}")),
                }
            }
        }
    }
}

#[cfg(feature = "tls")]
fn encrypted(endpoint: Endpoint, ca: Option<&[u8]>) -> Result<Endpoint, String> {
    let config = tonic::transport::ClientTlsConfig::new();
    let config = match ca {
        Some(pem) => config.ca_certificate(tonic::transport::Certificate::from_pem(pem)),
        None => config.with_native_roots(),
    };
    endpoint.tls_config(config).map_err(|error| format!("cannot use TLS: {error}"))
}

#[cfg(not(feature = "tls"))]
fn encrypted(endpoint: Endpoint, _: Option<&[u8]>) -> Result<Endpoint, String> {
    Err(format!("{} needs the feature tls", endpoint.uri()))
}

struct Pusher {
    export: MetricsExport,
    sources: Sources,
    warning: Throttle,
}

impl Pusher {
    /// Pushes at each interval until `stop` is cancelled, and once more then.
    async fn run(self, stop: CancellationToken) {
        let every = self.export.interval.clamp(INTERVAL_MIN, INTERVAL_MAX);
        let mut ticks = interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => break,
            }
            tokio::select! {
                () = self.push(self.export.timeout) => {}
                () = stop.cancelled() => break,
            }
        }
        self.push(LAST_PUSH_TIME_MAX.min(self.export.timeout)).await;
    }

    /// Sends one snapshot. A failure is logged; the next push has newer values of the same counters.
    async fn push(&self, within: Duration) {
        let MetricsExport { transport, headers, resource, .. } = &self.export;
        let sent = transport.send(self.sources.request(resource), headers.clone());
        let problem = match timeout(within, sent).await {
            Err(_) => format!("no answer within {within:?}"),
            Ok(Err(problem)) => problem,
            Ok(Ok(())) => return,
        };
        if let Some(suppressed) = self.warning.pass() {
            tracing::warn!(suppressed, "metrics were not exported: {problem}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::grpc::CallMeter;
    use crate::engine::{Engine, EngineOptions};
    use crate::server::limits::ListenerLimits;
    use crate::server::metrics::Connections;

    #[tokio::test]
    async fn an_export_ends_once_it_is_dropped() {
        // Nothing listens there.
        let mut export = MetricsExport::new("http://127.0.0.1:1").expect("a URL");
        export.interval = Duration::MAX;
        let engine = Engine::start(EngineOptions::default());
        let connections = Connections::new(&ListenerLimits::default());
        let push = export.start(Sources { engine, calls: CallMeter::default(), connections });
        let task = push.task.abort_handle();
        tokio::task::yield_now().await;
        assert!(!task.is_finished(), "it waits for the interval");
        drop(push);
        let ended = async {
            while !task.is_finished() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), ended).await.expect("it ends");
    }
}
