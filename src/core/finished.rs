//! The list of finished jobs, oldest end first, and the tombstones of those that were removed.

use super::keys::JobKey;
use super::list::List;
use super::table::Table;
use super::tombstones::{Tombstone, Tombstones};
use crate::job::JobId;

/// Tombstones of jobs whose ids no caller chose: they tell RESULT_EXPIRED from never accepted, and promise nothing.
const MINTED_IDS_MAX: u32 = 100_000;

pub(super) struct Finished {
    /// Finished jobs, oldest end first.
    pub(super) list: List,
    pub(super) bytes: u64,
    /// Bytes of contents that are in memory and may be dropped.
    pub(super) evictable_bytes: u64,
    /// Every job before this one has been looked at to drop its contents.
    pub(super) evict_from: Option<JobKey>,
    /// Those that were removed, whose ids callers chose.
    pub(super) chosen: Tombstones,
    /// The others that expired, and those that a version before removed.
    pub(super) minted: Tombstones,
}

impl Finished {
    pub(super) fn new(idempotency_ids_max: u32) -> Self {
        Self {
            list: List::default(),
            bytes: 0,
            evictable_bytes: 0,
            evict_from: None,
            chosen: Tombstones::new(idempotency_ids_max),
            minted: Tombstones::new(MINTED_IDS_MAX),
        }
    }

    pub(super) fn tombstone(&self, id: JobId) -> Option<&Tombstone> {
        self.chosen.get(id).or_else(|| self.minted.get(id))
    }

    /// Ids of removed jobs that are known.
    pub(super) fn removed_ids(&self) -> u64 {
        (self.chosen.len() + self.minted.len()) as u64
    }

    /// Most of them.
    pub(super) fn removed_ids_max(&self) -> u64 {
        u64::from(self.chosen.max()) + u64::from(self.minted.max())
    }

    /// Where a tombstone of this sort is.
    pub(super) fn tombstones(&mut self, stone: &Tombstone) -> &mut Tombstones {
        if stone.end.is_some() { &mut self.chosen } else { &mut self.minted }
    }

    /// Goes on to the job after it.
    pub(super) fn pass_evicted(&mut self, table: &Table) {
        self.evict_from = self.evict_from.and_then(|key| List::next(table, key));
    }
}
