//! Compaction: live data of the oldest part of the log is rewritten at its end, and the oldest part is trimmed.
//!
//! Jobs are rewritten in pieces between other commands. A piece holds snapshots: each replaces all earlier records of its job,
//! and later records apply to it.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use super::Commit;
use super::reading::missing;
use crate::core::{LogPosition, Record, Sample, SnapshotBounds, TombstoneCursor};
use crate::engine::{Engine, State};
use crate::error::Result;
use crate::wal::{Log, Space, SpaceLevel, TrimPoint};

/// Garbage is estimated when one in so many bytes of the log is new, but not before
/// [`EngineOptions::compaction_bytes`](crate::engine::EngineOptions::compaction_bytes).
const NEW_PART: u64 = 4;
/// The oldest part of a log is compacted alone if it is at least one in so many bytes of the log,
const OLDEST_PART: u64 = 8;
/// and at most one in so many bytes of that part is live.
const LIVE_PART: u64 = 8;
/// The delay before a failed compaction is retried.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Bounds of what is rewritten under one hold of the engine's lock, as one entry of the log.
const PIECE_JOBS_MAX: usize = 128;
const PIECE_BYTES_MAX: u64 = 1 << 20;
/// The encoded size of a job is at most so many times its size in memory.
const ENCODED_TIMES_MAX: u64 = 4;

/// A compaction that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DueCompaction {
    /// The log is near its bound: its oldest segment has to be freed.
    Oldest(TrimPoint),
    /// The log grew: it is trimmed at one of these points, if enough before it is garbage.
    Any(Vec<TrimPoint>),
}

/// When the next compaction is due.
pub(super) struct Schedule {
    /// Fewest bytes between two compactions.
    bytes_min: u64,
    /// Bytes that were appended since the end of the last compaction.
    pub(super) appended_bytes: u64,
    /// Whether a compaction is due or running.
    is_running: bool,
}

impl Schedule {
    /// The schedule of a log that was opened with so many bytes.
    pub(super) fn new(bytes_min: u64, log_bytes: u64) -> Self {
        Self { bytes_min, appended_bytes: log_bytes, is_running: false }
    }

    /// What the compaction itself appended is not new.
    pub(super) fn compaction_ended(&mut self) {
        (self.appended_bytes, self.is_running) = (0, false);
    }

    /// The compaction that is due; returned once. A log with a bound frees its oldest segment when it comes near the bound,
    /// so that a compaction never needs more space than there is.
    pub(super) fn due(&mut self, log: &dyn Log, space: Space) -> Option<DueCompaction> {
        if self.is_running {
            return None;
        }
        let due = if space.is_bounded {
            let oldest = || log.trim_points().first().copied();
            (space.level > SpaceLevel::Free).then(oldest).flatten().map(DueCompaction::Oldest)
        } else {
            let is_due = self.appended_bytes > self.bytes_min.max(space.bytes / NEW_PART);
            is_due.then(|| DueCompaction::Any(log.trim_points()))
        };
        self.is_running = due.is_some();
        due
    }
}

/// Chooses where to trim, given the live bytes before each point: the longest oldest part that is mostly garbage, or all of the
/// log once enough of it is garbage.
pub(super) fn choose_trim_point(
    points: &[TrimPoint],
    live_bytes: &[u64],
    garbage_percent: u8,
) -> Option<TrimPoint> {
    let all = *points.last()?;
    let all_live = *live_bytes.last()?;
    let is_long = |point: &TrimPoint| point.bytes * OLDEST_PART >= all.bytes;
    let is_garbage = |(point, live): &(&TrimPoint, &u64)| *live * LIVE_PART <= point.bytes;
    let oldest = points.iter().zip(live_bytes).rfind(is_garbage).map(|(point, _)| *point).filter(is_long);
    let garbage = all.bytes.saturating_sub(all_live);
    oldest.or((garbage * 100 >= all.bytes * u64::from(garbage_percent)).then_some(all))
}

impl Commit {
    /// Ends a compaction. All data from before `trim_before` was rewritten; `None` if nothing is to be trimmed.
    fn end_compaction(&self, trim_before: Option<u64>) {
        self.shared.queue.lock().compacted = Some(trim_before);
        self.shared.queued.notify_one();
    }

    /// The bounds of a piece.
    fn piece_bounds(&self) -> SnapshotBounds {
        let bytes = self.shared.entry_bytes_max as u64 / ENCODED_TIMES_MAX;
        SnapshotBounds { jobs: PIECE_JOBS_MAX, bytes: bytes.min(PIECE_BYTES_MAX) }
    }

