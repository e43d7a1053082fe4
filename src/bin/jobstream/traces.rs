//! Traces: whether the standard variables of OpenTelemetry ask for them, and the spans of a server or a worker.

#[cfg(feature = "otel")]
mod export;

use std::time::Duration;

use jobstream::server::ServerOptions;
use jobstream::worker::Worker;

use crate::otel::variable;

/// The version, with the features that a default build does not have.
#[cfg(feature = "otel")]
pub(crate) const LONG_VERSION: &str = concat!(
    env!("JOBSTREAM_VERSION"),
    "\nfeature otel: exports traces and metrics to OTEL_EXPORTER_OTLP_ENDPOINT"
);
/// The version, with the features that a default build does not have.
#[cfg(not(feature = "otel"))]
pub(crate) const LONG_VERSION: &str = env!("JOBSTREAM_VERSION");

/// Longest time for the last spans to be exported when the program ends.
const STOP_TIME_MAX: Duration = Duration::from_secs(1);

/// The spans of this process and their export. Without the feature `otel`, there are none.
pub(crate) struct Traces {
    #[cfg(feature = "otel")]
    export: Option<export::Export>,
}

impl Traces {
    /// Starts the export if the variables of this process ask for it. Problems are logged: no server fails for its traces.
    /// Needs a Tokio runtime.
    pub(crate) fn start() -> Self {
        #[cfg(feature = "otel")]
        let traces = {
            let collector = crate::otel::Collector::of(crate::otel::Signal::Traces, variable);
            let start = |collector| export::Export::start(&collector, variable);
            let export = collector.and_then(|collector| collector.map(start).transpose());
            Self {
                export: export.unwrap_or_else(|problem| {
                    tracing::warn!("traces are not exported: {problem}");
                    None
                }),
            }
        };
        #[cfg(not(feature = "otel"))]
        let traces = {
            if let Some((name, _)) = crate::otel::Signal::Traces.endpoint(variable) {
                tracing::warn!(
                    "{name} is set, but this binary exports no traces and no metrics: build it with the feature otel"
                );
            }
            Self {}
        };
        traces
    }

    /// Makes a span of each request of a server with these options.
    #[cfg_attr(not(feature = "otel"), expect(unused_variables, clippy::unused_self))]
    pub(crate) fn add_to_server(&self, options: &mut ServerOptions) {
        #[cfg(feature = "otel")]
        {
            options.serve.spans = self.export.as_ref().map(export::Export::spans);
        }
    }

    /// Makes a span of each attempt of a worker.
    pub(crate) fn add_to_worker(&self, worker: Worker) -> Worker {
        #[cfg(feature = "otel")]
        if let Some(export) = &self.export {
            return worker.interceptor(export.spans());
        }
        worker
    }

    /// Exports the last spans, for at most a second and at most `within`.
    pub(crate) async fn stop(self, within: Duration) {
        let within = within.min(STOP_TIME_MAX);
        #[cfg(feature = "otel")]
        if let Some(export) = self.export {
            export.stop(within).await;
        }
        let _ = within;
    }
}
