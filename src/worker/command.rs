//! Runs one attempt of a job as a child process. It knows nothing of queues, leases or gRPC.

mod exec;
mod spec;

pub use exec::{ExecError, parse_exec};
pub use spec::{CommandSpec, DEFAULT_ENV_ALLOWLIST, OutputMode};
