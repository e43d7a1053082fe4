//! A log on disk: entries are appended in batches, are durable when `append` returns, and are read again in their order.
//!
//! It knows nothing of what an entry means. Calls block: it belongs to one thread that may wait for a disk. Its files,
//! what it promises after a crash and what it refuses are described in `docs/storage.md`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use inspect::{Report, Salvage, dump, salvage, verify};
pub(crate) use reader::Reader;
pub(crate) use recovery::Recovery;

use super::{Cut, Space, SpaceLevel};
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
    /// Most files of trimmed segments that are kept for reuse: 2.
    pub spares_max: usize,
    /// Bytes that are reserved for the outcomes of accepted jobs on a full disk: 16 MiB. A full disk is noticed while at least
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

    /// Bytes of entries below which a log with a bound stays at [`SpaceLevel::Free`].
    pub fn entries_bytes_max(&self) -> Option<u64> {
        let free_bytes = LOW_SEGMENTS * self.segment_bytes + self.reserve_bytes;
        Some(self.bytes_max?.saturating_sub(free_bytes))
    }

    fn check(&self) -> Result<()> {
        let bytes = self.segment_bytes;
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) || !bytes.is_multiple_of(4096) {
            let description = format!(
                "is {bytes}, must be a multiple of 4096 from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}"
            );
            return Err(Error::invalid("segment_bytes", description));
        }
        let bytes_min = SEGMENTS_MIN * bytes + self.reserve_bytes;
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

/// Called with the position, the sequence and the bytes of each complete entry.
type EachEntry<'a> = dyn FnMut(Position, u64, &[u8]) -> Result<()> + 'a;

/// Where an entry is; stays valid until its segment is trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// Where its frame begins, in bytes from the beginning of the file.
    pub offset: u64,
    /// Bytes of the entry.
    pub length: u32,
}

impl Position {
    /// The file it is in, of the log in this directory.
    pub fn file(&self, directory: &Path) -> PathBuf {
        directory.join(segment_name(self.segment))
    }
}

/// A segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its number; each has the one after that of the segment before.
    pub number: u64,
    /// Bytes of its file.
    pub bytes: u64,
}

/// Acknowledged entries that are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file; it may be one that is missing.
    pub file: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// How many entries are certain to be lost; there may be more behind the last one that is left.
    pub entries_lost: u64,
    /// What is wrong.
    pub message: String,
}

/// A log that this process writes.
///
/// The first write or sync that fails is the last: every later call that writes answers with the same error, and nothing
/// is tried again. Dropped without [`close`](Self::close), it is as after a crash: complete, and checked less well.
pub(crate) struct DiskLog {
    tail: Tail,
    reader: Reader,
    failed: Option<Error>,
    /// Released when the log is dropped.
    lock: Box<dyn Send>,
}

impl DiskLog {
    /// Opens the log of a directory, or makes one, and hands every entry to `entry`, in order, with where it is and its
    /// sequence.
    ///
    /// Every acknowledged entry is read. Of a batch that was not acknowledged, some first entries may be read; the rest is
    /// removed. All of it is durable when this returns, not before: no effect of an entry may leave the process until then.
    ///
    /// # Errors
    ///
    /// `LogDamaged` if something acknowledged is missing; `LogRefused` if the directory is in use, read-only, foreign or
    /// of a newer format; `DiskFull` if there is no space for a new log; `LogFailed` if a file cannot be read or written;
    /// `InvalidField` for options out of range; the errors of `entry`.
    pub(crate) fn open(
        directory: &Path,
        options: &Options,
        mut entry: impl FnMut(Position, u64, &[u8]) -> Result<()>,
    ) -> Result<(Self, Recovery)> {
        options.check()?;
        let no_directory = |error| refusals::no_directory(directory, &error);
        let files = Directory::make(directory).map_err(no_directory)?;
        if let Some(mode) = files.mode_for_others().map_err(no_directory)? {
            refusals::warn_of_others(directory, mode);
        }
        recovery::open(Arc::new(RetryingFiles::new(files)), options, rand::random(), &mut entry)
    }

    /// Appends entries, syncs, and returns the position of each.
    ///
    /// One write and one sync, but where a batch goes on in another segment. A crash keeps some first entries of a batch
    /// that was not acknowledged, or none.
    ///
    /// # Errors
    ///
    /// `PayloadTooLarge` if an entry is larger than [`Options::entry_bytes_max`], and `DiskFull` if there is no segment
    /// for the batch: nothing was written, and the log goes on. `LogFailed` or `DiskFull` if a write or sync failed:
    /// the batch is not acknowledged, nor is any other one.
    pub(crate) fn append<E: AsRef<[u8]>>(&mut self, entries: &[E]) -> Result<Vec<Position>> {
        let positions = self.append_alone(entries)?;
        if !entries.is_empty() {
            while self.preallocate_step() {}
        }
        Ok(positions)
    }

