//! Runs one attempt of a job as a child process. This module does not depend on queues, leases or gRPC: the caller
//! passes a [`CommandSpec`] and a [`CommandInput`] and receives events and one [`CommandOutcome`].
//!
//! # Interface of the program
//!
//! - **argv** exactly as given. No shell is involved.
//! - **stdin**: the payload, then end of file. The program may close it early or never read it.
//! - **environment**: the allowlisted names, the pairs of the spec and those of the input; nothing else.
//! - **stdout**: the result, or output line by line ([`OutputMode`]).
//! - **stderr**: the line protocol below.
//! - **exit status**: 0 is success. A code in [`CommandSpec::retryable_exit_codes`] (75 by default) is a retryable
//!   failure; any other code is a permanent failure. Termination by a signal is a retryable failure.
//! - **process group**: each program has its own. Cancellation sends TERM to the group at once; force sends KILL. The
//!   time limit sends TERM, then KILL after [`CommandSpec::kill_grace`]. After the program has exited, the remaining
//!   processes of the group are killed. A process that leaves the group (`setsid`) is not killed and does not delay the
//!   attempt.
//!
//! # Lines on stderr
//!
//! | line | becomes |
//! |---|---|
//! | `::progress 0.4 decoding frames` | progress: fraction 0.4, message `decoding frames` |
//! | `::progress 40% decoding frames` | the same |
//! | `::progress 3/10 files copying` | progress: 3 done of 10, unit `files`, message `copying` |
//! | `::error disk is full` | a log line at level error |
//! | `::warning disk is nearly full` | a log line at level warning |
//! | anything else, also a `::progress` that does not parse | a log line at level info |
//!
//! ```sh
//! for i in 1 2 3; do convert_page "$i"; echo "::progress $i/3 pages" >&2; done
//! ```
//!
//! # Bounds
//!
//! Both pipes are always drained. The result is bounded by [`CommandSpec::result_bytes_max`], stderr by
//! [`CommandSpec::log_bytes_max`] and a line by [`CommandSpec::line_bytes_max`]. A slow receiver of the events slows
//! the program down; a closed receiver does not.

mod env;
mod exec;
mod group;
mod lines;
mod orphan_guard;
mod orphan_reaper;
mod program;
mod pump;
mod run;
mod spec;
mod stderr;
mod supervisor;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

pub use env::{header_env, header_env_name, trace_env};
pub use exec::{ExecError, parse_exec};
pub use orphan_guard::{OrphanGuard, run_orphan_guard};
pub use orphan_reaper::OrphanReaper;
pub use run::run;
pub use spec::{CommandSpec, DEFAULT_ENV_ALLOWLIST, OutputMode};

use crate::job::{Log, Progress};

/// The input of one attempt.
#[derive(Debug, Clone, Default)]
pub struct CommandInput {
    /// Written to stdin, followed by end of file.
    pub payload: Bytes,
    /// Environment variables of this attempt, such as `JOBSTREAM_JOB_ID`. They override those of the spec.
    pub env: Vec<(String, String)>,
}

/// Stops a running command.
#[derive(Debug, Clone, Default)]
pub struct CommandControl {
    /// Cancelling it sends TERM to the process group at once. The caller decides when to follow with `force`.
    pub cancel: CancellationToken,
    /// Cancelling it sends KILL to the process group at once.
    pub force: CancellationToken,
    /// Kills the process group if this process is killed.
    pub guard: Option<OrphanGuard>,
    /// Excludes the program from the reaping of orphans.
    pub reaper: OrphanReaper,
}

/// An event of a running command. Events from one pipe are in order.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandEvent {
    /// A line of stderr without its line ending, or a piece of a line that exceeds the line limit; bytes that are not UTF-8
    /// are replaced. The level is that of the line's prefix. A line of jobstream itself has the stream `Log`.
    Log(Log),
    /// A line of stdout in [`OutputMode::Lines`], with its line ending. The concatenation of all lines is stdout, byte
    /// for byte.
    Output(Bytes),
    /// Progress as a fraction, or as a number of units done out of a total.
    Progress(Progress),
}

/// The outcome of an attempt. The program has been reaped and its process group has ended.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandOutcome {
    /// The program exited with 0.
    Success {
        /// The contents of stdout; empty in [`OutputMode::Lines`].
        result: Bytes,
        /// [`CommandSpec::content_type`], or by default UTF-8 text or octets, as the result is.
        content_type: String,
    },
    /// The program failed, or its result is too large.
    Failed {
        /// The exit code, if the program exited.
        exit_code: Option<i32>,
        /// The signal that terminated the program, if one did.
        signal: Option<i32>,
        /// The failure and the last lines of stderr; at most about 2 KiB.
        message: String,
        /// Whether another attempt may succeed.
        retryable: bool,
    },
    /// The program was cancelled and has ended, with any exit status.
    Cancelled {
        /// Whether KILL was needed.
        forced: bool,
    },
    /// The program was stopped at [`CommandSpec::time_limit`].
    TimedOut,
    /// No process was started.
    NotStarted {
        /// The program, the reason and a remedy.
        message: String,
        /// Whether the reason is transient: the machine lacks processes, memory or file descriptors, or the program's
        /// file is being written. A worker then releases the job with a delay and does not count the attempt.
        retryable: bool,
    },
}
