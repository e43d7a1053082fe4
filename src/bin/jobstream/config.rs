//! The config of the server commands. Flags and variables override the config file, which overrides the defaults.

mod auth;
mod budget;
mod check;
mod command;
mod early_log_format;
mod file;
mod flags;
mod http;
mod jwt;
mod listen;
mod quota;
mod reference;
mod reloadable;
mod table;
pub(crate) mod tokens;
mod values;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use jobstream::engine::CoreOptions;
use serde::{Deserialize, Serialize};

pub(crate) use auth::{AuthConfig, CertificateConfig};
pub(crate) use command::{CommandConfig, Kind};
pub(crate) use early_log_format::early_log_format;
pub(crate) use file::{Checked, check, load, parse};
pub(crate) use flags::{Overrides, ServerArgs};
pub(crate) use http::{HttpArgs, HttpConfig};
pub(crate) use jwt::JwtConfig;
pub(crate) use listen::ListenAddress;
pub(crate) use reference::with_comments;
pub(crate) use reloadable::Reloaded;
pub(crate) use values::{bytes, exec};

use crate::units;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The complete config of a server: the keys of the config file, and the flags and variables that override them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerConfig {
    /// Where to listen, a name or an IP address
    /// [default: 127.0.0.1:7070]
    #[arg(long, value_name = "HOST:PORT", env = "JOBSTREAM_LISTEN", hide_env_values = true)]
    pub(crate) listen: ListenAddress,
    /// Where to serve /metrics, /livez and /readyz without a credential
    /// [default: only on the address above; /metrics needs the grant]
    #[arg(long, value_name = "HOST:PORT", env = "JOBSTREAM_METRICS_LISTEN", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metrics_listen: Option<ListenAddress>,
    /// Directory of the jobs; without one they are lost on exit
    /// [default: none]
    #[arg(long, value_name = "DIR", env = "JOBSTREAM_DATA", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<PathBuf>,
    /// Most bytes of that directory, at least 136MiB [default: none]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_DATA_BYTES_MAX", hide_env_values = true)]
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) data_bytes_max: Option<u64>,
    /// Concurrent attempts [default: 256]
    #[arg(long, value_name = "N", env = "JOBSTREAM_SLOTS", hide_env_values = true)]
    pub(crate) slots: NonZeroU32,
    /// How long running attempts may take to end after a signal
    /// [default: 10s]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_DRAIN_TIMEOUT", hide_env_values = true)]
    #[serde(with = "values::span")]
    pub(crate) drain_timeout: Duration,
    /// Serve the demo.* kinds: true or false
    /// [default: true in dev, false in serve]
    #[arg(long, value_name = "BOOL", hide_possible_values = true, action = ArgAction::Set)]
    #[arg(env = "JOBSTREAM_DEMO", hide_env_values = true, num_args = 0..=1, default_missing_value = "true")]
    pub(crate) demo: bool,
    /// Allowed CORS origins [default: none]
    #[arg(long = "cors-origin", value_name = "ORIGIN", value_delimiter = ',')]
    #[arg(env = "JOBSTREAM_CORS_ORIGINS", hide_env_values = true)]
    pub(crate) cors_origins: Vec<String>,
    /// Host that requests may name, beside the address it listens on
    /// and, on loopback, localhost: the public name behind a proxy, a
    /// name of a container; HOST or HOST:PORT, * for every host,
    /// repeatable [default: none]
    #[arg(long = "allowed-host", value_name = "HOST", value_delimiter = ',')]
    #[arg(env = "JOBSTREAM_ALLOWED_HOSTS", hide_env_values = true)]
    pub(crate) allowed_hosts: Vec<String>,
    /// Commands as `kind=program args`, like `--exec`; they override `commands`.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) exec: Vec<String>,
    #[command(flatten)]
    pub(crate) log: LogConfig,
    #[command(flatten)]
    pub(crate) tls: TlsConfig,
    #[command(flatten)]
    pub(crate) auth: AuthConfig,
    #[command(flatten)]
    pub(crate) limits: LimitsConfig,
    #[command(flatten)]
    pub(crate) worker: WorkerConfig,
    /// Programs that run jobs, by kind.
    #[arg(skip)]
    pub(crate) commands: BTreeMap<Kind, CommandConfig>,
    /// HTTP endpoints that run jobs, by kind.
    #[arg(skip)]
    pub(crate) http: BTreeMap<Kind, HttpConfig>,
}

/// The server's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogConfig {
    /// off, error, warn, info, debug or trace; then TARGET=LEVEL,
    /// separated by commas [default: info]
    #[arg(long = "log-level", value_name = "LEVEL", env = "JOBSTREAM_LOG_LEVEL", hide_env_values = true)]
    pub(crate) level: String,
    /// text or json [default: text]
    #[arg(long = "log-format", value_name = "FORMAT", env = "JOBSTREAM_LOG_FORMAT", hide_env_values = true)]
    #[arg(hide_possible_values = true)]
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

