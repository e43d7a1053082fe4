//! The write-ahead log: the trait `Log` that the engine appends to, and its implementation on a disk.

pub(crate) mod disk;
#[cfg(test)]
pub(crate) mod memory;
mod meter;
#[cfg(test)]
mod tests;

pub(crate) use disk::DiskLog;
pub use disk::{
    Damage, ENTRY_BYTES_MAX, Options, Position, Report, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, Salvage,
    Segment, dump, salvage, verify,
};

pub(crate) use meter::LogMeter;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::error::Result;

/// An ordered log of entries. Entries have consecutive sequences; batches become durable in the order of their appends.
///
/// The engine appends from one thread of its own, which an implementation may block. There is one writer: a directory is locked
/// for one process; a broker rejects the append of a fenced owner.
pub(crate) trait Log: Send + Sync {
    /// The limits of appends.
    fn limits(&self) -> Limits;

    /// Appends the entries of a batch, and returns the sequence of the last one once the batch is durable. Up to
    /// [`Limits::in_flight_max`] appends may be in flight; the order is that of the calls.
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
    /// `LogDamaged`, `LogFailed`; `ResourceExhausted` for a transient shortage.
    fn read(&self, sequence: u64) -> BoxFuture<'_, Result<Option<Vec<u8>>>>;

    /// Removes entries before this sequence: all of them if it is that of a [`TrimPoint`], otherwise as many as possible.
    ///
    /// # Errors
    ///
    /// `DiskFull` if there is no space to record the trim: nothing was removed. Any other error is final.
    fn trim(&self, before: u64) -> BoxFuture<'_, Result<()>>;

    /// How full the log is.
    ///
    /// # Errors
    ///
    /// The failure of the log, also outside of appends.
    fn space(&self) -> Result<Space>;

    /// What the log measures, if it does.
    fn meter(&self) -> Option<&LogMeter> {
        None
    }

    /// The points where the log can be trimmed, oldest first.
    fn trim_points(&self) -> Vec<TrimPoint>;

    /// Closes the log.
    ///
    /// # Errors
    ///
    /// The failure of the log, now or before.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}

/// The limits of appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Most bytes of an entry.
    pub(crate) entry_bytes_max: usize,
    /// Most appends in flight.
    pub(crate) in_flight_max: usize,
}

/// How full a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// Bytes that are stored.
    pub(crate) bytes: u64,
    /// Whether the log has a bound.
    pub(crate) is_bounded: bool,
    pub(crate) level: SpaceLevel,
}

/// What the free space is sufficient for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SpaceLevel {
    /// Everything.
    Free,
    /// Everything, but the oldest part should be compacted.
    Low,
    /// Outcomes of accepted jobs, but no new jobs.
    Full,
    /// Only what compaction writes.
    Critical,
}

/// A point where the log can be trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrimPoint {
    /// The sequence of the first entry that is not removed.
    pub(crate) sequence: u64,
    /// Bytes before it.
    pub(crate) bytes: u64,
}

/// The entries of one append, in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// The end of each entry in the buffer.
    ends: Vec<usize>,
}

impl Batch {
    /// An empty batch with capacity for this number of entries and bytes.
    pub(crate) fn with_capacity(entries: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(entries) }
    }

    /// Adds an entry, which `write` appends to the buffer.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all entries.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + DoubleEndedIterator {
        let start = |index: usize| if index == 0 { 0 } else { self.ends[index - 1] };
        (0..self.ends.len()).map(move |index| &self.bytes[start(index)..self.ends[index]])
    }
}
