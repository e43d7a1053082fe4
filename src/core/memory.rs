//! What the state machine holds in memory, by category, beside the bound of each.

use super::Core;
use super::callers::reserve;
use super::entry::RECORD_BYTES;
use super::retention::WATCHED_BYTES_MAX;
use crate::job::MemoryUse;
use crate::memory::{QUEUE_BYTES, REMOVED_ID_BYTES};

/// Running jobs may add this part of `job_bytes_max` to what was submitted.
const GROWTH_PART: u64 = 4;
/// Output and logs that a job keeps while running jobs have nearly added what they may.
const SHORT_RING_BYTES: usize = 16 << 10;

impl Core {
    /// What jobs that have not ended added since they were accepted: output, logs, progress, failures.
    pub(super) fn added_bytes(&self) -> u64 {
        self.live_bytes - self.submitted_bytes
    }

    /// Most bytes of that.
    pub(super) fn added_bytes_max(&self) -> u64 {
        self.options.job_bytes_max / GROWTH_PART
    }

    /// Most output and log bytes of one job now: few while all together are near the bound, so that each job that reports
    /// has some.
    pub(super) fn ring_bytes_max(&self) -> usize {
        let ring_max = self.options.event_ring_bytes_max;
        match self.added_bytes() > self.added_bytes_max() / 4 * 3 {
            true => ring_max.min(SHORT_RING_BYTES),
            false => ring_max,
        }
    }

    /// What jobs and workers hold.
    pub(crate) fn memory(&self) -> Vec<MemoryUse> {
        let options = &self.options;
        let record_bytes = RECORD_BYTES as u64;
        let of = |category, used_bytes, limit_bytes| MemoryUse { category, used_bytes, limit_bytes };
        vec![
            of("jobs", self.live_bytes, options.job_bytes_max.saturating_add(self.added_bytes_max())),
            of(
                "job_records",
                u64::from(self.live_jobs) * record_bytes,
                u64::from(options.jobs_max) * record_bytes,
            ),
            of(
                "queues",
                self.lanes.len() as u64 * QUEUE_BYTES,
                (self.queues_max() as u64 + reserve(self.queues_max() as u64)) * QUEUE_BYTES,
            ),
            of("workers", self.sessions.bytes, options.worker_bytes_max),
            of(
                "finished_jobs",
                self.finished_memory_bytes(),
                options.retention_bytes_max.saturating_add(WATCHED_BYTES_MAX),
            ),
            of(
                "removed_ids",
                self.finished.removed_ids() * REMOVED_ID_BYTES,
                self.finished.removed_ids_max() * REMOVED_ID_BYTES,
            ),
        ]
    }

    /// With a log, contents that were dropped from memory do not count.
    fn finished_memory_bytes(&self) -> u64 {
        let finished = self.table.len() - self.live_jobs;
        match self.log_entry {
            Some(_) => self.finished.warm_bytes + u64::from(finished) * RECORD_BYTES as u64,
            None => self.finished.bytes,
        }
    }
}
