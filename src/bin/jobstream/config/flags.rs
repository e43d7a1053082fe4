//! The flags and variables of the server commands. They override the config file.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{LimitsConfig, LogFormat, ServerConfig, WorkerConfig, values};
use crate::units;

/// Flags of every server command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// Where to listen [default: 127.0.0.1:7070]
    #[arg(long, value_name = "IP:PORT", env = "JOBSTREAM_LISTEN", hide_env_values = true)]
    listen: Option<SocketAddr>,
    /// Directory of the jobs; without one they are lost on exit
    #[arg(long, value_name = "DIR", env = "JOBSTREAM_DATA", hide_env_values = true)]
    data: Option<PathBuf>,
    /// Most bytes of that directory, at least 136MiB [default: none]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_DATA_BYTES_MAX", hide_env_values = true)]
    data_bytes_max: Option<u64>,
    /// Concurrent attempts [default: 256]
    #[arg(long, value_name = "N", env = "JOBSTREAM_SLOTS", hide_env_values = true)]
    slots: Option<NonZeroU32>,
    /// How long running attempts may take to end after a signal
    /// [default: 10s]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_DRAIN_TIMEOUT", hide_env_values = true)]
    drain_timeout: Option<Duration>,
    /// Allowed CORS origins [default: none]
    #[arg(long = "cors-origin", value_name = "ORIGIN", value_delimiter = ',')]
    #[arg(env = "JOBSTREAM_CORS_ORIGINS", hide_env_values = true)]
    cors_origins: Option<Vec<String>>,
    /// Host that requests may name, beside the address it listens on
    /// and, on loopback, localhost: the public name behind a proxy, a
    /// name of a container; HOST or HOST:PORT, * for every host,
    /// repeatable [default: none]
    #[arg(long = "allowed-host", value_name = "HOST", value_delimiter = ',')]
    #[arg(env = "JOBSTREAM_ALLOWED_HOSTS", hide_env_values = true)]
    allowed_hosts: Option<Vec<String>>,
    /// info, debug, ... or directives [default: info]
    #[arg(long, value_name = "LEVEL", env = "JOBSTREAM_LOG_LEVEL", hide_env_values = true)]
    log_level: Option<String>,
    /// text or json [default: text]
    #[arg(long, value_name = "FORMAT", env = "JOBSTREAM_LOG_FORMAT", hide_env_values = true)]
    #[arg(hide_possible_values = true)]
    log_format: Option<LogFormat>,
    /// Serve the demo.* kinds: true or false
    /// [default: true in dev, false in serve]
    #[arg(long, value_name = "BOOL", hide_possible_values = true)]
    #[arg(env = "JOBSTREAM_DEMO", hide_env_values = true, num_args = 0..=1, default_missing_value = "true")]
    demo: Option<bool>,
    /// Print the effective config as TOML and exit
    #[arg(long)]
    pub(crate) print_config: bool,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    worker: WorkerArgs,
}

