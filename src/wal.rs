//! The write-ahead log: the trait [`Log`] that the engine appends to, and its implementation on a disk.

pub(crate) mod disk;
#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod tests;

pub(crate) use disk::DiskLog;
pub use disk::{
    Damage, ENTRY_BYTES_MAX, Options, Position, Report, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, Salvage,
    Segment, dump, salvage, verify,
};

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::error::Result;

/// An ordered log of entries. Entries have consecutive sequences; batches become durable in the order of their appends.
///
/// The engine appends from one thread of its own, which an implementation may block. Who may write is decided when the log is
/// opened: a disk is locked for one process; on a broker the append of a stale owner fails.
pub(crate) trait Log: Send + Sync {
    /// The bounds of appends.
    fn limits(&self) -> Limits;

    /// Appends the entries of a batch behind all that were appended before, and answers the sequence of the last one once the
    /// batch is durable. Up to [`Limits::in_flight_max`] appends may be under way; the order is that of the calls.
    ///
    /// # Errors
    ///
    /// `DiskFull` if there is no space: nothing was written, and the same batch may be appended again. Any other error is
    /// final: nothing is appended after it.
    fn append(&self, batch: Arc<Batch>) -> BoxFuture<'_, Result<u64>>;

    /// The entry with this sequence; `None` if it was trimmed.
    ///
    /// # Errors
    ///
    /// `LogDamaged`, `LogFailed`; `ResourceExhausted` for a shortage that passes.
    fn read(&self, sequence: u64) -> BoxFuture<'_, Result<Option<Vec<u8>>>>;

    /// Removes entries before this sequence, as many as the log can remove at once: those before a [`Cut`] are all removed.
    ///
    /// # Errors
    ///
    /// `DiskFull` if there is no space for the removal, which is harmless; any other error is final.
    fn trim(&self, before: u64) -> BoxFuture<'_, Result<()>>;

    /// How full the log is.
    ///
    /// # Errors
    ///
    /// What the log failed with, also beside the appends.
    fn space(&self) -> Result<Space>;

    /// Where the log can be trimmed, nearest to its beginning first.
    fn cuts(&self) -> Vec<Cut>;

    /// Ends the log in good order.
    ///
    /// # Errors
    ///
    /// What the log failed with, now or before.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}

/// The bounds of appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Most bytes of an entry.
    pub(crate) entry_bytes_max: usize,
    /// Most appends under way.
    pub(crate) in_flight_max: usize,
}

/// How full a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// Bytes of everything that is stored.
    pub(crate) bytes: u64,
    /// Whether the log has a bound of its own.
    pub(crate) is_bounded: bool,
    pub(crate) level: SpaceLevel,
}

/// What the free space is enough for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SpaceLevel {
    /// Everything.
    Free,
    /// Everything, but compaction should free the oldest part.
    Low,
    /// The ends of accepted jobs; no new jobs.
    Full,
    /// Only what compaction writes.
    Critical,
}

/// A place where the log can be trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The first entry that stays.
    pub(crate) sequence: u64,
    /// Bytes that are freed.
    pub(crate) bytes: u64,
}

/// Entries of one append, one behind the other in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Where each entry ends.
    ends: Vec<usize>,
}

/// Largest buffer that [`Batch::clear`] keeps, in bytes.
const BUFFER_BYTES_MAX: usize = 1 << 20;

impl Batch {
    /// Adds an entry: what `write` appends to the buffer.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Removes the last entry.
    pub(crate) fn pop(&mut self) {
        self.ends.pop();
        self.bytes.truncate(self.ends.last().copied().unwrap_or_default());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all entries.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + DoubleEndedIterator {
        self.after(0)
    }

    /// The entries behind the first `count`.
    pub(crate) fn after(&self, count: usize) -> impl ExactSizeIterator<Item = &[u8]> + DoubleEndedIterator {
        let begin = |index: usize| if index == 0 { 0 } else { self.ends[index - 1] };
        (count..self.ends.len()).map(move |index| &self.bytes[begin(index)..self.ends[index]])
    }

    /// Removes all entries, and keeps a buffer for the next ones.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(BUFFER_BYTES_MAX);
        self.ends.clear();
        self.ends.shrink_to(BUFFER_BYTES_MAX / 64);
    }
}
