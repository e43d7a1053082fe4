//! A write-ahead log on disk: entries are appended in batches, are durable when `append` returns, and are replayed in order.
//!
//! The content of an entry is opaque. Calls block. `docs/storage.md` describes the files, the guarantees after a crash and the
//! errors.

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use inspect::{Report, Salvage, dump, salvage, verify};
pub(crate) use reader::Reader;

use super::{Space, SpaceLevel, TrimPoint};
use crate::error::{Error, ErrorKind, Result};
use files::Directory;
use format::{FRAME_HEADER_BYTES, HEADER_BYTES, RESERVED_BYTES};
use names::segment_name;
use shortage::RetryingFiles;
use tail::Tail;

mod files;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod inspect;
mod names;
mod preallocation;
mod reader;
mod recovery;
mod refusals;
pub(crate) mod shared;
mod shortage;
#[cfg(any(test, fuzzing))]
pub(crate) mod simulated;
mod tail;
mod walk;
mod window;

#[cfg(test)]
pub(crate) mod tests;

/// Most bytes of an entry; less if a segment is too small for it, see [`Options::entry_bytes_max`].
pub const ENTRY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Fewest bytes of a segment.
pub const SEGMENT_BYTES_MIN: u64 = 8 * 1024;
/// Most bytes of a segment.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Free segments at [`SpaceLevel::Low`], the active one included.
const LOW_SEGMENTS: u64 = 4;
/// Fewest segments that fit into [`Options::bytes_max`] beside the reserve.
const SEGMENTS_MIN: u64 = 6;

/// Sizes of the files of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Bytes of a new segment, a multiple of 4 KiB from [`SEGMENT_BYTES_MIN`] to [`SEGMENT_BYTES_MAX`]: 64 MiB.
    pub segment_bytes: u64,
    /// Most files of trimmed segments that are retained for reuse: 2.
    pub spares_max: usize,
    /// Bytes that are reserved for the outcomes of accepted jobs on a full disk: 16 MiB. A full disk is detected while at least
    /// half a segment is left.
    pub reserve_bytes: u64,
    /// Most bytes of all files together, at least six segments and the reserve: no bound.
    pub bytes_max: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            spares_max: 2,
            reserve_bytes: 16 * 1024 * 1024,
            bytes_max: None,
        }
    }
}

impl Options {
    /// Bytes of frames that fit into a new segment.
    fn capacity(&self) -> u64 {
        self.segment_bytes.saturating_sub(HEADER_BYTES + RESERVED_BYTES)
    }

    /// Most bytes of an entry, at most [`ENTRY_BYTES_MAX`]: it has to fit into a segment.
    pub fn entry_bytes_max(&self) -> usize {
        let capacity = self.capacity().saturating_sub(FRAME_HEADER_BYTES as u64);
        usize::try_from(capacity).unwrap_or(ENTRY_BYTES_MAX).min(ENTRY_BYTES_MAX)
    }

    /// Options for a log with this bound: its segments are a sixteenth of it, from 20 MiB to the default.
    pub fn within(bytes_max: u64) -> Self {
        const MIB: u64 = 1024 * 1024;
        let default = Self::default();
        let segment_bytes = (bytes_max / 16 / MIB * MIB).clamp(20 * MIB, default.segment_bytes);
        Self { segment_bytes, bytes_max: Some(bytes_max), ..default }
    }

    /// Bytes of entries below which a log with a bound needs no early compaction.
    pub fn entries_bytes_max(&self) -> Option<u64> {
        let free_bytes = LOW_SEGMENTS * self.segment_bytes + self.reserve_bytes;
        Some(self.bytes_max?.saturating_sub(free_bytes))
    }

    /// The least [`bytes_max`](Self::bytes_max) with this size of a segment.
    pub fn bytes_min(&self) -> u64 {
        SEGMENTS_MIN * self.segment_bytes + self.reserve_bytes
    }

    /// Whether this can be [`segment_bytes`](Self::segment_bytes).
    pub fn is_segment_size(bytes: u64) -> bool {
        (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) && bytes.is_multiple_of(4096)
    }

    fn check(&self) -> Result<()> {
        let bytes = self.segment_bytes;
        if !Self::is_segment_size(bytes) {
            let description = format!(
                "is {bytes}, must be a multiple of 4096 from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}"
            );
            return Err(Error::invalid("segment_bytes", description));
        }
        let bytes_min = self.bytes_min();
        if let Some(bytes_max) = self.bytes_max.filter(|bytes_max| *bytes_max < bytes_min) {
            let reserve = self.reserve_bytes;
            let description = format!(
                "is {bytes_max}, must be at least {bytes_min}, {SEGMENTS_MIN} segments of {bytes} and a reserve of \
                 {reserve}: allow more"
            );
            return Err(Error::invalid("bytes_max", description));
        }
        Ok(())
    }
}

