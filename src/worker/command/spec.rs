//! The program to run, its bounds and their defaults.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Default of [`CommandSpec::env_allowlist`].
pub const DEFAULT_ENV_ALLOWLIST: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// The exit code of a temporary failure: `EX_TEMPFAIL` of sysexits.h.
const EX_TEMPFAIL: i32 = 75;

/// How stdout is interpreted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputMode {
    /// Stdout is the result.
    #[default]
    Result,
    /// Each line becomes a chunk of output when it is written; the result is empty.
    Lines,
}

/// A program, its environment and its bounds. All attempts of a kind share it.
#[derive(Debug, Clone)]
pub struct CommandSpec {
    /// The program. A bare name is looked up in the `PATH` of the program's environment. A relative path is relative to
    /// the working directory of this process, not to `working_dir`.
    pub program: PathBuf,
    /// The arguments, passed unchanged and without a shell.
    pub args: Vec<String>,
    /// The program's working directory; by default that of this process.
    pub working_dir: Option<PathBuf>,
    /// The environment from which `env_allowlist` selects. The library does not read the process environment; a binary
    /// passes its own.
    pub inherited_env: Vec<(String, String)>,
    /// Names of the variables of `inherited_env` that the program inherits; [`DEFAULT_ENV_ALLOWLIST`] by default.
    pub env_allowlist: Vec<String>,
    /// Additional variables. They override inherited ones.
    pub env: Vec<(String, String)>,
    /// How stdout is interpreted.
    pub output: OutputMode,
    /// Content type of the result; by default `text/plain; charset=utf-8` if it is UTF-8, else
    /// `application/octet-stream`.
    pub content_type: Option<String>,
    /// Largest result. A larger one stops the program and fails the attempt. 1 MiB by default.
    pub result_bytes_max: usize,
    /// Most bytes of stderr that become log events, from its start. Further bytes are counted. 256 KiB by default.
    pub log_bytes_max: usize,
    /// Longest line. Longer lines are split into pieces of this size. 16 KiB by default.
    pub line_bytes_max: usize,
    /// Time limit of the program, including the delivery of its output; no limit by default.
    pub time_limit: Option<Duration>,
    /// Time between TERM and KILL, at the time limit and for processes that a stopped program left behind. 5 s by
    /// default.
    pub kill_grace: Duration,
    /// Exit codes of retryable failures; 75 by default.
    pub retryable_exit_codes: Vec<i32>,
}

impl CommandSpec {
    /// A spec for this program, without arguments, with an empty inherited environment and default bounds.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            working_dir: None,
            inherited_env: Vec::new(),
            env_allowlist: DEFAULT_ENV_ALLOWLIST.map(String::from).to_vec(),
            env: Vec::new(),
            output: OutputMode::default(),
            content_type: None,
            result_bytes_max: 1024 * 1024,
            log_bytes_max: 256 * 1024,
            line_bytes_max: 16 * 1024,
            time_limit: None,
            kill_grace: Duration::from_secs(5),
            retryable_exit_codes: vec![EX_TEMPFAIL],
        }
    }
}
