//! The listener this server owns: sockets, connection limits, deadlines and an orderly end.
//!
//! What the services answer is not here; they arrive as [`tonic::service::Routes`].

mod connection;
mod cors;
mod deadline;
mod edge;
mod limits;
mod listener;
mod serve;
mod tally;

pub use connection::ConnectionInfo;
pub use deadline::{Deadline, DeadlineFuture, DeadlineLayer, DeadlineService};
pub use limits::ListenerLimits;
pub use serve::{Lifecycle, ServeOptions, serve};
pub use tally::ServeReport;
