//! Workers: handlers by kind, and the in-process pool that runs them.

pub mod demo;

mod context;
mod error;
mod handler;
mod pool;

pub use context::JobContext;
pub use error::JobError;
pub use handler::InlineJob;
pub use pool::{DEFAULT_SLOTS, Pool, RunningPool};
