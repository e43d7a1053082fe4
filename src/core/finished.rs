//! Finished jobs in the order of their ends, and the tombstones of removed jobs.

use super::keys::JobKey;
use super::list::List;
use super::table::Table;
use super::tombstones::{Tombstone, Tombstones};
use crate::job::JobId;

/// Tombstones of jobs with minted ids. They only distinguish RESULT_EXPIRED from JOB_NOT_FOUND.
const MINTED_IDS_MAX: u32 = 100_000;

/// Finished jobs that were removed since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RemovedCounts {
    /// Their retention passed.
    pub(crate) ttl: u64,
    /// Their bytes were needed.
    pub(crate) bytes: u64,
    /// A caller deleted them.
    pub(crate) deleted: u64,
}

pub(super) struct Finished {
    /// Finished jobs, oldest end first.
    pub(super) list: List,
    pub(super) bytes: u64,
    /// Bytes of resident contents that can be evicted.
    pub(super) evictable_bytes: u64,
    /// The next job to evict. All jobs before it were evicted.
    pub(super) next_eviction: Option<JobKey>,
    /// Removed jobs whose ids were chosen by callers.
    pub(super) chosen: Tombstones,
    /// Expired jobs with minted ids, and jobs that an earlier version removed.
    pub(super) minted: Tombstones,
    /// Why jobs were removed.
    pub(super) removed: RemovedCounts,
}

impl Finished {
    pub(super) fn new(idempotency_ids_max: u32) -> Self {
        Self {
            list: List::default(),
            bytes: 0,
            evictable_bytes: 0,
            next_eviction: None,
            chosen: Tombstones::new(idempotency_ids_max),
            minted: Tombstones::new(MINTED_IDS_MAX),
            removed: RemovedCounts::default(),
        }
    }

    pub(super) fn tombstone(&self, id: JobId) -> Option<&Tombstone> {
        self.chosen.get(id).or_else(|| self.minted.get(id))
    }

    /// The set that this tombstone belongs to.
    pub(super) fn tombstones(&mut self, tombstone: &Tombstone) -> &mut Tombstones {
        if tombstone.end.is_some() { &mut self.chosen } else { &mut self.minted }
    }

    /// Advances `next_eviction` to the next job.
    pub(super) fn advance_eviction(&mut self, table: &Table) {
        self.next_eviction = self.next_eviction.and_then(|key| List::next(table, key));
    }
}
