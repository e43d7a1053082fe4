//! Checkpoints: everything that is there now is written anew, and the log forgets what came before.
//!
//! The jobs are written in pieces, while commands go on: a piece is as good as all that led to it, and what follows it in
//! the log follows it in truth.

use super::writer::Batch;
use super::{Commit, Log};
use crate::core::ImageBounds;
use crate::engine::Engine;
use crate::error::Result;

/// The next checkpoint is due after as many times what the last one took, so that checkpoints are at most a third of what
/// is written; but not before [`EngineOptions::checkpoint_bytes`](crate::engine::EngineOptions::checkpoint_bytes).
const PAUSE_CHECKPOINTS: u64 = 2;
/// What is written under one hold of the engine's lock, as one entry of the log.
const PIECE_JOBS_MAX: usize = 128;
const PIECE_BYTES_MAX: u64 = 1 << 20;
/// How many times what it takes in memory a job is in an entry, at most.
const ENCODED_TIMES_MAX: u64 = 4;

/// Where a checkpoint begins or ends: behind all entries queued before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Everything that is there now will be behind this.
    Begin,
    /// It is.
    End,
}

/// How much was written since the last checkpoint, and where the present one began.
pub(super) struct Pace {
    /// Fewest bytes between two checkpoints.
    pause: u64,
    /// Bytes since the last checkpoint began.
    since: u64,
    /// Bytes of the last checkpoint.
    size: u64,
    begin: Option<u64>,
    is_told: bool,
}

impl Pace {
    pub(super) fn of(log: &dyn Log, pause: u64) -> Self {
        Self { pause, since: log.bytes(), size: 0, begin: None, is_told: false }
    }

    /// Counts what was written, from this segment on, and forgets what a checkpoint replaced.
    pub(super) fn follow(&mut self, batch: &Batch, segment: u64, log: &mut dyn Log) -> Result<()> {
        self.since += batch.entries.iter().map(|entry| entry.len() as u64).sum::<u64>();
        for mark in &batch.marks {
            match mark {
                // What was queued after it may stand in this batch too.
                Mark::Begin => (self.begin, self.since) = (Some(segment), 0),
                Mark::End => {
                    (self.size, self.is_told) = (self.since, false);
                    if let Some(begin) = self.begin.take() {
                        log.trim(begin)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a checkpoint is due; told once.
    pub(super) fn is_due(&mut self) -> bool {
        let is_due = self.since > self.pause.max(PAUSE_CHECKPOINTS * self.size);
        is_due && !std::mem::replace(&mut self.is_told, true)
    }
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

    /// Waits until a checkpoint is due.
    pub(in crate::engine) async fn checkpoint_due(&self) {
        self.shared.due.notified().await;
    }
}

impl Engine {
    /// Writes everything that is there anew, and has the log forget what came before.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub(in crate::engine) async fn checkpoint(&self) -> Result<()> {
        let Some(commit) = &self.0.commit else { return Ok(()) };
        {
            let state = self.0.state.lock();
            commit.mark(Mark::Begin);
            commit.append(self.now(), &state.core.image_beside_jobs());
        }
        let mut next = Some(0);
        while let Some(from) = next {
            {
                let state = self.0.state.lock();
                let (records, after) = state.core.images(from, commit.piece());
                commit.append(self.now(), &records);
                next = after;
            }
            // One piece at a time waits for the disk, so that commands do not wait behind many.
            self.durable().await?;
        }
        commit.mark(Mark::End);
        Ok(())
    }
}
