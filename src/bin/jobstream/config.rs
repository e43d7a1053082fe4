//! What the server commands run with: built-in defaults, over them the config file, over that variables and flags.

mod budget;
mod check;
mod file;
mod flags;
mod values;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use jobstream::core::CoreOptions;
use serde::{Deserialize, Serialize};

pub(crate) use file::load;
pub(crate) use flags::ServerArgs;
pub(crate) use values::{bytes, exec};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Everything a server can be told, complete and readable as TOML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerConfig {
    /// Where it listens; port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// Directory that keeps the jobs; in memory without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<PathBuf>,
    /// Most bytes of that directory; it grows with the jobs if unset.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) data_bytes_max: Option<u64>,
    /// Attempts that run at the same time in this process.
    pub(crate) slots: NonZeroU32,
    /// How long running jobs may take to end after a signal.
    #[serde(with = "values::span")]
    pub(crate) drain_timeout: Duration,
    /// Whether the `demo.*` kinds are served.
    pub(crate) demo: bool,
    /// Web origins whose pages may call, or `*`.
    pub(crate) cors_origins: Vec<String>,
    /// Hosts that requests may name beside its own address, or `*`.
    pub(crate) allowed_hosts: Vec<String>,
    /// Commands in short, each a `kind=program args`, as `--exec` takes them; they win over `commands`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) exec: Vec<String>,
    /// What it says on stderr.
    pub(crate) log: LogConfig,
    /// Bounds.
    pub(crate) limits: LimitsConfig,
    /// What workers elsewhere are held to.
    pub(crate) worker: WorkerConfig,
    /// Programs that run jobs, by kind.
    pub(crate) commands: BTreeMap<Kind, CommandConfig>,
}

/// The server's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogConfig {
    /// `info`, or directives such as `jobstream=debug,warn`.
    pub(crate) level: String,
    /// How a line looks.
    pub(crate) format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// The bounds of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsConfig {
    /// Memory to stay within; half of the smaller of the machine's and the cgroup's if unset. What is unset below derives
    /// from it.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) memory_max: Option<u64>,
    /// Largest payload or result.
    #[serde(with = "values::size")]
    pub(crate) payload_bytes_max: u64,
    /// Largest gRPC message it reads.
    #[serde(with = "values::size")]
    pub(crate) message_bytes_max: u64,
    /// Most jobs that have not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jobs_max: Option<NonZeroU32>,
    /// Most queues, and most pairs of queue and kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queues_max: Option<NonZeroU32>,
    /// Most bytes of jobs that have not ended.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) job_bytes_max: Option<u64>,
    /// How long a finished job is kept unless its spec says otherwise.
    #[serde(with = "values::span")]
    pub(crate) retention: Duration,
    /// Most bytes of finished jobs.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) retention_bytes_max: Option<u64>,
    /// Most bytes of their payloads, results and events in memory, if the rest is on disk.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) retention_memory_bytes_max: Option<u64>,
    /// How long ids of removed jobs stay known.
    #[serde(with = "values::span")]
    pub(crate) idempotency_window: Duration,
    /// Most ids of removed jobs that stay known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idempotency_ids_max: Option<u32>,
    /// Output and log bytes kept a job.
    #[serde(with = "values::size")]
    pub(crate) event_ring_bytes_max: u64,
    /// Most connections.
    pub(crate) connections_max: NonZeroU32,
    /// Most connections of one address; a quarter of `connections_max` if unset, no bound if 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections_per_address_max: Option<u32>,
    /// How long a connection may stay open without a request on it.
    #[serde(with = "values::span")]
    pub(crate) connection_idle_timeout: Duration,
    /// Most bytes of unfinished requests and unread answers of one connection.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) connection_bytes_max: Option<u64>,
    /// The same of all connections together.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) connections_bytes_max: Option<u64>,
    /// How long the body of a unary request may take.
    #[serde(with = "values::span")]
    pub(crate) request_body_timeout: Duration,
    /// Most requests open on one connection.
    pub(crate) streams_per_connection_max: NonZeroU32,
    /// Most streams that follow jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) watchers_max: Option<NonZeroU32>,
    /// Most workers, the server's own included.
    pub(crate) workers_max: NonZeroU32,
    /// Most bytes of their names, kinds and queues.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) worker_bytes_max: Option<u64>,
    /// Log written before it looks for what it can give back.
    #[serde(with = "values::size")]
    pub(crate) checkpoint_bytes: u64,
    /// Percent of the log that may be needed no more before all that is needed is written anew.
    pub(crate) checkpoint_waste: u8,
    /// Size of a file of the log; 64 MiB if none is given, or less in a directory with a bound.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) segment_bytes: Option<u64>,
}

/// What workers elsewhere are held to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WorkerConfig {
    /// How long a lease lasts after the last heartbeat that named it.
    #[serde(with = "values::span")]
    pub(crate) lease: Duration,
    /// How often a worker is pinged; after three silent intervals it is cut off.
    #[serde(with = "values::span")]
    pub(crate) ping_interval: Duration,
    /// How long it may take to accept an assignment before another worker gets it.
    #[serde(with = "values::span")]
    pub(crate) accept_timeout: Duration,
    /// How long it may take to come back to its attempts after its connection was seen to break.
    #[serde(with = "values::span")]
    pub(crate) reconnect_grace: Duration,
}

