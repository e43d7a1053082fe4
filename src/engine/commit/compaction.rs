//! Checkpoints: everything that is there now is written anew, and the log forgets what came before.
//!
//! The jobs are written in pieces, while commands go on: a piece is as good as all that led to it, and what follows it in
//! the log follows it in truth.

use std::num::NonZeroU64;
use std::time::Duration;

use super::reading::missing;
use super::{Commit, Position, writer};
use crate::core::{ImageBounds, LogPlace, Sample, TombstonePlace};
use crate::engine::Engine;
use crate::error::Result;
use crate::log::contract::{Cut, Log, SpaceLevel};

/// The log is looked at when this part of it is new, but not before it took
/// [`EngineOptions::checkpoint_bytes`](crate::engine::EngineOptions::checkpoint_bytes).
const NEW_PART: u64 = 4;
/// The beginning of a log is worth giving back if it is at least this part of it,
const BEGINNING_PART: u64 = 8;
/// and at most this part of that is still needed.
const NEEDED_PART: u64 = 8;
/// How long it takes before a checkpoint that failed is tried again, if it is due then.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// What is written under one hold of the engine's lock, as one entry of the log.
const PIECE_JOBS_MAX: usize = 128;
const PIECE_BYTES_MAX: u64 = 1 << 20;
/// How many times what it takes in memory a job is in an entry, at most.
const ENCODED_TIMES_MAX: u64 = 4;

/// A checkpoint that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    /// The log is near its bound: it has to give back its oldest segment.
    Oldest(Cut),
    /// The log grew: it gives back what is worth it, up to one of these.
    Any(Vec<Cut>),
}

/// The end of a checkpoint, behind all entries queued before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// What is needed of the entries before this one was rewritten.
    End(u64),
    /// It could not be, or nothing was worth it.
    Abandon,
}

/// When the next checkpoint is due.
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
    ///
    /// # Errors
    ///
    /// What the log failed with.
    pub(super) fn due(&mut self, log: &dyn Log) -> Result<Option<Due>> {
        if self.is_told {
            return Ok(None);
        }
        let space = log.space()?;
        let due = match space.is_bounded {
            true if space.level == SpaceLevel::Free => None,
            true => log.cuts().first().copied().map(Due::Oldest),
            false if self.since <= self.pause.max(space.bytes / NEW_PART) => None,
            false => Some(Due::Any(log.cuts())),
        };
        self.is_told = due.is_some();
        Ok(due)
    }
}

/// Where to cut, given how many bytes are needed of what is before each place: the longest beginning that is worth it, or,
/// once enough of all that is there is needed no more, all of it.
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

    /// How many jobs make an entry.
    fn piece(&self) -> ImageBounds {
        let bytes = self.shared.entry_bytes_max as u64 / ENCODED_TIMES_MAX;
        ImageBounds { jobs: PIECE_JOBS_MAX, bytes: bytes.min(PIECE_BYTES_MAX) }
    }

    /// Waits until a checkpoint is due; `None` once the log takes nothing more.
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
    /// Has the log give back what is due.
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

    /// About how many bytes are needed of what is before each of these.
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

    /// Writes anew what is needed of the log before the cut, and has it forget that.
    ///
    /// # Errors
    ///
    /// `LogFailed`; `LogDamaged` if a job cannot be read back: then nothing is forgotten.
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

    /// Writes everything anew that has records before this entry.
    async fn write_needed(&self, commit: &Commit, before: Option<NonZeroU64>) -> Result<()> {
        self.write_tombstones(commit, before).await?;
        self.write_jobs(commit, before).await
    }

    /// Writes every tombstone anew that has its record before this entry.
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

    /// Writes every job anew that has records before this entry.
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

    /// Writes jobs anew whose contents have to be read first.
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
