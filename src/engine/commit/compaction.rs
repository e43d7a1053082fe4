//! Compaction: live data of the oldest part of the log is rewritten at its end, and the oldest part is trimmed.
//!
//! Jobs are rewritten in pieces between other commands. A piece holds snapshots: each replaces all earlier records of its job,
//! and later records apply to it.

use std::num::NonZeroU64;
use std::time::Duration;

use super::reading::missing;
use super::{Commit, Position, writer};
use crate::core::{ImageBounds, LogPlace, Sample, TombstonePlace};
use crate::engine::Engine;
use crate::error::Result;
use crate::wal::{Cut, Log, Space, SpaceLevel};

/// Garbage is estimated when one in so many bytes of the log is new, but not before
/// [`EngineOptions::checkpoint_bytes`](crate::engine::EngineOptions::checkpoint_bytes).
const NEW_PART: u64 = 4;
/// The oldest part of a log is compacted alone if it is at least one in so many bytes of the log,
const BEGINNING_PART: u64 = 8;
/// and at most one in so many bytes of that part is live.
const NEEDED_PART: u64 = 8;
/// The delay before a compaction that failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Bounds of what is rewritten under one hold of the engine's lock, as one entry of the log.
const PIECE_JOBS_MAX: usize = 128;
const PIECE_BYTES_MAX: u64 = 1 << 20;
/// The encoded size of a job is at most so many times its size in memory.
const ENCODED_TIMES_MAX: u64 = 4;

/// A compaction that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    /// The log is near its bound: its oldest segment has to be freed.
    Oldest(Cut),
    /// The log grew: it is trimmed at one of these cuts, if enough before it is garbage.
    Any(Vec<Cut>),
}

/// The end of a compaction, behind all entries that it queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Live data of the entries before this sequence was rewritten.
    End(u64),
    /// Nothing was rewritten, because of an error or because too little was garbage.
    Abandon,
}

/// When the next compaction is due.
pub(super) struct Pace {
    /// Fewest bytes between two.
    pause: u64,
    /// Bytes since the end of the last one.
    since: u64,
    is_told: bool,
}

impl Pace {
    pub(super) fn of(log: &dyn Log, pause: u64) -> Result<Self> {
        Ok(Self { pause, since: log.space()?.bytes, is_told: false })
    }

    /// Counts what was appended, and trims what a compaction replaced.
    pub(super) async fn follow(&mut self, commit: &writer::Commit, log: &dyn Log) -> Result<()> {
        self.since += commit.batch.bytes() as u64;
        for mark in &commit.marks {
            // What a compaction itself wrote is not new.
            (self.since, self.is_told) = (0, false);
            if let Mark::End(sequence) = mark {
                log.trim(*sequence).await?;
            }
        }
        Ok(())
    }

    /// The compaction that is due; answered once. A log with a bound frees its oldest segment when it comes near the bound,
    /// so that a compaction never takes more space than there is.
    pub(super) fn due(&mut self, log: &dyn Log, space: Space) -> Option<Due> {
        if self.is_told {
            return None;
        }
        let due = match space.is_bounded {
            true if space.level == SpaceLevel::Free => None,
            true => log.cuts().first().copied().map(Due::Oldest),
            false if self.since <= self.pause.max(space.bytes / NEW_PART) => None,
            false => Some(Due::Any(log.cuts())),
        };
        self.is_told = due.is_some();
        due
    }
}

/// The cut to trim at, given the live bytes before each cut: the longest oldest part that is mostly garbage, or all of the log
/// once enough of it is garbage.
pub(super) fn worth_it(cuts: &[Cut], needed: &[u64], waste_percent: u8) -> Option<Cut> {
    let all = *cuts.last()?;
    let all_needed = *needed.last()?;
    let is_long = |cut: &Cut| cut.bytes * BEGINNING_PART >= all.bytes;
    let is_waste = |(cut, needed): &(&Cut, &u64)| *needed * NEEDED_PART <= cut.bytes;
    let beginning = cuts.iter().zip(needed).rfind(is_waste).map(|(cut, _)| *cut).filter(is_long);
    let wasted = all.bytes.saturating_sub(all_needed);
    beginning.or((wasted * 100 >= all.bytes * u64::from(waste_percent)).then_some(all))
}

impl Commit {
    fn mark(&self, mark: Mark) {
        self.shared.queue.lock().marks.push(mark);
        self.shared.queued.notify_one();
    }

    /// The bounds of a piece.
    fn piece(&self) -> ImageBounds {
        let bytes = self.shared.entry_bytes_max as u64 / ENCODED_TIMES_MAX;
        ImageBounds { jobs: PIECE_JOBS_MAX, bytes: bytes.min(PIECE_BYTES_MAX) }
    }