/// A program that runs the jobs of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandConfig {
    /// A path, or a name looked up in `PATH`.
    pub(crate) program: PathBuf,
    /// Passed as they are; no shell.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    /// Further variables for the program.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Variables of the server that the program sees; a few harmless ones if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) env_allowlist: Option<Vec<String>>,
    /// Where the program starts; the server's directory if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) working_dir: Option<PathBuf>,
    /// What its stdout means.
    #[serde(default)]
    pub(crate) output: OutputMode,
    /// MIME type of its result; guessed if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    /// Longest run; only the job's attempt timeout if unset.
    #[serde(default, with = "values::optional_span", skip_serializing_if = "Option::is_none")]
    pub(crate) time_limit: Option<Duration>,
    /// How long it has between TERM and KILL.
    #[serde(default = "default_kill_grace", with = "values::span")]
    pub(crate) kill_grace: Duration,
    /// Largest result; the server's payload limit if unset.
    #[serde(default, with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) result_bytes_max: Option<u64>,
    /// Runs of this kind at the same time; only the server's slots if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slots: Option<NonZeroU32>,
    /// Exit codes that ask for another attempt.
    #[serde(default = "default_retry_exit_codes")]
    pub(crate) retry_exit_codes: Vec<u8>,
}

/// What a program's stdout means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutputMode {
    /// All of it is the result.
    #[default]
    Result,
    /// Each line is a chunk of output.
    Lines,
}

/// A kind: 1 to 128 characters of `[A-Za-z0-9._:/-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Kind(String);

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._:/-".contains(c);
        match text {
            text if (1..=128).contains(&text.len()) && text.chars().all(allowed) => Ok(Self(text)),
            text => Err(format!("{text:?} is no kind: 1 to 128 characters of [A-Za-z0-9._:/-]")),
        }
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.0
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7070)),
            data: None,
            data_bytes_max: None,
            slots: default_slots(),
            drain_timeout: Duration::from_secs(10),
            demo: false,
            cors_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            exec: Vec::new(),
            log: LogConfig::default(),
            limits: LimitsConfig::default(),
            worker: WorkerConfig::default(),
            commands: BTreeMap::new(),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            memory_max: None,
            payload_bytes_max: MIB,
            message_bytes_max: 4 * MIB,
            jobs_max: None,
            queues_max: None,
            job_bytes_max: None,
            retention: Duration::from_secs(60 * 60),
            idempotency_window: Duration::from_secs(24 * 60 * 60),
            idempotency_ids_max: None,
            retention_bytes_max: None,
            retention_memory_bytes_max: None,
            event_ring_bytes_max: 256 * KIB,
            connections_max: at_least_one(10_000),
            connections_per_address_max: None,
            connection_idle_timeout: Duration::from_secs(5 * 60),
            connection_bytes_max: None,
            connections_bytes_max: None,
            request_body_timeout: Duration::from_secs(60),
            streams_per_connection_max: at_least_one(1_024),
            watchers_max: None,
            workers_max: at_least_one(10_000),
            worker_bytes_max: None,
            checkpoint_bytes: 128 * MIB,
            checkpoint_waste: 66,
            segment_bytes: None,
        }
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        let CoreOptions { lease, ping_interval, accept_timeout, reconnect_grace, .. } =
            CoreOptions::default();
        Self { lease, ping_interval, accept_timeout, reconnect_grace }
    }
}

/// Jobs mostly wait for something else, so there is room for several a core.
fn default_slots() -> NonZeroU32 {
    at_least_one(jobstream::worker::DEFAULT_SLOTS)
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

fn default_kill_grace() -> Duration {
    Duration::from_secs(5)
}

/// 75 is what sysexits.h calls a temporary failure.
fn default_retry_exit_codes() -> Vec<u8> {
    vec![75]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_config_survives_toml() {
        let mut config = ServerConfig::default();
        let command: CommandConfig = toml::from_str(
            "program = 'resize'\nargs = ['-']\ntime_limit = '2m'\nresult_bytes_max = '3MiB'\nslots = 2",
        )
        .expect("a command");
        config.commands.insert(Kind("resize".into()), command);
        let text = toml::to_string(&config).expect("TOML");
        assert!(text.contains("payload_bytes_max = \"1MiB\""), "{text}");
        assert_eq!(toml::from_str::<ServerConfig>(&text).expect("the same"), config);
    }

    #[test]
    fn a_command_has_defaults() {
        let command: CommandConfig = toml::from_str("program = 'x'").expect("a command");
        assert_eq!(command.kill_grace, Duration::from_secs(5));
        assert_eq!(command.retry_exit_codes, [75]);
        assert_eq!((command.output, command.time_limit, command.slots), (OutputMode::Result, None, None));
    }

    #[test]
    fn a_kind_is_checked() {
        assert!(Kind::try_from("a.B-9:/_".to_owned()).is_ok());
        assert!(Kind::try_from("a b".to_owned()).is_err());
        assert!(Kind::try_from(String::new()).is_err());
        assert!(Kind::try_from("x".repeat(129)).is_err());
    }
}