/// Flags for the limits.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Memory budget, at least 64MiB; limits marked (m) derive from it
    /// unless they are set [default: half of the smaller of the
    /// machine's memory and the cgroup's limit]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_MEMORY_MAX", hide_env_values = true)]
    memory_max: Option<u64>,
    /// Largest payload or result [default: 1MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_PAYLOAD_BYTES_MAX", hide_env_values = true)]
    payload_bytes_max: Option<u64>,
    /// Largest gRPC message read [default: 4MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_MESSAGE_BYTES_MAX", hide_env_values = true)]
    message_bytes_max: Option<u64>,
    /// Most jobs that have not ended [default: (m) 6/64 at 512 bytes
    /// each, at most 1000000]
    #[arg(long, value_name = "N", env = "JOBSTREAM_JOBS_MAX", hide_env_values = true)]
    jobs_max: Option<NonZeroU32>,
    /// Most queues, and most pairs of queue and kind, up to 50000
    /// [default: (m) 1/64 at 1KiB each, at most 10000]
    #[arg(long, value_name = "N", env = "JOBSTREAM_QUEUES_MAX", hide_env_values = true)]
    queues_max: Option<NonZeroU32>,
    /// Most bytes of such jobs; running ones may add a quarter
    /// [default: (m) 12/64, at most 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_JOB_BYTES_MAX", hide_env_values = true)]
    job_bytes_max: Option<u64>,
    /// Retention of finished jobs [default: 1h]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_RETENTION", hide_env_values = true)]
    retention: Option<Duration>,
    /// Most bytes of finished jobs [default: (m) 12/64, at most 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_RETENTION_BYTES_MAX", hide_env_values = true)]
    retention_bytes_max: Option<u64>,
    /// Most resident bytes of them; with --data, the rest is evicted
    /// to disk [default: (m) 1/64, at most 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_RETENTION_MEMORY_BYTES_MAX", hide_env_values = true)]
    retention_memory_bytes_max: Option<u64>,
    /// How long a job id chosen by a caller is known after its job was
    /// removed [default: 24h]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_IDEMPOTENCY_WINDOW", hide_env_values = true)]
    idempotency_window: Option<Duration>,
    /// Most such ids; the oldest is evicted first
    /// [default: (m) 2/64 at 64 bytes each, at most 1000000]
    #[arg(long, value_name = "N", env = "JOBSTREAM_IDEMPOTENCY_IDS_MAX", hide_env_values = true)]
    idempotency_ids_max: Option<u32>,
    /// Output and log bytes retained for each job [default: 256KiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_EVENT_RING_BYTES_MAX", hide_env_values = true)]
    event_ring_bytes_max: Option<u64>,
    /// Most connections [default: 10000]
    #[arg(long, value_name = "N", env = "JOBSTREAM_CONNECTIONS_MAX", hide_env_values = true)]
    connections_max: Option<NonZeroU32>,
    /// Most connections from one address; 0 for no limit, behind a
    /// trusted proxy [default: a quarter of --connections-max]
    #[arg(long, value_name = "N", hide_env_values = true)]
    #[arg(env = "JOBSTREAM_CONNECTIONS_PER_ADDRESS_MAX")]
    connections_per_address_max: Option<u32>,
    /// Idle timeout of a connection without requests
    /// [default: 5m]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_CONNECTION_IDLE_TIMEOUT", hide_env_values = true)]
    connection_idle_timeout: Option<Duration>,
    /// Most bytes of unfinished requests and unread responses of a
    /// connection [default: (m) 2/64, at most 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_CONNECTION_BYTES_MAX", hide_env_values = true)]
    connection_bytes_max: Option<u64>,
    /// The same for all connections together
    /// [default: (m) 8/64, at most 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_CONNECTIONS_BYTES_MAX", hide_env_values = true)]
    connections_bytes_max: Option<u64>,
    /// Timeout for the body of a request [default: 1m]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_REQUEST_BODY_TIMEOUT", hide_env_values = true)]
    request_body_timeout: Option<Duration>,
    /// Most concurrent streams of a connection [default: 1024]
    #[arg(long, value_name = "N", hide_env_values = true)]
    #[arg(env = "JOBSTREAM_STREAMS_PER_CONNECTION_MAX")]
    streams_per_connection_max: Option<NonZeroU32>,
    /// Most open watches [default: (m) 6/64 at 5KiB each,
    /// at most 200000]
    #[arg(long, value_name = "N", env = "JOBSTREAM_WATCHERS_MAX", hide_env_values = true)]
    watchers_max: Option<NonZeroU32>,
    /// Most workers, the server's own included [default: 10000]
    #[arg(long, value_name = "N", env = "JOBSTREAM_WORKERS_MAX", hide_env_values = true)]
    workers_max: Option<NonZeroU32>,
    /// Most bytes of their names, kinds and queues
    /// [default: (m) 2/64, at most 128MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_WORKER_BYTES_MAX", hide_env_values = true)]
    worker_bytes_max: Option<u64>,
    /// Log bytes written between two checks for garbage
    /// [default: 128MiB]
    #[arg(long, alias = "checkpoint-bytes", value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_COMPACTION_BYTES", hide_env_values = true)]
    compaction_bytes: Option<u64>,
    /// Percentage of garbage in the log that starts a compaction
    /// [default: 66]
    #[arg(long, alias = "checkpoint-waste")]
    #[arg(value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(..=100))]
    #[arg(env = "JOBSTREAM_COMPACTION_GARBAGE", hide_env_values = true)]
    compaction_garbage: Option<u8>,
    /// Segment size of the log, in steps of 4 KiB [default: 64MiB, or
    /// less with --data-bytes-max]
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    #[arg(env = "JOBSTREAM_SEGMENT_BYTES", hide_env_values = true)]
    segment_bytes: Option<u64>,
}

