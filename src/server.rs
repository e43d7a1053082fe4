//! The listener this server owns: sockets, connection limits, deadlines and an orderly end.
//!
//! What the services answer is not here; they arrive as [`tonic::service::Routes`].

mod deadline;

pub use deadline::{Deadline, DeadlineFuture, DeadlineLayer, DeadlineService};
