//! Metrics that a server pushes to a collector: a receiver of the published protocol.

use bytes::Bytes;
use http::Request as HttpRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint};
use prost::Message;
use rustix::process::Signal;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::http_handler::endpoint::{Endpoint, response};
use crate::support::{Dev, wait_for};

/// A collector that passes on what it gets with the key.
struct Collector(mpsc::Sender<ExportMetricsServiceRequest>);

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        if request.metadata().get("x-key").is_none_or(|key| key != "secret") {
            return Err(Status::unauthenticated("no key"));
        }
        // The test may have ended.
        let _ = self.0.send(request.into_inner()).await;
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

async fn collector() -> (String, mpsc::Receiver<ExportMetricsServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, receiver) = mpsc::channel(64);
    let service = MetricsServiceServer::new(Collector(sender));
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (format!("http://{address}"), receiver)
}

/// As [`collector`], over HTTP.
async fn http_collector() -> (Endpoint, mpsc::Receiver<ExportMetricsServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (sender, receiver) = mpsc::channel(64);
    let endpoint = Endpoint::on(listener, None, move |request: HttpRequest<Bytes>| {
        let sender = sender.clone();
        async move {
            let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
            match (request.uri().path(), header("x-key"), header("content-type")) {
                ("/v1/metrics", Some("secret"), Some("application/x-protobuf")) => {}
                ("/v1/metrics", None, _) => return response(401, "text/plain", "no key"),
                other => panic!("{other:?}"),
            }
            let metrics = ExportMetricsServiceRequest::decode(request.into_body()).expect("protobuf");
            // The test may have ended.
            let _ = sender.send(metrics).await;
            response(200, "application/x-protobuf", Bytes::new())
        }
    });
    (endpoint, receiver)
}

fn metric<'a>(request: &'a ExportMetricsServiceRequest, name: &str) -> Option<&'a Metric> {
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    metrics.iter().find(|metric| metric.name == name)
}

/// The sum of all series; 0 before the first one.
fn sum(request: &ExportMetricsServiceRequest, name: &str) -> f64 {
    let number = |point: &NumberDataPoint| match point.value {
        Some(Value::AsDouble(number)) => number,
        _ => panic!("no number"),
    };
    match metric(request, name).map_or(&None, |metric| &metric.data) {
        None => 0.0,
        Some(Data::Sum(sum)) if sum.is_monotonic => sum.data_points.iter().map(number).sum(),
        data => panic!("{name} is no counter: {data:?}"),
    }
}

#[tokio::test]
#[ignore = "needs the feature otel: run it in release with --features full"]
async fn a_server_pushes_its_metrics_and_once_more_at_its_end() {
    let (url, mut pushes) = collector().await;
    let variables = format!(
        "export OTEL_EXPORTER_OTLP_ENDPOINT={url} OTEL_TRACES_EXPORTER=none OTEL_METRIC_EXPORT_INTERVAL=50 \
         OTEL_EXPORTER_OTLP_HEADERS=x-key=secret OTEL_SERVICE_NAME=orders; exec \"$@\""
    );
    let dev = Dev::start_in(&variables, &[]).await;
    let first = wait_for("a push", pushes.recv()).await.expect("a collector");
    assert_eq!(sum(&first, "jobstream.jobs.submitted"), 0.0);
    assert!(metric(&first, "jobstream.build.info").is_some());
    let attributes = &first.resource_metrics[0].resource.as_ref().expect("a resource").attributes;
    assert!(attributes.iter().any(|attribute| format!("{attribute:?}").contains("orders")), "{attributes:?}");
    dev.sh("jobstream run demo.echo 1").await;
    let counted = async {
        loop {
            let push = pushes.recv().await.expect("a collector");
            if sum(&push, "jobstream.jobs.finished") == 1.0 {
                return push;
            }
        }
    };
    let push = wait_for("the job is counted", counted).await;
    let waits = metric(&push, "jobstream.job.wait").expect("a histogram");
    assert_eq!(waits.unit, "s");
    let Some(Data::Histogram(waits)) = &waits.data else { panic!("a histogram") };
    assert_eq!(waits.data_points.iter().map(|point| point.count).sum::<u64>(), 1);
    dev.signal(Signal::TERM);
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(0), "{stderr}");
}

