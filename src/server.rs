//! The network server: sockets, connection limits, memory budgets, deadlines and graceful shutdown.
//!
//! Module `api` implements the gRPC services. [`serve`] accepts any [`tonic::service::Routes`].

mod budget;
mod connection;
mod connection_thread;
mod cors;
#[cfg(test)]
mod crash_test;
mod deadline;
mod descriptors;
#[cfg(feature = "tls")]
mod handshakes;
mod host;
mod identity;
mod limits;
mod listener;
mod metrics;
#[cfg(feature = "otel")]
mod metrics_export;
#[cfg(feature = "otel")]
mod otlp_http;
mod protocol;
mod registry;
mod router;
mod run;
mod serve;
mod services;
mod shutdown;
#[cfg(feature = "otel")]
mod spans;
mod throttle;
#[cfg(feature = "tls")]
mod tls;
mod trace;

pub use crate::api::grpc::{ClientCertificate, ConnectionInfo, Deadline, LogLevelControl};
pub use descriptors::raise_descriptor_limit;
#[cfg(feature = "tls")]
pub use identity::JwtOptions;
pub use identity::{
    CERTIFICATES_MAX, CertificatePrincipal, Identity, IdentityOptions, IdentityUpdate, StaticToken,
    TOKENS_MAX,
};
pub use limits::ListenerLimits;
pub use listener::Listeners;
#[cfg(feature = "otel")]
pub use metrics_export::MetricsExport;
#[cfg(feature = "otel")]
pub use otlp_http::OtlpHttp;
pub use registry::ServeReport;
pub use run::{Server, ServerError, ServerOptions, ShutdownReport};
pub use serve::{ServeOptions, serve};
pub use shutdown::Shutdown;
#[cfg(feature = "tls")]
pub use tls::{CertificateInfo, ClientAuth, ServerTls, TlsError, TlsOptions};
