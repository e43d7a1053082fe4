//! Workers: handlers by kind, the in-process pool that runs them, and programs as handlers.

pub mod command;
pub mod demo;

mod command_handler;
mod context;
mod desk;
mod error;
mod handler;
mod link;
mod local;
mod remote;
mod running;
mod setup;

pub use command_handler::CommandHandler;
pub use context::JobContext;
pub use error::JobError;
pub use handler::InlineJob;
pub use remote::RemoteOptions;
pub use running::{RunningWorker, WorkerEnd, WorkerStatus};
pub use setup::{DEFAULT_SLOTS, Worker};
