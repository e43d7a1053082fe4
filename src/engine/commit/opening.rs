//! Opens an engine on a log: replays the entries, then resumes.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::codec::{self, AROUND_PAYLOAD_BYTES, Unreadable};
use super::entries::Parts;
use super::{Commit, Log};
use crate::clock::{Clock, Now};
use crate::core::{Core, Effects};
use crate::engine::{Engine, EngineOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::job::Timestamp;
use crate::wal::disk::shared::SharedLog;

/// Live jobs may take one in so many bytes of a log with a bound. The rest is for garbage, so that the compaction of a segment
/// frees space on average.
const STORED_SHARE: u64 = 2;
/// Tombstones may take one in so many bytes of it, at [`TOMBSTONE_BYTES`] each: a small bound allows fewer than
/// [`CoreOptions::idempotency_ids_max`](crate::engine::CoreOptions::idempotency_ids_max).
const TOMBSTONE_SHARE: u64 = 4;
/// Most bytes of a tombstone in the log.
const TOMBSTONE_BYTES: u64 = 64;

/// Called with each entry of a log, in order.
pub(crate) type EntryReader<'a> = dyn FnMut(crate::wal::Position, u64, &[u8]) -> Result<()> + 'a;

/// A log after its entries were read.
pub(crate) struct OpenLog {
    pub(crate) log: Arc<dyn Log>,
    /// The sequence of the next entry.
    pub(crate) next_sequence: u64,
}

impl Engine {
    /// Opens an engine whose jobs are stored in this directory, and restores the jobs in it: see [`Engine::start`].
    ///
    /// # Errors
    ///
    /// `LogDamaged` if an acknowledged entry is missing or an entry is not valid; `LogRefused` if the directory is in use,
    /// read-only, foreign or of a newer version; `DiskFull` if there is no space for a new log; `LogFailed` if a file cannot
    /// be read or written; `InvalidField` if payloads may be larger than an entry of the log, or options are out of range.
    pub fn open(options: EngineOptions, directory: &Path) -> Result<Self> {
        let log_options = options.log.clone();
        Self::open_by(options, directory, |entry| {
            let log = crate::wal::DiskLog::open(directory, &log_options, entry)?;
            let next_sequence = log.next_sequence();
            Ok(OpenLog { log: Arc::new(SharedLog::new(log)?), next_sequence })
        })
    }

    /// Opens an engine on the log that `open` returns, after it passed all entries to its argument.
    pub(crate) fn open_by(
        options: EngineOptions,
        directory: &Path,
        open: impl FnOnce(&mut EntryReader<'_>) -> Result<OpenLog>,
    ) -> Result<Self> {
        check(&options)?;
        let mut options = options;
        if let Some(bytes_max) = options.log.entries_bytes_max() {
            options.core.stored_bytes_max = options.core.stored_bytes_max.min(bytes_max / STORED_SHARE);
            let tombstones = bytes_max / TOMBSTONE_SHARE / TOMBSTONE_BYTES;
            let ids_max = &mut options.core.idempotency_ids_max;
            *ids_max = u32::try_from(tombstones).unwrap_or(u32::MAX).min(*ids_max);
        }
        let mut core = Core::new(options.core.clone(), rand::random());
        let mut last = Now { monotonic: Duration::ZERO, wall: Timestamp::default() };
        let mut parts = Parts::default();
        let mut replay = |position, sequence, bytes: &[u8]| {
            let entry = codec::decode(bytes).map_err(|why| unreadable(&why, position, directory))?;
            last = entry.now;
            for (sequence, records) in parts.add(entry.part, sequence, entry.records) {
                core.set_log_entry(NonZeroU64::new(sequence).unwrap_or(NonZeroU64::MIN));
                records.into_iter().for_each(|record| core.replay(record));
                core.evict_replayed();
            }
            Ok(())
        };
        let log = open(&mut replay)?;
        let clock = Clock::system_after(last.monotonic);
        Self::resume(clock, core, last, log, options).map_err(|error| {
            Error::new(ErrorKind::LogFailed, format!("the log cannot start its writer: {error}"))
        })
    }

    /// An engine on this log, with its ticker on the current tokio runtime. `core` has replayed the entries of the log; `last` is
    /// the time of the last one. The monotonic time of `clock` continues from `last`; the wall-clock difference is the downtime.
    pub(super) fn resume(
        clock: Clock,
        mut core: Core,
        last: Now,
        log: OpenLog,
        options: EngineOptions,
    ) -> std::io::Result<Self> {
        let mut effects = Effects { records: Some(Vec::new()), ..Effects::default() };
        let now = clock.now();
        let commit = Commit::start(log.log, log.next_sequence, options.compaction_bytes)?;
        core.set_log_entry(commit.sequence(0));
        core.resume(now, now.wall.since(last.wall), &mut effects);
        if let Some(records) = effects.records.filter(|records| !records.is_empty()) {
            drop(commit.append(&mut core, now, records));
        }
        Ok(Self::with(core, options, clock, Some(commit)).with_ticker())
    }
}

fn check(options: &EngineOptions) -> Result<()> {
    let (size, segment_bytes) = (options.core.payload_bytes_max, options.log.segment_bytes);
    let limit = options.log.entry_bytes_max().saturating_sub(AROUND_PAYLOAD_BYTES);
    if size <= limit {
        return Ok(());
    }
    let description =
        format!("is {size}, the limit of a log on disk with segments of {segment_bytes} bytes is {limit}");
    Err(Error::invalid("payload_bytes_max", description))
}

/// The error for an intact entry that cannot be decoded.
fn unreadable(why: &Unreadable, position: crate::wal::Position, directory: &Path) -> Error {
    let (file, offset) = (position.file(directory), position.offset);
    let message = format!("{}, byte {offset}: {why}", file.display());
    match why {
        Unreadable::Newer(_) => Error::new(ErrorKind::LogRefused, message),
        Unreadable::Damaged(_) => Error::new(ErrorKind::LogDamaged { file, offset }, message),
    }
}
