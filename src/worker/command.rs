//! Runs one attempt of a job as a child process. It knows nothing of queues, leases or gRPC: the caller
//! hands over a [`CommandSpec`] and a [`CommandInput`] and gets events and one [`CommandOutcome`] back.
//!
//! # What the program sees
//!
//! - **argv** exactly as given. No shell is involved.
//! - **stdin**: the payload, then end of file. It may be closed early or never read.
//! - **environment**: the allowlisted names, the pairs of the spec and those of the input; nothing else.
//! - **stdout**: the result, or output line by line ([`OutputMode`]).
//! - **stderr**: the line protocol below.
//! - **exit status**: 0 is success; a code in [`CommandSpec::retryable_exit_codes`] (75 by default) is a
//!   failure worth another attempt; any other code is a failure that is not; death by a signal is worth
//!   another attempt.
//! - **a process group of its own.** Cancellation sends TERM to the group at once; force sends KILL. The time
//!   limit sends TERM, then KILL after [`CommandSpec::kill_grace`]. Whatever is left of the group when the
//!   program has exited is killed. A process that leaves the group on purpose (`setsid`) is out of reach; it
//!   holds nothing up.
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
//! Both pipes are always drained, and what is kept of them is bounded: the result by
//! [`CommandSpec::result_bytes_max`], stderr by [`CommandSpec::log_bytes_max`], a line by
//! [`CommandSpec::line_bytes_max`]. A slow reader of the events slows the program down; a reader that is gone
//! does not.

mod env;
mod exec;
mod group;
mod lines;
mod orphan_guard;
mod program;
mod pump;
mod run;
mod spec;
mod stderr;
mod supervisor;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

pub use env::{header_env, header_env_name};
pub use exec::{ExecError, parse_exec};
pub use orphan_guard::{OrphanGuard, run_orphan_guard};
pub use run::run;
pub use spec::{CommandSpec, DEFAULT_ENV_ALLOWLIST, OutputMode};

/// What one attempt hands to the program.
#[derive(Debug, Clone, Default)]
pub struct CommandInput {
    /// Written to stdin, followed by end of file.
    pub payload: Bytes,
    /// Environment of this attempt (`JOBSTREAM_JOB_ID` and the like); wins over the pairs of the spec.
    pub env: Vec<(String, String)>,
}

/// The caller's hold on a running command.
#[derive(Debug, Clone, Default)]
pub struct CommandControl {
    /// When it fires, the whole process group gets TERM at once. How long to wait before `force` is the
    /// caller's choice.
    pub cancel: CancellationToken,
    /// When it fires, the whole process group gets KILL at once.
    pub force: CancellationToken,
    /// Told of every process group, so that it ends even if this process is killed.
    pub guard: Option<OrphanGuard>,
}

/// News from a running command, in the order of the pipe it came from.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandEvent {
    /// A log line, without its line ending; bytes that are not UTF-8 are replaced.
    Log {
        /// Who wrote it.
        source: LogSource,
        /// Info, unless the line said otherwise.
        level: LogLevel,
        /// The line, or a piece of one that is longer than the line limit.
        text: String,
    },
    /// A line of stdout in [`OutputMode::Lines`], with its line ending. All of them joined are stdout, byte
    /// for byte.
    Output(Bytes),
    /// How far the program is: a fraction, or a number done of a total.
    Progress {
        /// From 0 to 1.
        fraction: Option<f64>,
        /// Units done, at most `total`.
        done: Option<u64>,
        /// Units in all.
        total: Option<u64>,
        /// What is counted: `files`.
        unit: Option<String>,
        /// What the program is doing.
        message: Option<String>,
    },
}

/// Who wrote a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSource {
    /// The program, on stderr.
    Stderr,
    /// jobstream, about the program.
    Runner,
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// No prefix.
    Info,
    /// `::warning `.
    Warning,
    /// `::error `.
    Error,
}

/// How an attempt ended. When it is known, the program has been reaped and its process group is gone.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandOutcome {
    /// The program exited with 0.
    Success {
        /// Its stdout; empty in [`OutputMode::Lines`].
        result: Bytes,
        /// [`CommandSpec::content_type`], or a guess: UTF-8 text or octets.
        content_type: String,
    },
    /// The program failed, or its result is too large.
    Failed {
        /// Its exit code, if it exited.
        exit_code: Option<i32>,
        /// The signal that killed it, if one did.
        signal: Option<i32>,
        /// What happened and the last lines of stderr; at most about 2 KiB.
        message: String,
        /// Whether another attempt may succeed.
        retryable: bool,
    },
    /// It was asked to stop and has stopped, whatever its exit status was.
    Cancelled {
        /// Whether it took KILL.
        forced: bool,
    },
    /// It was stopped at [`CommandSpec::time_limit`].
    TimedOut,
    /// There never was a process.
    NotStarted {
        /// The program, the reason and the way out.
        message: String,
        /// Whether the reason may pass: the machine is out of processes, memory or file descriptors, or the program is
        /// being written. A worker gives the job back then and tries it later; the attempt does not count.
        retryable: bool,
    },
}
