//! The services behind the listeners of a server: gRPC with health and reflection, HTTP/JSON, and the metrics.

use std::num::NonZeroUsize;

use tokio_util::sync::DropGuard;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::descriptors::Descriptors;
use super::limits::ListenerLimits;
use super::listener::Listeners;
use super::metrics::{Connections, Sources};
use super::router::Router;
use super::run::ServerOptions;
use super::serve::{ServeOptions, serve_router};
use super::shutdown::Shutdown;
use crate::api::grpc::{self, Api, ConnectionLimits};
use crate::api::http::{self, Scrape};
use crate::engine::Engine;
use crate::proto::DESCRIPTORS;

/// The services that gRPC health reports, beside the whole server.
const HEALTH_SERVICES: [&str; 4] = [
    "jobstream.v1.JobService",
    "jobstream.v1.WorkerService",
    "jobstream.v1.AdminService",
    "jobstream.v1.AccessService",
];

/// Most connections of the listener for metrics. A new one evicts the longest idle one.
const METRICS_CONNECTIONS_MAX: usize = 64;

/// The services of a server, and what else runs with them.
pub(super) struct Services {
    /// Sets the status of gRPC health.
    pub(super) health: HealthReporter,
    pub(super) router: Router,
    pub(super) sources: Sources,
}

impl Services {
    /// The services of an engine. Reflection lists them all.
    pub(super) async fn new(engine: &Engine, options: &ServerOptions, connections: Connections) -> Self {
        let (health, health_service) = tonic_health::server::health_reporter();
        for service in HEALTH_SERVICES {
            health.set_service_status(service, ServingStatus::Serving).await;
        }
        let valid = "the embedded descriptors are complete";
        let limits = connection_limits(&options.serve.limits);
        let api = Api::new(engine.clone(), options.message_bytes_max, limits)
            .with_log_level(options.log_level.clone());
        let api = match &options.serve.identity {
            Some(identity) => api.with_token_keys(identity.token_keys()),
            None => api,
        };
        let (jobs, others) = grpc::services(&api);
        let others = others
            .add_service(health_service.accept_compressed(CompressionEncoding::Gzip))
            .add_service(reflection().build_v1().expect(valid).accept_compressed(CompressionEncoding::Gzip))
            .add_service(
                reflection().build_v1alpha().expect(valid).accept_compressed(CompressionEncoding::Gzip),
            );
        let router = Router::new(jobs, others, api.call_log().clone(), options.message_bytes_max);
        let sources = Sources { engine: engine.clone(), calls: api.call_log().meter().clone(), connections };
        let router = router.with_http(http::router(&api, sources.scrape()));
        Self { health, router, sources }
    }
}

/// Reflection of all services. Each of its versions lists only itself by default.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // Tools such as grpcurl decode error details with it.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
}

/// Reports the server and its services as NOT_SERVING.
pub(super) async fn stop_serving(health: &HealthReporter) {
    for service in HEALTH_SERVICES.into_iter().chain([""]) {
        health.set_service_status(service, ServingStatus::NotServing).await;
    }
}

fn connection_limits(limits: &ListenerLimits) -> ConnectionLimits {
    ConnectionLimits {
        bytes_max: limits.connection_bytes_max,
        all_bytes_max: limits.connections_bytes_max,
        max: limits.max_connections.min(Descriptors::now().connections_max),
        per_address_max: limits.max_connections_per_address,
    }
}

/// Serves metrics and health on a thread of their own until the returned guard is dropped.
pub(super) fn serve_metrics(listeners: Listeners, engine: &Engine, scrape: Scrape) -> DropGuard {
    let options = ServeOptions {
        limits: ListenerLimits { max_connections: METRICS_CONNECTIONS_MAX, ..ListenerLimits::default() },
        connection_threads: NonZeroUsize::MIN,
        // A monitoring system names the server by any address or name.
        allowed_hosts: vec!["*".to_owned()],
        ..ServeOptions::default()
    };
    let shutdown = Shutdown::default();
    let stop = shutdown.now.clone().drop_guard();
    let connections = Connections::new(&options.limits);
    let router = Router::from(Routes::default()).with_http(http::metrics_router(engine, scrape));
    tokio::spawn(async move {
        if let Err(error) = serve_router(listeners, router, options, connections, shutdown).await {
            tracing::error!(%error, "cannot serve metrics on their own address");
        }
    });
    stop
}
