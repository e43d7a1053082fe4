//! The memory budget of a server, and the bounds that derive from it.
//!
//! A bound that is set explicitly is used unchanged. Every other bound is a share of the budget, up to a cap:
//!
//! | bound | share of the budget | cap |
//! |---|---|---|
//! | payloads, labels and headers of jobs that have not ended | 12/64 | 1 GiB |
//! | what running and retrying jobs add to that: output, logs, progress, failures | a quarter of that bound | 256 MiB |
//! | records of jobs that have not ended, 512 bytes each | 6/64 | 1,000,000 jobs |
//! | finished jobs | 12/64 | 1 GiB |
//! | resident contents of finished jobs, with a data directory | 1/64, part of the row above | 64 MiB |
//! | buffers of all connections | 8/64 | 1 GiB |
//! | buffers of one connection | a quarter of that | 64 MiB |
//! | watches, 5 KiB each | 6/64 | 200,000 watches |
//! | workers: names, kinds and queues | 2/64 | 128 MiB |
//! | tombstones: ids of removed jobs, 64 bytes each | 2/64 | 1,000,000 ids |
//! | pairs of queue and kind, 1 KiB each | 1/64 | 10,000 pairs |
//! | state changes of jobs that subscribers of WatchJobs can read later | 1/64 | 16 MiB |
//! | queue of the log writer, with a data directory | fixed | 16 MiB |
//! | the process itself, and memory that the allocator retains | the rest | - |

mod machine;

pub use machine::memory_bytes;

/// Smallest budget. The fixed buffers need it.
pub const MEMORY_BYTES_MIN: u64 = 64 << 20;

/// Estimated size of a job's record without its contents, in bytes.
pub const JOB_RECORD_BYTES: u64 = 512;
/// Estimated size of an idle watch, in bytes.
pub const WATCH_BYTES: u64 = 5 << 10;

/// Estimated size of the id of a removed job, in bytes.
pub const REMOVED_ID_BYTES: u64 = 64;
/// Estimated size of a pair of queue and kind, in bytes.
pub const QUEUE_BYTES: u64 = 1 << 10;

/// Assumed memory of a machine whose memory is unknown: 8 GiB.
const UNKNOWN_MEMORY_BYTES: u64 = 8 << 30;
/// Denominator of the shares.
const PARTS: u64 = 64;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The memory budget of a server, in bytes. The server's bounds derive from it.
///
/// With 512 MiB, the default in a container of 1 GiB, unfinished jobs may use 96 MiB, and finished jobs another 96 MiB.
/// From 11 GiB on, every bound is at its cap.
///
/// ```
/// use jobstream::engine::EngineOptions;
/// use jobstream::memory::MemoryBudget;
///
/// let options = EngineOptions::within(MemoryBudget::of(512 << 20));
/// assert_eq!(options.core.job_bytes_max, 96 << 20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBudget {
    bytes: u64,
}

impl MemoryBudget {
    /// A budget of this many bytes, at least [`MEMORY_BYTES_MIN`].
    pub fn of(bytes: u64) -> Self {
        Self { bytes: bytes.max(MEMORY_BYTES_MIN) }
    }

    /// Half of the machine's memory or of the limit of this process's cgroup (v1 or v2), whichever is smaller. If
    /// neither is known, half of 8 GiB.
    pub fn of_machine() -> Self {
        Self::of(memory_bytes().unwrap_or(UNKNOWN_MEMORY_BYTES) / 2)
    }

    /// The budget in bytes.
    pub fn bytes(self) -> u64 {
        self.bytes
    }

    /// Most bytes of payloads, labels and headers of jobs that have not ended. Running jobs may add a quarter.
    pub fn job_bytes_max(self) -> u64 {
        self.share(12, GIB)
    }

    /// Most jobs that have not ended.
    pub fn jobs_max(self) -> u32 {
        count(self.share(6, u64::MAX), JOB_RECORD_BYTES, 1_000_000)
    }

    /// Most bytes of finished jobs.
    pub fn retention_bytes_max(self) -> u64 {
        self.share(12, GIB)
    }

