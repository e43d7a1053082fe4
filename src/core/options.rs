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
    /// Most pairs of queue and kind that hold jobs, and most queues. An eighth more is for callers that hold few. Default 10,000;
    /// at most [`QUEUES_MAX`].
    pub queues_max: u32,
    /// Most bytes of payloads, labels and headers of jobs that have not ended, and of what they added since: output, logs,
    /// progress, failures. Beyond it new jobs are refused. What accepted ones add is at most a quarter of it: at that bound
    /// the oldest output and the earliest attempts of a job are forgotten and its failures are shortened. Default 1 GiB.
    pub job_bytes_max: u64,
    /// How long a finished job is kept unless its spec says otherwise. Default 1 h.
    pub retention: Duration,
    /// Most bytes of finished jobs; beyond it the oldest are removed early. Up to 16 MiB more stay while watches of them are
    /// open. Default 1 GiB.
    pub retention_bytes_max: u64,
    /// Most bytes of payloads, results, failure details, output and logs of finished jobs that an engine with a log keeps
    /// in memory; those of older ones are read from the log. Default 64 MiB.
    pub retention_memory_bytes_max: u64,
    /// Most bytes of all jobs together, so that a log with a bound can keep them: finished ones make room for new ones,
    /// which are refused when that is not enough. Default none.
    pub stored_bytes_max: u64,
    /// How long an id that a caller chose stays known after its job was removed, unless [`idempotency_ids_max`] newer ones
    /// were removed since: a submit that comes again runs nothing. Default 24 h.
    ///
    /// [`idempotency_ids_max`]: CoreOptions::idempotency_ids_max
    pub idempotency_window: Duration,
    /// Most ids of removed jobs that stay known, about 60 bytes each; beyond it the oldest removal is forgotten. Default
    /// 1,000,000.
    pub idempotency_ids_max: u32,
    /// Output and log bytes kept a job. Default 256 KiB.
    pub event_ring_bytes_max: usize,
    /// Longest time of one attempt unless the spec says otherwise. Default 1 h.
    pub attempt_timeout: Duration,
    /// How long a lease of a remote worker lasts after the last heartbeat that named it. Default 30 s.
    pub lease: Duration,
    /// How long a remote worker may take to accept an assignment before it goes to another. Default 5 s.
    pub accept_timeout: Duration,
    /// How often a remote worker is pinged; after three silent intervals it is cut off. Default 10 s.
    pub ping_interval: Duration,
    /// How long the leases of a remote worker last after its connection was seen to break. Within it the worker comes
    /// back and keeps its attempts; after it they are given to others. Default 800 ms.
    pub reconnect_grace: Duration,
    /// Most workers at a time. Default 10,000.
    pub workers_max: usize,
    /// Most bytes of names, kinds and queues of workers. Default 128 MiB.
    pub worker_bytes_max: u64,
}

impl CoreOptions {
    /// The defaults, with every bound in bytes a share of this budget.
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
