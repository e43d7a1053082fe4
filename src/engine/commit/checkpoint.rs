//! Checkpoints: everything that is there now is written anew, and the log forgets what came before.
//!
//! The jobs are written in pieces, while commands go on: a piece is as good as all that led to it, and what follows it in
//! the log follows it in truth.

use std::num::NonZeroU64;
use std::time::Duration;

use super::reading::lost;
use super::writer::Batch;
use super::{Commit, Log, Position};
use crate::core::{ImageBounds, LogPlace};
use crate::engine::Engine;
use crate::error::Result;
use crate::log::Nearness;

/// The next checkpoint is due after as many times what the last one took, so that checkpoints are at most a third of what
/// is written; but not before [`EngineOptions::checkpoint_bytes`](crate::engine::EngineOptions::checkpoint_bytes).
const PAUSE_CHECKPOINTS: u64 = 2;
/// How long it takes before a checkpoint that failed is tried again, if it is due then.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// What is written under one hold of the engine's lock, as one entry of the log.
const PIECE_JOBS_MAX: usize = 128;
const PIECE_BYTES_MAX: u64 = 1 << 20;
/// How many times what it takes in memory a job is in an entry, at most.
const ENCODED_TIMES_MAX: u64 = 4;

/// How much of the log a checkpoint gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All but the segment that is written.
    All,
    /// The oldest segment.
    Oldest,
}

/// Where the log begins after a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) segment: u64,
    /// Of the first entry in it. Jobs with records before have to be written again.
    pub(crate) sequence: u64,
}

/// Where a checkpoint begins or ends: behind all entries queued before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Begin,
    /// What is needed of the segments before this one was written again.
    End(u64),
    /// It could not be.
    Abandon,
}

/// How much was written since the last checkpoint.
pub(super) struct Pace {
    /// Fewest bytes between two checkpoints.
    pause: u64,
    /// Bytes since the last checkpoint began.
    since: u64,
    /// Bytes of the last checkpoint.
    size: u64,
    is_told: bool,
}

impl Pace {
    pub(super) fn of(log: &dyn Log, pause: u64) -> Self {
        Self { pause, since: log.bytes(), size: 0, is_told: false }
    }

    /// Counts what was written, and forgets what a checkpoint replaced.
    pub(super) fn follow(&mut self, batch: &Batch, log: &mut dyn Log) -> Result<()> {
        self.since += batch.entries.bytes() as u64;
        for mark in &batch.marks {
            match mark {
                // What was queued after it may stand in this batch too.
                Mark::Begin => self.since = 0,
                Mark::End(segment) => {
                    (self.size, self.is_told) = (self.since, false);
                    log.trim(*segment)?;
                }
                Mark::Abandon => self.is_told = false,
            }
        }
        Ok(())
    }

    /// The checkpoint that is due; told once. A log with a bound gives back its oldest segment when it comes near it, so
    /// that a checkpoint never takes more room than there is.
    pub(super) fn due(&mut self, log: &dyn Log) -> Option<Cut> {
        let extent = match log.is_bounded() {
            true => (log.nearness() >= Nearness::Near).then_some(Extent::Oldest),
            false => {
                let is_due = self.since > self.pause.max(PAUSE_CHECKPOINTS * self.size);
                is_due.then_some(Extent::All)
            }
        };
        let extent = extent.filter(|_| !self.is_told)?;
        self.is_told = true;
        Some(log.cut(extent))
    }
}

impl Commit {
    fn mark(&self, mark: Mark) {
        self.shared.queue.lock().marks.push(mark);
        self.shared.queued.ring();
    }

    /// How many jobs make an entry.
    fn piece(&self) -> ImageBounds {
        let bytes = self.shared.entry_bytes_max as u64 / ENCODED_TIMES_MAX;
        ImageBounds { jobs: PIECE_JOBS_MAX, bytes: bytes.min(PIECE_BYTES_MAX) }
    }

    /// Waits until a checkpoint is due; `None` once the log takes nothing more.
    pub(in crate::engine) async fn checkpoint_due(&self) -> Option<Cut> {
        loop {
            if self.shared.waiters.now(Position(u64::MAX)).is_ready() {
                return None;
            }
            let due = self.shared.cut.lock().take();
            if due.is_some() {
                return due;
            }
            self.shared.due.notified().await;
        }
    }
}

impl Engine {
    /// Writes anew what is needed of the log before the cut, and has it forget that.
    ///
    /// # Errors
    ///
    /// `LogFailed`; `LogDamaged` if a job cannot be read back: then nothing is forgotten.
    pub(in crate::engine) async fn checkpoint(&self, cut: Cut) -> Result<()> {
        let Some(commit) = &self.0.commit else { return Ok(()) };
        {
            let core = &mut self.0.state.lock().core;
            commit.mark(Mark::Begin);
            let records = core.image_beside_jobs();
            drop(commit.append(core, self.now(), records));
        }
        let written = self.write_jobs(commit, NonZeroU64::new(cut.sequence)).await;
        if written.is_err() {
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        commit.mark(if written.is_ok() { Mark::End(cut.segment) } else { Mark::Abandon });
        written
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
            let contents = contents?.ok_or_else(|| lost(place.id))?;
            records.extend(core.image_of(place, contents));
        }
        if !records.is_empty() {
            drop(commit.append(core, self.now(), records));
        }
        Ok(())
    }
}