/// Called with the position, the sequence and the bytes of each intact entry.
type EachEntry<'a> = dyn FnMut(Position, u64, &[u8]) -> Result<()> + 'a;

/// The position of an entry in the files; valid until its segment is trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// The offset of its frame in the file, in bytes.
    pub offset: u64,
    /// Bytes of the entry.
    pub length: u32,
}

impl Position {
    /// The path of its file, in the directory of the log.
    pub fn file(&self, directory: &Path) -> PathBuf {
        directory.join(segment_name(self.segment))
    }
}

/// A segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// Its number; the numbers of a log are consecutive.
    pub number: u64,
    /// Bytes of its file.
    pub bytes: u64,
}

/// Acknowledged entries that are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file; it may be one that is missing.
    pub file: PathBuf,
    /// The offset in the file, in bytes.
    pub offset: u64,
    /// How many entries are certain to be lost; more may be lost after the last intact one.
    pub entries_lost: u64,
    /// What is wrong.
    pub message: String,
}

/// A log that this process writes.
///
/// The first write or sync that fails is the last: every later write returns the same error, and nothing is retried. A log that
/// is dropped without [`close`](Self::close) is complete, as after a crash, but damage at its end may not be detected.
pub(crate) struct DiskLog {
    tail: Tail,
    reader: Reader,
    failed: Option<Error>,
    /// Released when the log is dropped.
    lock: Box<dyn Send>,
}

impl DiskLog {
    /// Opens the log of a directory, or creates one. Passes every entry to `entry`, in order, with its position and sequence.
    ///
    /// Every acknowledged entry is read. Of a batch that was not acknowledged, some first entries may be read; the rest is
    /// removed. The entries are durable when this returns, not before: no effect of an entry may leave the process until then.
    ///
    /// # Errors
    ///
    /// `LogDamaged` if an acknowledged entry is missing; `LogRefused` if the directory is in use, read-only, foreign or of a newer
    /// format; `DiskFull` if there is no space for a new log; `LogFailed` if a file cannot be read or written; `InvalidField` for
    /// options out of range; the errors of `entry`.
    pub(crate) fn open(
        directory: &Path,
        options: &Options,
        mut entry: impl FnMut(Position, u64, &[u8]) -> Result<()>,
    ) -> Result<Self> {
        options.check()?;
        let no_directory = |error| refusals::no_directory(directory, &error);
        let files = Directory::create(directory).map_err(no_directory)?;
        if let Some(mode) = files.mode_for_others().map_err(no_directory)? {
            refusals::warn_of_others(directory, mode);
        }
        recovery::open(Arc::new(RetryingFiles::new(files)), options, rand::random(), &mut entry)
    }

    /// Appends entries, syncs, and returns the position of each.
    ///
    /// A batch takes one write and one sync for each segment that it is in. After a crash, a batch that was not acknowledged may
    /// have some of its first entries.
    ///
    /// # Errors
    ///
    /// `PayloadTooLarge` if an entry is larger than [`Options::entry_bytes_max`], and `DiskFull` if there is no segment for the
    /// batch: nothing was written, and the log can be used. `LogFailed` or `DiskFull` if a write or sync failed: neither this
    /// batch nor any later one is acknowledged.
    pub(crate) fn append<E: AsRef<[u8]>>(&mut self, entries: &[E]) -> Result<Vec<Position>> {
        let limit = self.tail.options.entry_bytes_max();
        if let Some(size) = entries.iter().map(|entry| entry.as_ref().len()).find(|&size| size > limit) {
            let message =
                format!("an entry of the log has {size} bytes, limit is {limit}: store it elsewhere");
            let kind = ErrorKind::PayloadTooLarge { field: "entry".to_owned(), size, limit };
            return Err(Error::new(kind, message));
        }
        if entries.is_empty() {
            return self.check().map(|()| Vec::new());
        }
        let rolls = self.tail.rolls_for(entries.iter().map(|entry| entry.as_ref().len()));
        if !self.write(|tail| tail.spares.make(&*tail.files, rolls))? {
            return Err(self.disk_full());
        }
        let first = self.tail.next_sequence;
        let positions = self.write(|tail| tail.append(entries))?;
        self.reader.add(first, &positions);
        Ok(positions)
    }

    /// How many bytes preallocation of the next segment is behind its goal, which is the whole segment if the log is idle; 0 while
    /// no progress is possible.
    pub(crate) fn preallocation_debt(&self, is_idle: bool) -> u64 {
        if self.failed.is_some() { 0 } else { self.tail.preallocation_debt(is_idle) }
    }

    /// Preallocates 1 MiB of the next segment if that is behind its goal. Returns whether it still is. In an idle log, a full disk
    /// is retried. A failure is the error of the next call.
    pub(crate) fn preallocate(&mut self, is_idle: bool) -> bool {
        if is_idle && self.tail.spares.ready() == 0 {
            self.tail.spares.retry_full_disk(false);
        }
        let is_behind = self.preallocation_debt(is_idle) > 0;
        is_behind
            && self.write(|tail| tail.spares.step(&*tail.files)).is_ok()
            && self.preallocation_debt(is_idle) > 0
    }