    /// Most bytes of contents of finished jobs in memory if they are also on disk.
    pub fn retention_memory_bytes_max(self) -> u64 {
        self.share(1, 64 * MIB)
    }

    /// Most bytes in the buffers of all connections together.
    pub fn connections_bytes_max(self) -> u64 {
        self.share(8, GIB)
    }

    /// Most bytes in the buffers of one connection.
    pub fn connection_bytes_max(self) -> u64 {
        (self.connections_bytes_max() / 4).min(64 * MIB)
    }

    /// Most watches at a time.
    pub fn watchers_max(self) -> u32 {
        count(self.share(6, u64::MAX), WATCH_BYTES, 200_000)
    }

    /// Most bytes of names, kinds and queues of workers.
    pub fn worker_bytes_max(self) -> u64 {
        self.share(2, 128 * MIB)
    }

    /// Most tombstones: ids of removed jobs that are still recognized.
    pub fn idempotency_ids_max(self) -> u32 {
        count(self.share(2, u64::MAX), REMOVED_ID_BYTES, 1_000_000)
    }

    /// Most pairs of queue and kind, and most queues.
    pub fn queues_max(self) -> u32 {
        count(self.share(1, u64::MAX), QUEUE_BYTES, 10_000)
    }

    /// Most bytes of state changes in the feed of all jobs.
    pub fn feed_bytes(self) -> u64 {
        self.share(1, 16 * MIB)
    }

    fn share(self, parts: u64, cap: u64) -> u64 {
        (self.bytes / PARTS).saturating_mul(parts).min(cap)
    }
}

fn count(bytes: u64, bytes_each: u64, cap: u32) -> u32 {
    u32::try_from(bytes / bytes_each).unwrap_or(u32::MAX).clamp(1, cap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_leave_a_sixth_of_the_budget_for_the_allocator() {
        for bytes in [MEMORY_BYTES_MIN, 512 * MIB, 4 * GIB, 64 * GIB] {
            let budget = MemoryBudget::of(bytes);
            let jobs = budget.job_bytes_max() + budget.job_bytes_max() / 4;
            let records = u64::from(budget.jobs_max()) * JOB_RECORD_BYTES;
            let watches = u64::from(budget.watchers_max()) * WATCH_BYTES;
            let rest = budget.connections_bytes_max()
                + budget.worker_bytes_max()
                + u64::from(budget.idempotency_ids_max()) * REMOVED_ID_BYTES
                + u64::from(budget.queues_max()) * QUEUE_BYTES
                + budget.feed_bytes()
                + budget.retention_bytes_max();
            assert!(jobs + records + watches + rest <= bytes / 6 * 5, "{bytes}");
        }
    }

    #[test]
    fn docs_memory_has_the_same_table() {
        let (code, page) = (include_str!("memory.rs"), include_str!("../docs/memory.md"));
        let row = |line: &str| line.strip_prefix("//! |").map(|rest| format!("|{rest}"));
        let rows: Vec<_> = code.lines().filter_map(row).collect();
        assert!(rows.len() > 10 && page.contains(&rows.join("\n")));
    }

    #[test]
    fn large_budget_has_every_bound_at_its_cap() {
        let budget = MemoryBudget::of(11 * GIB);
        assert_eq!((budget.job_bytes_max(), budget.retention_bytes_max()), (GIB, GIB));
        assert_eq!((budget.jobs_max(), budget.watchers_max()), (1_000_000, 200_000));
        assert_eq!(budget.retention_memory_bytes_max(), 64 * MIB);
        assert_eq!((budget.connections_bytes_max(), budget.connection_bytes_max()), (GIB, 64 * MIB));
        assert_eq!(budget, MemoryBudget { bytes: 11 * GIB });
    }

    #[test]
    fn budget_is_at_least_the_minimum() {
        assert_eq!(MemoryBudget::of(0).bytes(), MEMORY_BYTES_MIN);
        assert!(MemoryBudget::of_machine().bytes() >= MEMORY_BYTES_MIN);
    }
}
