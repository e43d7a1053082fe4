//! What a log measures for metrics. Reading it never waits for the disk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::metrics::{AtomicHistogram, Histogram, STORE_BUCKETS};

/// The durations of the operations of a log, and its size.
#[derive(Debug)]
pub(crate) struct LogMeter {
    append: AtomicHistogram,
    sync: AtomicHistogram,
    read: AtomicHistogram,
    compact: AtomicHistogram,
    errors: AtomicU64,
    bytes: AtomicU64,
    segments: AtomicU64,
}

impl Default for LogMeter {
    fn default() -> Self {
        Self {
            append: AtomicHistogram::new(STORE_BUCKETS),
            sync: AtomicHistogram::new(STORE_BUCKETS),
            read: AtomicHistogram::new(STORE_BUCKETS),
            compact: AtomicHistogram::new(STORE_BUCKETS),
            errors: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            segments: AtomicU64::new(0),
        }
    }
}

impl LogMeter {
    /// Measures a write to the disk.
    pub(crate) fn append<T>(&self, write: impl FnOnce() -> T) -> T {
        measure(&self.append, write)
    }

    /// Measures a sync.
    pub(crate) fn sync<T>(&self, sync: impl FnOnce() -> T) -> T {
        measure(&self.sync, sync)
    }

    /// Measures a read of an entry.
    pub(crate) fn read<T>(&self, read: impl FnOnce() -> T) -> T {
        measure(&self.read, read)
    }

    /// Counts a compaction that took this long.
    pub(crate) fn compacted(&self, duration: Duration) {
        self.compact.record(duration);
    }

    /// Counts a failure.
    pub(crate) fn count_error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the bytes and the number of the segments.
    pub(crate) fn set_size(&self, bytes: u64, segments: usize) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.segments.store(segments as u64, Ordering::Relaxed);
    }

    /// The durations by operation.
    pub(crate) fn durations(&self) -> [(&'static str, Histogram); 4] {
        [
            ("append", self.append.read()),
            ("sync", self.sync.read()),
            ("read", self.read.read()),
            ("compact", self.compact.read()),
        ]
    }

    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn segments(&self) -> u64 {
        self.segments.load(Ordering::Relaxed)
    }
}

fn measure<T>(histogram: &AtomicHistogram, call: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let value = call();
    histogram.record(began.elapsed());
    value
}
