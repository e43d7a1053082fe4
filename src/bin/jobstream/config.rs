//! The config of the server commands. Flags and variables override the config file, which overrides the defaults.

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
use jobstream::engine::CoreOptions;
use serde::{Deserialize, Serialize};

pub(crate) use file::load;
pub(crate) use flags::ServerArgs;
pub(crate) use values::{bytes, exec};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The complete config of a server, as TOML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerConfig {
    /// The listen address; port 0 selects a free one.
    pub(crate) listen: SocketAddr,
    /// Directory of the write-ahead log; without one jobs are in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<PathBuf>,
    /// Most bytes of that directory; unbounded if unset.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) data_bytes_max: Option<u64>,
    /// Concurrent attempts in this process.
    pub(crate) slots: NonZeroU32,
    /// Drain timeout: how long running attempts may take to end after a signal.
    #[serde(with = "values::span")]
    pub(crate) drain_timeout: Duration,
    /// Whether the `demo.*` kinds are served.
    pub(crate) demo: bool,
    /// Allowed CORS origins, or `*`.
    pub(crate) cors_origins: Vec<String>,
    /// Allowed hosts of requests beside the server's own address, or `*`.
    pub(crate) allowed_hosts: Vec<String>,
    /// Commands as `kind=program args`, like `--exec`; they override `commands`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) exec: Vec<String>,
    /// The log on stderr.
    pub(crate) log: LogConfig,
    /// Limits.
    pub(crate) limits: LimitsConfig,
    /// Leases and timeouts of remote workers.
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
    /// The format of a line.
    pub(crate) format: LogFormat,
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The limits of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitsConfig {
    /// Memory budget; half of the smaller of the machine's memory and the cgroup's limit if unset. Unset limits below derive
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
    /// Default retention of a finished job.
    #[serde(with = "values::span")]
    pub(crate) retention: Duration,
    /// Most bytes of finished jobs.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) retention_bytes_max: Option<u64>,
    /// Most resident bytes of their payloads, results and events; the rest is evicted to disk.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) retention_memory_bytes_max: Option<u64>,
    /// How long the ids of removed jobs are retained as tombstones.
    #[serde(with = "values::span")]
    pub(crate) idempotency_window: Duration,
    /// Most tombstones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idempotency_ids_max: Option<u32>,
    /// Output and log bytes retained for each job.
    #[serde(with = "values::size")]
    pub(crate) event_ring_bytes_max: u64,
    /// Most connections.
    pub(crate) connections_max: NonZeroU32,
    /// Most connections from one address; a quarter of `connections_max` if unset, unlimited if 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections_per_address_max: Option<u32>,
    /// Idle timeout of a connection without requests.
    #[serde(with = "values::span")]
    pub(crate) connection_idle_timeout: Duration,
    /// Most bytes of unfinished requests and unread responses of one connection.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) connection_bytes_max: Option<u64>,
    /// The same for all connections together.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) connections_bytes_max: Option<u64>,
    /// Timeout for the body of a unary request.
    #[serde(with = "values::span")]
    pub(crate) request_body_timeout: Duration,
    /// Most concurrent streams of one connection.
    pub(crate) streams_per_connection_max: NonZeroU32,
    /// Most open watches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) watchers_max: Option<NonZeroU32>,
    /// Most workers, the server's own included.
    pub(crate) workers_max: NonZeroU32,
    /// Most bytes of the names, kinds and queues of workers.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) worker_bytes_max: Option<u64>,
    /// Log bytes written between two checks for garbage.
    #[serde(with = "values::size", alias = "checkpoint_bytes")]
    pub(crate) compaction_bytes: u64,
    /// Percentage of garbage in the log that starts a compaction.
    #[serde(alias = "checkpoint_waste")]
    pub(crate) compaction_garbage: u8,
    /// Segment size of the log; 64 MiB if unset, or less with `data_bytes_max`.
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) segment_bytes: Option<u64>,
}

/// Leases and timeouts of remote workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WorkerConfig {
    /// Duration of a lease after its last heartbeat.
    #[serde(with = "values::span")]
    pub(crate) lease: Duration,
    /// Ping interval; a worker that misses three is disconnected.
    #[serde(with = "values::span")]
    pub(crate) ping_interval: Duration,
    /// Timeout for accepting an assignment before another worker gets it.
    #[serde(with = "values::span")]
    pub(crate) accept_timeout: Duration,
    /// How long a worker keeps its attempts after its connection broke.
    #[serde(with = "values::span")]
    pub(crate) reconnect_grace: Duration,
}

/// A program that runs the jobs of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandConfig {
    /// A path, or a name looked up in `PATH`.
    pub(crate) program: PathBuf,
    /// Arguments, passed without a shell.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    /// Additional environment variables.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Inherited environment variables; a safe default list if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) env_allowlist: Option<Vec<String>>,
    /// Working directory; the server's if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) working_dir: Option<PathBuf>,
    /// How its stdout is used.
    #[serde(default)]
    pub(crate) output: OutputMode,
    /// MIME type of its result; detected if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    /// Timeout of one run; the job's attempt timeout if unset.
    #[serde(default, with = "values::optional_span", skip_serializing_if = "Option::is_none")]
    pub(crate) time_limit: Option<Duration>,
    /// Time between SIGTERM and SIGKILL.
    #[serde(default = "default_kill_grace", with = "values::span")]
    pub(crate) kill_grace: Duration,
    /// Largest result; the server's payload limit if unset.
    #[serde(default, with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) result_bytes_max: Option<u64>,
    /// Concurrent runs of this kind; the server's slots if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slots: Option<NonZeroU32>,
    /// Exit codes that mean a retryable failure.
    #[serde(default = "default_retry_exit_codes")]
    pub(crate) retry_exit_codes: Vec<u8>,
}

/// How a program's stdout is used.
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
            text => Err(format!("{text:?} is not a kind: 1 to 128 characters of [A-Za-z0-9._:/-]")),
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
            compaction_bytes: 128 * MIB,
            compaction_garbage: 66,
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

/// Most jobs wait for I/O, so there are many slots for each core.
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