#[tokio::test]
#[ignore = "needs the feature otel: run it in release with --features full"]
async fn the_last_push_has_what_happened_since_the_one_before() {
    let (url, mut pushes) = collector().await;
    let variables = format!(
        "export OTEL_EXPORTER_OTLP_METRICS_ENDPOINT={url} OTEL_METRIC_EXPORT_INTERVAL=3600000 \
         OTEL_EXPORTER_OTLP_METRICS_HEADERS=x-key=secret; exec \"$@\""
    );
    let dev = Dev::start_in(&variables, &[]).await;
    dev.sh("jobstream run demo.echo 1").await;
    dev.signal(Signal::TERM);
    assert_eq!(dev.end().await.0, Some(0));
    let last = wait_for("a push", pushes.recv()).await.expect("a collector");
    assert_eq!(sum(&last, "jobstream.jobs.finished"), 1.0);
    assert!(pushes.try_recv().is_err(), "only one");
}

#[tokio::test]
#[ignore = "needs the feature otel: run it in release with --features full"]
async fn metrics_are_pushed_over_http_as_protobuf() {
    let (endpoint, mut pushes) = http_collector().await;
    let variables = |url: &str, key: &str| {
        format!(
            "export OTEL_METRIC_EXPORT_INTERVAL=3600000 OTEL_TRACES_EXPORTER=none {url} {key}; exec \"$@\""
        )
    };
    let all =
        format!("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_ENDPOINT={}", endpoint.url(""));
    let own = format!(
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_METRICS_ENDPOINT={}",
        endpoint.url("/v1/metrics")
    );
    for url in [&all, &own] {
        let dev = Dev::start_in(&variables(url, "OTEL_EXPORTER_OTLP_HEADERS=x-key=secret"), &[]).await;
        dev.sh("jobstream run demo.echo 1").await;
        dev.signal(Signal::TERM);
        let (code, stderr) = dev.end().await;
        assert_eq!(code, Some(0), "{stderr}");
        let push = wait_for("a push", pushes.recv()).await.expect("a collector");
        assert_eq!(sum(&push, "jobstream.jobs.finished"), 1.0);
    }
    let dev = Dev::start_in(&variables(&all, ""), &[]).await;
    dev.signal(Signal::TERM);
    let (_, stderr) = dev.end().await;
    assert!(stderr.contains("metrics were not exported: the response is 401 Unauthorized"), "{stderr}");
}

#[cfg(feature = "tls")]
#[tokio::test]
#[ignore = "needs the feature otel: run it in release with --features full"]
async fn a_collector_of_metrics_with_tls_is_verified_with_the_authority_of_the_variable() {
    use tonic::transport::{Identity, Server, ServerTlsConfig};

    let certificate = crate::otlp::Certificate::new();
    let pem = |file: &str| std::fs::read(certificate.path(file)).expect("a file");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, mut pushes) = mpsc::channel(64);
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(pem("tls.crt"), pem("tls.key")));
    let mut server = Server::builder().tls_config(tls).expect("a certificate");
    let server = server.add_service(MetricsServiceServer::new(Collector(sender)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let variables = format!(
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=https://{address} OTEL_EXPORTER_OTLP_HEADERS=x-key=secret \
         OTEL_METRIC_EXPORT_INTERVAL=50"
    );
    let ca = certificate.path("tls.crt");
    let dev = Dev::start_in(&format!("export {variables}; exec \"$@\""), &[]).await;
    dev.signal(Signal::TERM);
    let (_, stderr) = dev.end().await;
    assert!(stderr.contains("metrics were not exported"), "{stderr}");
    assert!(pushes.try_recv().is_err(), "its certificate is of no authority of the system");
    let script = format!("export {variables} OTEL_EXPORTER_OTLP_CERTIFICATE={ca}; exec \"$@\"");
    let _dev = Dev::start_in(&script, &[]).await;
    wait_for("a push", pushes.recv()).await.expect("a collector");
}

#[tokio::test]
#[ignore = "needs the feature otel: run it in release with --features full"]
async fn a_collector_that_refuses_is_logged_and_delays_nothing() {
    let (url, _pushes) = collector().await;
    let variables = format!(
        "export OTEL_EXPORTER_OTLP_METRICS_ENDPOINT={url} OTEL_METRIC_EXPORT_INTERVAL=10; exec \"$@\""
    );
    let dev = Dev::start_in(&variables, &[]).await;
    dev.sh("for n in 1 2 3 4 5; do jobstream run -q demo.echo $n; done").await;
    dev.signal(Signal::TERM);
    let (code, stderr) = wait_for("the server ends", dev.end()).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("metrics were not exported: Unauthenticated: no key"), "{stderr}");
}
