//! What to run and within which bounds, with the defaults. Nothing is started here.

use std::path::PathBuf;
use std::time::Duration;

/// The names of inherited variables that a program sees unless its spec says otherwise.
pub const DEFAULT_ENV_ALLOWLIST: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// The exit code that says "try again later": `EX_TEMPFAIL` of sysexits.h.
const EX_TEMPFAIL: i32 = 75;

/// What stdout means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputMode {
    /// All of it is the result.
    #[default]
    Result,
    /// Every line is an output chunk as soon as it is written; the result is empty.
    Lines,
}

/// A program, its environment and its bounds; the same for every attempt of a kind.
#[derive(Debug, Clone)]
pub struct CommandSpec {
    /// A bare name is looked up in the `PATH` that the program gets; a relative path starts at the directory
    /// of this process, not at `working_dir`.
    pub program: PathBuf,
    /// Passed as they are, one argument each; never a shell.
    pub args: Vec<String>,
    /// Where the program starts; by default the directory of this process.
    pub working_dir: Option<PathBuf>,
    /// The environment to choose from. The library reads none itself: a binary passes its own.
    pub inherited_env: Vec<(String, String)>,
    /// Names of `inherited_env` that the program sees; [`DEFAULT_ENV_ALLOWLIST`] by default.
    pub env_allowlist: Vec<String>,
    /// Further variables; they win over inherited ones.
    pub env: Vec<(String, String)>,
    /// What stdout means.
    pub output: OutputMode,
    /// Content type of the result; by default `text/plain; charset=utf-8` if it is UTF-8, else
    /// `application/octet-stream`.
    pub content_type: Option<String>,
    /// A larger result fails the attempt and stops the program; 1 MiB by default.
    pub result_bytes_max: usize,
    /// How much of stderr becomes log events, from its beginning; the rest is counted. 256 KiB by default.
    pub log_bytes_max: usize,
    /// A longer line is passed on in pieces of this size; 16 KiB by default.
    pub line_bytes_max: usize,
    /// How long the program may run, until its output is delivered; no limit by default.
    pub time_limit: Option<Duration>,
    /// How long what got TERM may take before it gets KILL: at the time limit, and for processes left behind
    /// by a program that was asked to stop. 5 s by default.
    pub kill_grace: Duration,
    /// Exit codes that ask for another attempt; 75 by default.
    pub retryable_exit_codes: Vec<i32>,
}

impl CommandSpec {
    /// This program without arguments, an empty inherited environment and every bound at its default.
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
