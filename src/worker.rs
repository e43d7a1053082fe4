//! Workers run the attempts of jobs: async functions or programs as handlers, in the server's process or on another
//! machine.

pub mod command;
pub mod demo;

mod command_handler;
mod context;
mod dry_run;
#[cfg(feature = "server")]
mod engine_sink;
mod error;
mod executor;
mod handler;
#[cfg(feature = "server")]
mod local;
mod remote;
mod report_sink;
mod running;
mod setup;

pub use command_handler::CommandHandler;
pub use context::JobContext;
pub(crate) use dry_run::dry_run;
pub use error::JobError;
pub use handler::InlineJob;
pub use remote::RemoteOptions;
pub use running::{RunningWorker, WorkerEnd, WorkerStatus};
pub use setup::{DEFAULT_SLOTS, Worker};