impl LogFormat {
    /// The value of the flag.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// The TLS of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsConfig {
    /// Certificate of the server and the intermediate ones, PEM; all
    /// connections are TLS then [default: none]
    #[arg(long = "tls-cert", value_name = "FILE", env = "JOBSTREAM_TLS_CERT", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<PathBuf>,
    /// Private key of that certificate, PEM [default: none]
    #[arg(long = "tls-key", value_name = "FILE", env = "JOBSTREAM_TLS_KEY", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    /// CAs of client certificates, PEM; others are refused
    /// [default: none]
    #[arg(long = "tls-client-ca", value_name = "FILE", hide_env_values = true)]
    #[arg(env = "JOBSTREAM_TLS_CLIENT_CA")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Whether clients must present a certificate of these CAs:
    /// required or optional [default: required]
    #[arg(long = "tls-client-auth", value_name = "MODE", hide_possible_values = true)]
    #[arg(env = "JOBSTREAM_TLS_CLIENT_AUTH", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_auth: Option<TlsClientAuth>,
    /// How often the files are read for a change [default: 10s]
    #[arg(long = "tls-poll-interval", value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_TLS_POLL_INTERVAL", hide_env_values = true)]
    #[serde(with = "values::optional_span", skip_serializing_if = "Option::is_none")]
    pub(crate) poll_interval: Option<Duration>,
}

/// Whether clients must present a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TlsClientAuth {
    /// Those without one are refused.
    Required,
    /// Those without one are served as well.
    Optional,
}

impl TlsConfig {
    /// Whether every client presents a certificate.
    pub(crate) fn requires_client_certificates(&self) -> bool {
        self.client_ca.is_some() && self.client_auth != Some(TlsClientAuth::Optional)
    }
}

/// The limits of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitsConfig {
    /// Memory budget, at least 64MiB; limits marked (m) derive from it
    /// unless they are set [default: half of the smaller of the
    /// machine's memory and the cgroup's limit]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_MEMORY_MAX", hide_env_values = true)]
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) memory_max: Option<u64>,
    /// Largest payload or result [default: 1MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_PAYLOAD_BYTES_MAX", hide_env_values = true)]
    #[serde(with = "values::size")]
    pub(crate) payload_bytes_max: u64,
    /// Largest gRPC message or HTTP body read [default: 4MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_MESSAGE_BYTES_MAX", hide_env_values = true)]
    #[serde(with = "values::size")]
    pub(crate) message_bytes_max: u64,
    /// Most jobs that have not ended [default: (m) 6/64 at 512 bytes
    /// each, at most 1000000]
    #[arg(long, value_name = "N", env = "JOBSTREAM_JOBS_MAX", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jobs_max: Option<NonZeroU32>,
    /// Most queues, and most pairs of queue and kind, up to 50000
    /// [default: (m) 1/64 at 1KiB each, at most 10000]
    #[arg(long, value_name = "N", env = "JOBSTREAM_QUEUES_MAX", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queues_max: Option<NonZeroU32>,
    /// Most bytes of such jobs; running ones may add a quarter
    /// [default: (m) 12/64, at most 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_JOB_BYTES_MAX", hide_env_values = true)]
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) job_bytes_max: Option<u64>,
    /// Retention of finished jobs [default: 1h]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_RETENTION", hide_env_values = true)]
    #[serde(with = "values::span")]
    pub(crate) retention: Duration,
    /// Most bytes of finished jobs [default: (m) 12/64, at most 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_RETENTION_BYTES_MAX", hide_env_values = true)]
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) retention_bytes_max: Option<u64>,
    /// Most resident bytes of them; with --data, the rest is evicted
    /// to disk [default: (m) 1/64, at most 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_RETENTION_MEMORY_BYTES_MAX", hide_env_values = true)]
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) retention_memory_bytes_max: Option<u64>,
    /// How long a job id chosen by a caller is known after its job was
    /// removed [default: 24h]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_IDEMPOTENCY_WINDOW", hide_env_values = true)]
    #[serde(with = "values::span")]
    pub(crate) idempotency_window: Duration,
    /// Most such ids; the oldest is evicted first
    /// [default: (m) 2/64 at 64 bytes each, at most 1000000]
    #[arg(long, value_name = "N", env = "JOBSTREAM_IDEMPOTENCY_IDS_MAX", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idempotency_ids_max: Option<u32>,
    /// Output and log bytes retained for each job [default: 256KiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_EVENT_RING_BYTES_MAX", hide_env_values = true)]
    #[serde(with = "values::size")]
    pub(crate) event_ring_bytes_max: u64,
    /// Most connections [default: 10000]
    #[arg(long, value_name = "N", env = "JOBSTREAM_CONNECTIONS_MAX", hide_env_values = true)]
    pub(crate) connections_max: NonZeroU32,
    /// Most connections from one address; 0 for no limit, behind a
    /// trusted proxy [default: a quarter of --connections-max]
    #[arg(long, value_name = "N", hide_env_values = true)]
    #[arg(env = "JOBSTREAM_CONNECTIONS_PER_ADDRESS_MAX")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections_per_address_max: Option<u32>,
    /// Idle timeout of a connection without requests
    /// [default: 5m]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_CONNECTION_IDLE_TIMEOUT", hide_env_values = true)]
    #[serde(with = "values::span")]
    pub(crate) connection_idle_timeout: Duration,
    /// Most bytes of unfinished requests and unread responses of a
    /// connection [default: (m) 2/64, at most 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_CONNECTION_BYTES_MAX", hide_env_values = true)]
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) connection_bytes_max: Option<u64>,
    /// The same for all connections together
    /// [default: (m) 8/64, at most 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_CONNECTIONS_BYTES_MAX", hide_env_values = true)]
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) connections_bytes_max: Option<u64>,
    /// Timeout for the body of a request [default: 1m]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_REQUEST_BODY_TIMEOUT", hide_env_values = true)]
    #[serde(with = "values::span")]
    pub(crate) request_body_timeout: Duration,
    /// Most concurrent streams of a connection [default: 1024]
    #[arg(long, value_name = "N", hide_env_values = true)]
    #[arg(env = "JOBSTREAM_STREAMS_PER_CONNECTION_MAX")]
    pub(crate) streams_per_connection_max: NonZeroU32,
    /// Most open watches [default: (m) 6/64 at 5KiB each,
    /// at most 200000]
    #[arg(long, value_name = "N", env = "JOBSTREAM_WATCHERS_MAX", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) watchers_max: Option<NonZeroU32>,
    /// Most bytes of state changes that WatchJobs can send
    /// later [default: (m) 1/64, at most 16MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_FEED_BYTES", hide_env_values = true)]
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) feed_bytes: Option<u64>,
    /// Most workers, the server's own included [default: 10000]
    #[arg(long, value_name = "N", env = "JOBSTREAM_WORKERS_MAX", hide_env_values = true)]
    pub(crate) workers_max: NonZeroU32,
    /// Most bytes of their names, kinds and queues
    /// [default: (m) 2/64, at most 128MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_WORKER_BYTES_MAX", hide_env_values = true)]
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) worker_bytes_max: Option<u64>,
    /// Log bytes written between two checks for garbage
    /// [default: 128MiB]
    #[arg(long, alias = "checkpoint-bytes", value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_COMPACTION_BYTES", hide_env_values = true)]
    #[serde(with = "values::size", alias = "checkpoint_bytes")]
    pub(crate) compaction_bytes: u64,
    /// Percentage of garbage in the log that starts a compaction
    /// [default: 66]
    #[arg(long, alias = "checkpoint-waste")]
    #[arg(value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(..=100))]
    #[arg(env = "JOBSTREAM_COMPACTION_GARBAGE", hide_env_values = true)]
    #[serde(alias = "checkpoint_waste")]
    pub(crate) compaction_garbage: u8,
    /// Segment size of the log, in steps of 4 KiB [default: 64MiB, or
    /// less with --data-bytes-max]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_SEGMENT_BYTES", hide_env_values = true)]
    #[serde(with = "values::optional_size", skip_serializing_if = "Option::is_none")]
    pub(crate) segment_bytes: Option<u64>,
}