/// Flags for the leases and timeouts of remote workers.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Remote workers")]
struct WorkerArgs {
    /// Duration of a lease after its last heartbeat
    /// [default: 30s]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_WORKER_LEASE", hide_env_values = true)]
    worker_lease: Option<Duration>,
    /// Ping interval; a worker that misses three is disconnected
    /// [default: 10s]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_WORKER_PING_INTERVAL", hide_env_values = true)]
    worker_ping_interval: Option<Duration>,
    /// Timeout for accepting a job [default: 5s]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_WORKER_ACCEPT_TIMEOUT", hide_env_values = true)]
    worker_accept_timeout: Option<Duration>,
    /// How long a worker keeps its jobs after its connection broke
    /// [default: 800ms]
    #[arg(long, value_name = "SPAN", value_parser = units::duration)]
    #[arg(env = "JOBSTREAM_WORKER_RECONNECT_GRACE", hide_env_values = true)]
    worker_reconnect_grace: Option<Duration>,
}

impl ServerArgs {
    /// Overrides the config with the given flags.
    pub(crate) fn apply(self, config: &mut ServerConfig) {
        set(&mut config.listen, self.listen);
        config.data = self.data.or(config.data.take());
        config.data_bytes_max = self.data_bytes_max.or(config.data_bytes_max.take());
        set(&mut config.slots, self.slots);
        set(&mut config.drain_timeout, self.drain_timeout);
        set(&mut config.demo, self.demo);
        set(&mut config.cors_origins, self.cors_origins);
        set(&mut config.allowed_hosts, self.allowed_hosts);
        set(&mut config.log.level, self.log_level);
        set(&mut config.log.format, self.log_format);
        self.limits.apply(&mut config.limits);
        self.worker.apply(&mut config.worker);
    }
}

impl LimitArgs {
    fn apply(self, limits: &mut LimitsConfig) {
        set(&mut limits.payload_bytes_max, self.payload_bytes_max);
        set(&mut limits.message_bytes_max, self.message_bytes_max);
        give(&mut limits.memory_max, self.memory_max);
        give(&mut limits.jobs_max, self.jobs_max);
        give(&mut limits.queues_max, self.queues_max);
        give(&mut limits.job_bytes_max, self.job_bytes_max);
        set(&mut limits.retention, self.retention);
        set(&mut limits.idempotency_window, self.idempotency_window);
        give(&mut limits.idempotency_ids_max, self.idempotency_ids_max);
        give(&mut limits.retention_bytes_max, self.retention_bytes_max);
        give(&mut limits.retention_memory_bytes_max, self.retention_memory_bytes_max);
        set(&mut limits.event_ring_bytes_max, self.event_ring_bytes_max);
        set(&mut limits.connections_max, self.connections_max);
        limits.connections_per_address_max =
            self.connections_per_address_max.or(limits.connections_per_address_max.take());
        set(&mut limits.connection_idle_timeout, self.connection_idle_timeout);
        give(&mut limits.connection_bytes_max, self.connection_bytes_max);
        give(&mut limits.connections_bytes_max, self.connections_bytes_max);
        set(&mut limits.request_body_timeout, self.request_body_timeout);
        set(&mut limits.streams_per_connection_max, self.streams_per_connection_max);
        give(&mut limits.watchers_max, self.watchers_max);
        set(&mut limits.workers_max, self.workers_max);
        give(&mut limits.worker_bytes_max, self.worker_bytes_max);
        set(&mut limits.compaction_bytes, self.compaction_bytes);
        set(&mut limits.compaction_garbage, self.compaction_garbage);
        limits.segment_bytes = self.segment_bytes.or(limits.segment_bytes.take());
    }
}

impl WorkerArgs {
    fn apply(self, worker: &mut WorkerConfig) {
        set(&mut worker.lease, self.worker_lease);
        set(&mut worker.ping_interval, self.worker_ping_interval);
        set(&mut worker.accept_timeout, self.worker_accept_timeout);
        set(&mut worker.reconnect_grace, self.worker_reconnect_grace);
    }
}

fn give<T>(target: &mut Option<T>, given: Option<T>) {
    if given.is_some() {
        *target = given;
    }
}

fn set<T>(target: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *target = given;
    }
}
