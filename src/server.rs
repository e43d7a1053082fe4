//! The listener this server owns: sockets, connection limits, deadlines and an orderly end.
//!
//! What the services answer is not here; they arrive as [`tonic::service::Routes`].

mod budget;
mod connection;
mod cors;
mod deadline;
mod descriptors;
mod durable;
mod edge;
mod give_back;
mod host;
mod limits;
mod listener;
mod relay;
mod router;
mod run;
mod serve;
mod tally;
mod throttle;
#[cfg(test)]
mod torture;
mod trailers;

pub use crate::rpc::{ConnectionInfo, Deadline};
pub use deadline::{DeadlineFuture, DeadlineLayer, DeadlineService};
pub use descriptors::raise_descriptor_limit;
pub use limits::ListenerLimits;
pub use run::{Server, ServerOptions, Shutdown, ShutdownReport};
pub use serve::{Lifecycle, ServeOptions, serve};
pub use tally::ServeReport;
