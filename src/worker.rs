//! Workers run the attempts of jobs: async functions, programs or HTTP endpoints as handlers, in the server's process or
//! on another machine.

pub mod command;
pub mod demo;

mod command_handler;
mod context;
mod dry_run;
#[cfg(feature = "server")]
mod engine_sink;
mod error;
mod executor;
mod failure_log;
mod handler;
mod http_handler;
mod interceptor;
#[cfg(feature = "server")]
mod local;
mod remote;
mod report_sink;
mod running;
mod settled;
mod setup;
#[cfg(feature = "otel")]
mod spans;
mod start_backoff;

pub use command_handler::CommandHandler;
pub use context::JobContext;
pub(crate) use dry_run::dry_run;
pub use error::JobError;
pub use handler::InlineJob;
pub use http_handler::{HttpEndpoint, HttpHandler};
#[cfg(all(feature = "server", feature = "tls"))]
pub(crate) use http_handler::{causes, chain, connector, parse_url};
pub use interceptor::{HandlerInterceptor, NextHandler};
pub use remote::RemoteOptions;
pub use running::{RunningWorker, WorkerEnd, WorkerStatus};
pub use setup::{DEFAULT_SLOTS, Worker};
