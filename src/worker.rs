//! Workers: handlers by kind, the in-process pool that runs them, and programs as handlers.

pub mod command;
pub mod demo;

mod command_handler;
mod context;
mod error;
mod handler;
mod local;

pub use command_handler::CommandHandler;
pub use context::JobContext;
pub use error::JobError;
pub use handler::InlineJob;
pub use local::{DEFAULT_SLOTS, RunningWorker, Worker};
