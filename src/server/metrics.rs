//! The metrics of a server in one snapshot: those of its engine, of its calls and of its connections.

use std::sync::Arc;

use super::budget::Budgets;
use super::limits::ListenerLimits;
use super::registry::ConnectionRegistry;
use crate::api::grpc::CallMeter;
use crate::api::http::Scrape;
use crate::engine::Engine;
use crate::metrics::{self, Snapshot};

/// The open connections of a listener, and their memory.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pub(super) registry: Arc<ConnectionRegistry>,
    pub(super) budgets: Arc<Budgets>,
}

impl Connections {
    /// None yet, within these limits.
    pub(super) fn new(limits: &ListenerLimits) -> Self {
        let budgets = Budgets::new(limits.connection_bytes_max, limits.connections_bytes_max);
        Self { registry: Arc::default(), budgets }
    }

    fn collect(&self, snapshot: &mut Snapshot) {
        let (used, limit) = self.budgets.memory_use();
        snapshot.add(&metrics::MEMORY_USED_BYTES, &["connections"], used as f64);
        snapshot.add(&metrics::MEMORY_LIMIT_BYTES, &["connections"], limit as f64);
        snapshot.add(&metrics::CONNECTIONS_OPEN, &[], self.registry.open() as f64);
        let refused = self.registry.report().connections_refused;
        snapshot.add(&metrics::CONNECTIONS_REFUSED, &[], refused as f64);
    }
}

/// Everything that has metrics.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) engine: Engine,
    pub(super) calls: CallMeter,
    pub(super) connections: Connections,
}

impl Sources {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        self.engine.collect_metrics(&mut snapshot);
        self.calls.collect(&mut snapshot);
        self.connections.collect(&mut snapshot);
        metrics::process::collect(&mut snapshot);
        let mode = if self.engine.is_durable() { "disk" } else { "memory" };
        let (version, commit) = build();
        snapshot.add(&metrics::BUILD_INFO, &[version, commit, mode], 1.0);
        snapshot
    }

    /// What a scrape reads.
    pub(super) fn scrape(&self) -> Scrape {
        let sources = self.clone();
        Arc::new(move || sources.snapshot().to_text())
    }

    /// What a push sends.
    #[cfg(feature = "otel")]
    pub(super) fn request(
        &self,
        resource: &[(String, String)],
    ) -> opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest {
        let period = metrics::Period { start: self.engine.start_time(), now: self.engine.now().wall };
        self.snapshot().to_otlp(period, resource)
    }
}

/// The version and the commit of this build: `0.1.0 (0123456789ab)`, without a commit in a development build.
fn build() -> (&'static str, &'static str) {
    let build = env!("JOBSTREAM_VERSION");
    let parts = build.strip_suffix(')').and_then(|build| build.split_once(" ("));
    parts.unwrap_or((build, ""))
}
