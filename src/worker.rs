//! Workers: handlers by kind and programs as handlers, run in the server's process or on another machine.

pub mod command;
pub mod demo;

mod command_handler;
mod context;
mod desk;
mod error;
mod handler;
mod link;
#[cfg(feature = "server")]
mod local;
#[cfg(feature = "server")]
mod pool_link;
mod rehearsal;
mod remote;
mod running;
mod setup;

pub use command_handler::CommandHandler;
pub use context::JobContext;
pub use error::JobError;
pub use handler::InlineJob;
pub(crate) use rehearsal::rehearse;
pub use remote::RemoteOptions;
pub use running::{RunningWorker, WorkerEnd, WorkerStatus};
pub use setup::{DEFAULT_SLOTS, Worker};