    /// Waits until a compaction is due; `None` once the log failed or is closed.
    pub(in crate::engine) async fn due_compaction(&self) -> Option<DueCompaction> {
        loop {
            self.check().ok()?;
            let due = self.shared.due.lock().take();
            if due.is_some() {
                return due;
            }
            self.shared.due_changed.notified().await;
        }
    }
}

impl Engine {
    /// Runs the compaction that is due.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::compact`].
    pub(in crate::engine) async fn run_compaction(&self, due: DueCompaction) -> Result<()> {
        let Some(commit) = &self.0.commit else { return Ok(()) };
        let point = match due {
            DueCompaction::Oldest(point) => Some(point),
            DueCompaction::Any(points) => {
                let live_bytes = self.live_bytes_before(&points);
                choose_trim_point(&points, &live_bytes, self.0.options.compaction_garbage_percent)
            }
        };
        match point {
            Some(point) => self.compact(point).await,
            None => {
                commit.end_compaction(None);
                Ok(())
            }
        }
    }

    /// Estimates the live bytes before each of these points.
    pub(super) fn live_bytes_before(&self, points: &[TrimPoint]) -> Vec<u64> {
        let entries: Vec<_> = points.iter().map(|point| point.sequence).collect();
        let mut live_bytes = vec![0; points.len()];
        let jobs = self.0.state.lock().core.job_count();
        for part in Sample::of(jobs) {
            let of_part = self.0.state.lock().core.live_log_bytes_before(&entries, part);
            live_bytes.iter_mut().zip(of_part).for_each(|(sum, part)| *sum += part);
        }
        live_bytes
    }

    /// Rewrites live data from before the point, and has the log trimmed there.
    ///
    /// # Errors
    ///
    /// `LogFailed`; `LogDamaged` if a job cannot be read: then nothing is trimmed.
    pub(in crate::engine) async fn compact(&self, point: TrimPoint) -> Result<()> {
        let Some(commit) = &self.0.commit else { return Ok(()) };
        let began = Instant::now();
        let rewritten = self.rewrite(commit, NonZeroU64::new(point.sequence)).await;
        if let Some(meter) = commit.log_meter() {
            meter.compacted(began.elapsed());
        }
        if rewritten.is_err() {
            tokio::time::sleep(RETRY_DELAY).await;
        }
        commit.end_compaction(rewritten.is_ok().then_some(point.sequence));
        rewritten
    }

    /// Rewrites everything that has records before this entry.
    async fn rewrite(&self, commit: &Commit, before: Option<NonZeroU64>) -> Result<()> {
        {
            let state = &mut self.0.state.lock();
            let records = state.core.snapshot_globals();
            self.append_rewritten(commit, state, records);
        }
        let mut tombstone = Some(TombstoneCursor::FIRST);
        while let Some(from) = tombstone {
            {
                let state = &mut self.0.state.lock();
                let (records, next) = state.core.tombstone_snapshots(from, before).unzip();
                self.append_rewritten(commit, state, records.unwrap_or_default());
                tombstone = next;
            }
            self.durable().await?;
        }
        let mut job = Some(0);
        while let Some(from) = job {
            let evicted = {
                let state = &mut self.0.state.lock();
                let piece = state.core.snapshots(from, before, commit.piece_bounds());
                self.append_rewritten(commit, state, piece.records);
                job = piece.next;
                piece.evicted
            };
            self.rewrite_evicted(commit, evicted).await?;
            // One piece at a time waits for the disk, so that commands do not wait for many.
            self.durable().await?;
        }
        Ok(())
    }

    /// Rewrites evicted jobs: their contents are loaded first.
    async fn rewrite_evicted(&self, commit: &Commit, locations: Vec<LogPosition>) -> Result<()> {
        let contents = self.contents(&locations).await;
        let state = &mut self.0.state.lock();
        let mut records = Vec::new();
        for (location, contents) in locations.iter().zip(contents) {
            // Only a compaction moves contents, and there is one at a time.
            let contents = contents?.ok_or_else(|| missing(location.id))?;
            records.extend(state.core.snapshot_loaded(location, &contents));
        }
        self.append_rewritten(commit, state, records);
        Ok(())
    }

    fn append_rewritten(&self, commit: &Commit, state: &mut State, records: Vec<Record>) {
        if !records.is_empty() {
            drop(commit.append(&mut state.core, self.now(), records));
        }
    }
}
