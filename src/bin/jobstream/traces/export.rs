//! The export of spans over OTLP. Serving does not depend on it: a collector that is away costs a bounded queue and a line in
//! the log a minute.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jobstream::client::Spans;
use jobstream::server::OtlpHttp;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig};
#[cfg(feature = "tls")]
use opentelemetry_otlp::{
    WithTonicConfig,
    tonic_types::transport::{Certificate, ClientTlsConfig},
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};

use crate::otel::{self, Collector, Protocol};

/// Shortest time between two lines of the log about spans that were not exported.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// The export of this process.
pub(super) struct Export {
    provider: SdkTracerProvider,
    spans: Spans,
}

impl Export {
    /// Starts the export. Needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// What is wrong with the collector's address.
    pub(super) fn start(
        collector: &Collector,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let (sampling, problem) = otel::sampling(&variable);
        if let Some(problem) = problem {
            tracing::warn!("{problem}");
        }
        let exporter = match collector.protocol {
            Protocol::Grpc => over_grpc(collector),
            Protocol::HttpProtobuf => over_http(collector),
        }?;
        let exporter = Quiet { exporter, lost: AtomicU64::new(0), logged: Mutex::default() };
        let attributes = otel::resource(&variable).into_iter().map(|(key, value)| KeyValue::new(key, value));
        let provider = SdkTracerProvider::builder()
            .with_resource(Resource::builder().with_attributes(attributes).build())
            // `Spans` decides, before a span is made.
            .with_sampler(Sampler::AlwaysOn)
            .with_batch_exporter(exporter)
            .build();
        let spans = Spans::new(provider.tracer("jobstream"), sampling);
        tracing::debug!(?sampling, "exporting traces");
        Ok(Self { provider, spans })
    }

    pub(super) fn spans(&self) -> Spans {
        self.spans.clone()
    }

    /// Exports the spans that are left, within this time.
    pub(super) async fn stop(self, within: Duration) {
        let Self { provider, spans } = self;
        drop(spans);
        // It blocks its thread. A task that was aborted has no more spans to export.
        let stop = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(within));
        if let Ok(Err(error)) = stop.await {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

/// The exporter reads headers and other settings from the variables itself.
fn over_grpc(collector: &Collector) -> Result<OtlpExporter, String> {
    let exporter = OtlpExporter::builder().with_tonic().with_endpoint(&collector.url);
    #[cfg(feature = "tls")]
    let exporter = {
        let tls = ClientTlsConfig::new();
        exporter.with_tls_config(match &collector.ca {
            Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
            None => tls.with_native_roots(),
        })
    };
    exporter.build().map_err(|error| error.to_string())
}

fn over_http(collector: &Collector) -> Result<OtlpExporter, String> {
    let mut client = OtlpHttp::new(&collector.url, collector.ca.as_deref())?;
    client.timeout = collector.timeout.unwrap_or(client.timeout);
    let exporter = OtlpExporter::builder().with_http().with_http_client(client);
    let exporter =
        exporter.with_protocol(opentelemetry_otlp::Protocol::HttpBinary).with_endpoint(&collector.url);
    exporter.build().map_err(|error| error.to_string())
}

/// An exporter that logs its failures now and then.
#[derive(Debug)]
struct Quiet {
    exporter: OtlpExporter,
    /// Spans that were not exported, and are not in the log yet.
    lost: AtomicU64,
    logged: Mutex<Option<Instant>>,
}

impl SpanExporter for Quiet {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let exported = self.exporter.export(batch).await;
        if let Err(error) = &exported {
            let lost = self.lost.fetch_add(count, Ordering::Relaxed) + count;
            let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            if logged.is_none_or(|logged| logged.elapsed() >= LOG_PAUSE) {
                *logged = Some(Instant::now());
                self.lost.fetch_sub(lost, Ordering::Relaxed);
                tracing::warn!(%error, lost, "spans were not exported: check the collector");
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