    /// Lets the next append retry after a full disk. At [`SpaceLevel::Critical`] it may exceed the bound by one
    /// segment: the compaction that frees the oldest segment comes after entries that were queued before.
    pub(crate) fn retry_full_disk(&mut self) {
        let may_exceed_bound = self.level() == SpaceLevel::Critical;
        self.tail.spares.retry_full_disk(may_exceed_bound);
    }

    /// How full the log is.
    ///
    /// # Errors
    ///
    /// The failure of the log.
    pub(crate) fn space(&self) -> Result<Space> {
        self.check()?;
        let bytes = self.segments().map(|segment| segment.bytes).sum();
        Ok(Space { bytes, is_bounded: self.tail.options.bytes_max.is_some(), level: self.level() })
    }

    /// The points where the log can be trimmed: the start of each segment but the first.
    pub(crate) fn trim_points(&self) -> Vec<TrimPoint> {
        let mut before = 0;
        let points = self.segments().map(|segment| {
            let point = TrimPoint { sequence: self.first_sequence(segment.number), bytes: before };
            before += segment.bytes;
            point
        });
        points.skip(1).collect()
    }

    /// A reader of the entries, for any thread.
    pub(crate) fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// The sequence of the next entry; 1 in a new log.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.tail.next_sequence
    }

    /// Trims the segments before this number, but not the newest segment.
    ///
    /// # Errors
    ///
    /// `DiskFull` if there is no space for the mark of the trim: nothing was trimmed. `LogFailed` if a write, sync, rename or
    /// removal failed.
    pub(crate) fn trim(&mut self, before: u64) -> Result<()> {
        let before = before.min(self.tail.active.number);
        if self.tail.segments.front().is_none_or(|oldest| oldest.number >= before) {
            return self.check();
        }
        let must_roll = !self.tail.has_space_for_mark(2);
        let can_roll = must_roll && self.write(|tail| tail.spares.make(&*tail.files, 1))?;
        if must_roll && !can_roll && !self.tail.has_space_for_mark(1) {
            return Err(self.disk_full());
        }
        self.write(|tail| {
            tail.oldest = tail.oldest.max(before);
            // Durable before the files are removed: without it, their loss would be damage.
            if can_roll { tail.roll() } else { tail.mark() }
        })?;
        // Before the files change: a concurrent read of a trimmed entry must find no segment.
        self.reader.remove_before(self.tail.oldest);
        self.write(Tail::free_segments)
    }

    /// The segments, oldest first; the last one is active.
    pub(crate) fn segments(&self) -> impl ExactSizeIterator<Item = Segment> + '_ {
        self.tail.segments.iter().copied()
    }

    /// The level of the free space, on the disk and within [`Options::bytes_max`].
    fn level(&self) -> SpaceLevel {
        let reserve_bytes = self.tail.options.reserve_bytes;
        let is_scarce = self.tail.spares.is_disk_full() && self.tail.free_bytes() <= reserve_bytes;
        let of_disk = if is_scarce { SpaceLevel::Full } else { SpaceLevel::Free };
        let segments_left =
            |left: u64| left.saturating_sub(reserve_bytes).div_ceil(self.tail.options.capacity());
        let of_bound = match self.tail.bytes_left().map(segments_left) {
            Some(0 | 1) => SpaceLevel::Critical,
            Some(2) => SpaceLevel::Full,
            Some(3) => SpaceLevel::Low,
            Some(_) | None => SpaceLevel::Free,
        };
        of_disk.max(of_bound)
    }

    /// The sequence of the first entry in a segment, or of the next entry if the segment is empty.
    fn first_sequence(&self, segment: u64) -> u64 {
        self.reader.first_sequence(segment).unwrap_or(self.tail.next_sequence)
    }

    /// Writes a last mark, so that any later damage is detected, and unlocks the directory.
    ///
    /// # Errors
    ///
    /// `LogFailed` or `DiskFull` if a write or sync failed, now or before.
    pub(crate) fn close(mut self) -> Result<()> {
        let is_needed = !self.tail.is_marked && self.tail.has_space_for_mark(1);
        let result = self.write(|tail| if is_needed { tail.mark() } else { Ok(()) });
        drop(self.lock);
        result
    }

    /// Runs a write; its first error is the error of every later call.
    fn write<T>(&mut self, write: impl FnOnce(&mut Tail) -> Result<T>) -> Result<T> {
        self.check()?;
        write(&mut self.tail).inspect_err(|error| {
            self.tail.meter.count_error();
            self.failed = Some(error.clone());
        })
    }

    fn check(&self) -> Result<()> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn disk_full(&self) -> Error {
        refusals::disk_full(&*self.tail.files, &std::io::ErrorKind::StorageFull.into())
    }
}