    /// Waits until a compaction is due; `None` once the log has ended.
    pub(in crate::engine) async fn checkpoint_due(&self) -> Option<Due> {
        loop {
            if self.shared.waiters.now(Position(u64::MAX)).is_ready() {
                return None;
            }
            let due = self.shared.compaction.lock().take();
            if due.is_some() {
                return due;
            }
            self.shared.due.notified().await;
        }
    }
}

impl Engine {
    /// Runs the compaction that is due.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::checkpoint`].
    pub(in crate::engine) async fn give_back(&self, due: Due) -> Result<()> {
        let Some(commit) = &self.0.commit else { return Ok(()) };
        let cut = match due {
            Due::Oldest(cut) => Some(cut),
            Due::Any(cuts) => worth_it(&cuts, &self.needed(&cuts), self.0.options.checkpoint_waste_percent),
        };
        match cut {
            Some(cut) => self.checkpoint(cut).await,
            None => {
                commit.mark(Mark::Abandon);
                Ok(())
            }
        }
    }

    /// Estimates the live bytes before each of these cuts.
    pub(super) fn needed(&self, cuts: &[Cut]) -> Vec<u64> {
        let entries: Vec<_> = cuts.iter().map(|cut| cut.sequence).collect();
        let mut needed = vec![0; cuts.len()];
        let jobs = self.0.state.lock().core.job_count();
        for part in Sample::of(jobs) {
            let of_part = self.0.state.lock().core.needed_before(&entries, part);
            needed.iter_mut().zip(of_part).for_each(|(sum, part)| *sum += part);
        }
        needed
    }

    /// Rewrites live data from before the cut, and has the log trimmed there.
    ///
    /// # Errors
    ///
    /// `LogFailed`; `LogDamaged` if a job cannot be read: then nothing is trimmed.
    pub(in crate::engine) async fn checkpoint(&self, cut: Cut) -> Result<()> {
        let Some(commit) = &self.0.commit else { return Ok(()) };
        {
            let core = &mut self.0.state.lock().core;
            let records = core.image_beside_jobs();
            drop(commit.append(core, self.now(), records));
        }
        let written = self.write_needed(commit, NonZeroU64::new(cut.sequence)).await;
        if written.is_err() {
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        commit.mark(if written.is_ok() { Mark::End(cut.sequence) } else { Mark::Abandon });
        written
    }

    /// Rewrites everything that has records before this entry.
    async fn write_needed(&self, commit: &Commit, before: Option<NonZeroU64>) -> Result<()> {
        self.write_tombstones(commit, before).await?;
        self.write_jobs(commit, before).await
    }

    /// Rewrites every tombstone with its record before this entry.
    async fn write_tombstones(&self, commit: &Commit, before: Option<NonZeroU64>) -> Result<()> {
        let mut from = TombstonePlace::FIRST;
        loop {
            {
                let core = &mut self.0.state.lock().core;
                let Some((records, next)) = core.tombstone_images(from, before) else { return Ok(()) };
                from = next;
                if !records.is_empty() {
                    drop(commit.append(core, self.now(), records));
                }
            }
            self.durable().await?;
        }
    }

    /// Rewrites every job with records before this entry.
    async fn write_jobs(&self, commit: &Commit, before: Option<NonZeroU64>) -> Result<()> {
        let mut next = Some(0);
        while let Some(from) = next {
            let piece = {
                let core = &mut self.0.state.lock().core;
                let mut piece = core.images(from, before, commit.piece());
                if !piece.records.is_empty() {
                    let records = std::mem::take(&mut piece.records);
                    drop(commit.append(core, self.now(), records));
                }
                piece
            };
            self.write_cold(commit, piece.cold).await?;
            next = piece.next;
            // One piece at a time waits for the disk, so that commands do not wait behind many.
            self.durable().await?;
        }
        Ok(())
    }

    /// Rewrites evicted jobs: their contents are loaded first.
    async fn write_cold(&self, commit: &Commit, places: Vec<LogPlace>) -> Result<()> {
        if places.is_empty() {
            return Ok(());
        }
        let read = commit.contents(places.clone()).await?;
        let core = &mut self.0.state.lock().core;
        let mut records = Vec::new();
        for (place, contents) in places.iter().zip(read) {
            // Only a checkpoint moves them, and there is one at a time.
            let contents = contents?.ok_or_else(|| missing(place.id))?;
            records.extend(core.image_of(place, &contents));
        }
        if !records.is_empty() {
            drop(commit.append(core, self.now(), records));
        }
        Ok(())
    }
}
