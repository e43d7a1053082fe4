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
mod host;
mod limits;
mod listener;
mod protocol;
mod registry;
mod router;
mod run;
mod serve;
mod shutdown;
mod throttle;
#[cfg(feature = "tls")]
mod tls;

pub use crate::api::grpc::{ConnectionInfo, Deadline};
pub use descriptors::raise_descriptor_limit;
pub use limits::ListenerLimits;
pub use listener::Listeners;
pub use registry::ServeReport;
pub use run::{Server, ServerError, ServerOptions, ShutdownReport};
pub use serve::{ServeOptions, serve};
pub use shutdown::Shutdown;
#[cfg(feature = "tls")]
pub use tls::{ServerTls, TlsError, TlsOptions};
