//! Bounds and defaults of a core.

use std::time::Duration;

use crate::memory::MemoryBudget;

/// Bounds and defaults of the state machine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CoreOptions {
    /// Largest payload or result, in bytes. Default 1 MiB.
    pub payload_bytes_max: usize,
    /// Most jobs that have not ended. Default 1,000,000.
    pub jobs_max: u32,
    /// Most pairs of queue and kind that hold jobs, and most queues. An eighth more is reserved for callers with few
    /// pairs. Default 10,000; at most [`QUEUES_MAX`].
    pub queues_max: u32,
    /// Most bytes of payloads, labels and headers of jobs that have not ended, and of their output, logs, progress and
    /// failures. Beyond it new jobs are refused. Accepted jobs add at most a quarter of it: at that bound the oldest
    /// output and the earliest attempts of a job are dropped, and its failures are shortened. Default 1 GiB.
    pub job_bytes_max: u64,
    /// Retention of finished jobs unless the spec sets it. Default 1 h.
    pub retention: Duration,
    /// Most bytes of finished jobs. Beyond it the oldest are removed early. Up to 16 MiB more are retained while
    /// watches of them are open. Default 1 GiB.
    pub retention_bytes_max: u64,
    /// Most resident bytes of payloads, results, failure details, output and logs of finished jobs, for an engine with
    /// a log. Those of older jobs are loaded from the log. Default 64 MiB.
    pub retention_memory_bytes_max: u64,
    /// Most bytes of all jobs together, for a log with a bound. Beyond it finished jobs are removed; if that is not
    /// enough, new jobs are refused. Default none.
    pub stored_bytes_max: u64,
    /// The idempotency window: how long the id of a removed job is recognized, if a caller chose it and at most
    /// [`idempotency_ids_max`] newer jobs were removed. A repeated submit starts no job. Default 24 h.
    ///
    /// [`idempotency_ids_max`]: CoreOptions::idempotency_ids_max
    pub idempotency_window: Duration,
    /// Most tombstones, about 60 bytes each. Beyond it the oldest is dropped. Default 1,000,000.
    pub idempotency_ids_max: u32,
    /// Most output and log bytes that are retained of one job. Default 256 KiB.
    pub event_ring_bytes_max: usize,
    /// Attempt timeout unless the spec sets it. Default 1 h.
    pub attempt_timeout: Duration,
    /// Duration of a remote worker's lease after the last heartbeat that named it. Default 30 s.
    pub lease: Duration,
    /// How long a remote worker may take to accept an offer. After that the job is offered to another. Default 5 s.
    pub accept_timeout: Duration,
    /// Interval of pings to a remote worker. After three silent intervals it is disconnected. Default 10 s.
    pub ping_interval: Duration,
    /// Duration of a remote worker's leases after its connection broke. A worker that reconnects within it continues
    /// its attempts; after it the jobs are retried. Default 800 ms.
    pub reconnect_grace: Duration,
    /// Most connected workers. Default 10,000.
    pub workers_max: usize,
    /// Most bytes of names, kinds and queues of workers. Default 128 MiB.
    pub worker_bytes_max: u64,
}

impl CoreOptions {
    /// The defaults, with every bound in bytes derived from this budget.
    pub fn within(budget: MemoryBudget) -> Self {
        Self {
            jobs_max: budget.jobs_max(),
            queues_max: budget.queues_max(),
            job_bytes_max: budget.job_bytes_max(),
            retention_bytes_max: budget.retention_bytes_max(),
            retention_memory_bytes_max: budget.retention_memory_bytes_max(),
            idempotency_ids_max: budget.idempotency_ids_max(),
            worker_bytes_max: budget.worker_bytes_max(),
            ..Self::default()
        }
    }
}

impl Default for CoreOptions {
    fn default() -> Self {
        Self {
            payload_bytes_max: 1 << 20,
            jobs_max: 1_000_000,
            queues_max: 10_000,
            job_bytes_max: 1 << 30,
            retention: Duration::from_secs(3600),
            retention_bytes_max: 1 << 30,
            retention_memory_bytes_max: 64 << 20,
            stored_bytes_max: u64::MAX,
            idempotency_window: Duration::from_secs(24 * 3600),
            idempotency_ids_max: 1_000_000,
            event_ring_bytes_max: 256 << 10,
            attempt_timeout: Duration::from_secs(3600),
            lease: Duration::from_secs(30),
            accept_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(10),
            reconnect_grace: Duration::from_millis(800),
            workers_max: 10_000,
            worker_bytes_max: 128 << 20,
        }
    }
}

/// Largest value of [`CoreOptions::queues_max`].
pub const QUEUES_MAX: u32 = 50_000;