/// Leases and timeouts of remote workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Remote workers")]
pub(crate) struct WorkerConfig {
    /// Duration of a lease after its last heartbeat
    /// [default: 30s]
    #[arg(long = "worker-lease", value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_WORKER_LEASE", hide_env_values = true)]
    #[serde(with = "values::span")]
    pub(crate) lease: Duration,
    /// Ping interval; a worker that misses three is disconnected
    /// [default: 10s]
    #[arg(long = "worker-ping-interval", value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_WORKER_PING_INTERVAL", hide_env_values = true)]
    #[serde(with = "values::span")]
    pub(crate) ping_interval: Duration,
    /// Timeout for accepting a job [default: 5s]
    #[arg(long = "worker-accept-timeout", value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_WORKER_ACCEPT_TIMEOUT", hide_env_values = true)]
    #[serde(with = "values::span")]
    pub(crate) accept_timeout: Duration,
    /// How long a worker retains its jobs after its connection broke
    /// [default: 800ms]
    #[arg(long = "worker-reconnect-grace", value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_WORKER_RECONNECT_GRACE", hide_env_values = true)]
    #[serde(with = "values::span")]
    pub(crate) reconnect_grace: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: ListenAddress::default(),
            metrics_listen: None,
            data: None,
            data_bytes_max: None,
            slots: default_slots(),
            drain_timeout: Duration::from_secs(10),
            demo: false,
            cors_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            exec: Vec::new(),
            log: LogConfig::default(),
            tls: TlsConfig::default(),
            auth: AuthConfig::default(),
            limits: LimitsConfig::default(),
            worker: WorkerConfig::default(),
            commands: BTreeMap::new(),
            http: BTreeMap::new(),
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
            feed_bytes: None,
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
        config.commands.insert(Kind::try_from("resize".to_owned()).expect("a kind"), command);
        let text = toml::to_string(&config).expect("TOML");
        assert!(text.contains("payload_bytes_max = \"1MiB\""), "{text}");
        assert_eq!(toml::from_str::<ServerConfig>(&text).expect("the same"), config);
    }
}