    /// [`DiskLog::append`] without preallocation, for a caller that acknowledges in between.
    pub(crate) fn append_alone<E: AsRef<[u8]>>(&mut self, entries: &[E]) -> Result<Vec<Position>> {
        let limit = self.tail.options.entry_bytes_max();
        if let Some(size) = entries.iter().map(|entry| entry.as_ref().len()).find(|&size| size > limit) {
            let message =
                format!("an entry of the log has {size} bytes, limit is {limit}: store it elsewhere");
            let kind = ErrorKind::PayloadTooLarge { field: "entry".to_owned(), size, limit };
            return Err(Error::new(kind, message));
        }
        if entries.is_empty() {
            return self.failed.clone().map_or(Ok(Vec::new()), Err);
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

    /// By how many bytes preallocation is behind its goal; 0 while it cannot go on.
    pub(crate) fn preallocation_debt(&self) -> u64 {
        if self.failed.is_some() { 0 } else { self.tail.preallocation_debt() }
    }

    /// Whether preallocation is behind its goal.
    pub(crate) fn has_to_preallocate(&self) -> bool {
        self.preallocation_debt() > 0
    }

    /// Preallocates a part of the next segment, 1 MiB. Answers whether preallocation is still behind its goal. A failure is
    /// the answer of the next call.
    pub(crate) fn preallocate_step(&mut self) -> bool {
        if !self.has_to_preallocate() {
            return false;
        }
        self.write(|tail| tail.spares.step(&*tail.files)).is_ok() && self.has_to_preallocate()
    }

    /// Has the next append look for space on a disk that was full.
    pub(crate) fn retry_full_disk(&mut self) {
        self.tail.spares.retry_full_disk();
    }

    /// How full it is.
    ///
    /// # Errors
    ///
    /// What it failed with.
    pub(crate) fn space(&self) -> Result<Space> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let bytes = self.segments().map(|segment| segment.bytes).sum();
        Ok(Space { bytes, is_bounded: self.options().bytes_max.is_some(), level: self.level() })
    }

    /// Where it can be trimmed: at the beginning of each segment but the first.
    pub(crate) fn cuts(&self) -> Vec<Cut> {
        let mut before = 0;
        let cuts = self.segments().map(|segment| {
            let cut = Cut { sequence: self.first_sequence(segment.number), bytes: before };
            before += segment.bytes;
            cut
        });
        cuts.skip(1).collect()
    }

    /// Its options.
    pub(crate) fn options(&self) -> &Options {
        &self.tail.options
    }

    /// A reader of its entries, for any thread.
    pub(crate) fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// The sequence of the entry that is appended next; 1 in a new log.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.tail.next_sequence
    }

    /// Trims the segments before this number; the newest segment always stays.
    ///
    /// # Errors
    ///
    /// `DiskFull` if there is no space for the mark of the trim: the segments stay. `LogFailed` if a write, sync, rename or
    /// removal failed.
    pub(crate) fn trim(&mut self, before: u64) -> Result<()> {
        let before = before.min(self.tail.active.number);
        if self.tail.held.front().is_none_or(|held| held.number >= before) {
            return self.failed.clone().map_or(Ok(()), Err);
        }
        let must_roll = !self.tail.has_space_for_mark(2);
        let can_roll = must_roll && self.write(|tail| tail.spares.make(&*tail.files, 1))?;
        if must_roll && !can_roll && !self.tail.has_space_for_mark(1) {
            return Err(self.disk_full());
        }
        self.write(|tail| {
            tail.oldest = tail.oldest.max(before);
            // On disk before they go: else their loss would be damage.
            if can_roll { tail.roll() } else { tail.mark() }
        })?;
        // Before the files change: a concurrent read of a trimmed entry must find that it is gone.
        self.reader.forget_before(self.tail.oldest);
        self.write(Tail::free_segments)
    }

    /// The segments, oldest first; the last one is written.
    pub(crate) fn segments(&self) -> impl ExactSizeIterator<Item = Segment> + '_ {
        self.tail.held.iter().map(|held| Segment { number: held.number, bytes: held.bytes })
    }

    /// Most bytes of an entry, see [`Options::entry_bytes_max`].
    pub(crate) fn entry_bytes_max(&self) -> usize {
        self.tail.options.entry_bytes_max()
    }

    /// Bytes of entries, with 40 to 47 for each, that fit into allocated files.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.tail.free_bytes()
    }

    /// What the free space of the disk, and within [`Options::bytes_max`], is enough for.
    fn level(&self) -> SpaceLevel {
        let reserve_bytes = self.tail.options.reserve_bytes;
        let is_scarce = self.tail.spares.is_disk_full() && self.free_bytes() <= reserve_bytes;
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

    /// Allows one more segment than the bound, until the next one is freed: for entries that were queued before the bound was
    /// reached.
    pub(crate) fn exceed_bound_once(&mut self) {
        self.tail.spares.exceed_bound_once();
    }

    /// The sequence of the first entry in a segment, or of the next one if there is none yet.
    pub(crate) fn first_sequence(&self, segment: u64) -> u64 {
        self.reader.first_sequence(segment).unwrap_or(self.tail.next_sequence)
    }

    /// Preallocates 1 MiB of the next segment while there is nothing to append; returns whether another part is left. Without it,
    /// `append` does the same in time. Tries a disk that was full again.
    ///
    /// # Errors
    ///
    /// `LogFailed` if a write or sync failed, as in `append`. A full disk is not an error.
    pub(crate) fn prepare(&mut self) -> Result<bool> {
        if self.tail.spares.ready() > 0 {
            return self.failed.clone().map_or(Ok(false), Err);
        }
        self.write(|tail| {
            tail.spares.retry_full_disk();
            tail.spares.step(&*tail.files)?;
            Ok(tail.spares.ready() == 0 && !tail.spares.is_disk_full())
        })
    }

    /// Writes a last mark, so that any later damage is noticed, and unlocks the directory.
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
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        write(&mut self.tail).inspect_err(|error| self.failed = Some(error.clone()))
    }

    fn disk_full(&self) -> Error {
        refusals::disk_full(&*self.tail.files, &std::io::ErrorKind::StorageFull.into())
    }
}

impl std::fmt::Debug for DiskLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskLog")
            .field("directory", &self.tail.files.directory())
            .field("next_sequence", &self.tail.next_sequence)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
