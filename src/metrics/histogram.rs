//! Histograms of durations and sizes: as a value, of sizes in one thread, and of durations in several.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::job::BUCKET_BOUNDS_MS;

/// The upper bounds of the buckets, in seconds or bytes, ascending. Larger values are in one more bucket.
pub(crate) type Buckets = &'static [f64];

/// Buckets of jobs: those of their statistics, from 1 ms to 1 h.
pub(crate) const JOB_BUCKETS: Buckets = &{
    let mut seconds = [0.0; BUCKET_BOUNDS_MS.len()];
    let mut index = 0;
    while index < seconds.len() {
        seconds[index] = BUCKET_BOUNDS_MS[index] as f64 / 1_000.0;
        index += 1;
    }
    seconds
};
/// Buckets of payloads: powers of 4, from 64 B to 4 MiB.
pub(crate) const BYTES_BUCKETS: Buckets =
    &[64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0];
/// Buckets of RPCs: from 0.1 ms to 1 min.
pub(crate) const CALL_BUCKETS: Buckets =
    &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 60.0];
/// Buckets of the operations of a log: from 0.1 ms to 10 min.
pub(crate) const STORE_BUCKETS: Buckets =
    &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];

/// Counts of values by bucket, and their sum.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Histogram {
    buckets: Buckets,
    /// One count for each bucket, and one for larger values.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    /// An empty histogram.
    pub(crate) fn new(buckets: Buckets) -> Self {
        Self { buckets, counts: vec![0; buckets.len() + 1], sum: 0.0 }
    }

    /// Counts of durations that were made elsewhere: one for each bucket, and one for larger values.
    pub(crate) fn of(buckets: Buckets, counts: &[u64], sum: Duration) -> Self {
        debug_assert_eq!(counts.len(), buckets.len() + 1);
        Self { buckets, counts: counts.to_vec(), sum: sum.as_secs_f64() }
    }

    /// Adds the counts of a histogram with the same buckets.
    pub(crate) fn add_all(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }

    /// The bounds of its buckets.
    pub(crate) fn buckets(&self) -> Buckets {
        self.buckets
    }

    /// The counts of its buckets, and that of larger values.
    #[cfg(feature = "otel")]
    pub(crate) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Each bound, the last one infinite, with the number of values up to it.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let bounds = self.buckets.iter().copied().chain([f64::INFINITY]);
        bounds.zip(&self.counts).scan(0, |sum, (bound, count)| {
            *sum += count;
            Some((bound, *sum))
        })
    }

    /// The number of values.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of the values.
    pub(crate) fn sum(&self) -> f64 {
        self.sum
    }
}

/// A histogram of sizes, with [`BYTES_BUCKETS`]. Each job is counted in it, so it needs few instructions.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SizeHistogram {
    counts: [u64; BYTES_BUCKETS.len() + 1],
    sum: u64,
}

impl SizeHistogram {
    /// Counts a number of bytes.
    pub(crate) fn record(&mut self, bytes: usize) {
        // The first bound is 4 to the power of 3, and each next one four times as large.
        let above_first = (bytes.saturating_sub(1) | 1 << 4).ilog2() - 4;
        let index = (above_first / 2) as usize;
        self.counts[index.min(BYTES_BUCKETS.len())] += 1;
        self.sum += bytes as u64;
    }

    /// The counts of now.
    pub(crate) fn read(&self) -> Histogram {
        Histogram { buckets: BYTES_BUCKETS, counts: self.counts.to_vec(), sum: self.sum as f64 }
    }
}

/// A histogram of durations that several threads count in.
#[derive(Debug)]
pub(crate) struct AtomicHistogram {
    buckets: Buckets,
    counts: Box<[AtomicU64]>,
    sum_micros: AtomicU64,
}

impl AtomicHistogram {
    pub(crate) fn new(buckets: Buckets) -> Self {
        let counts = (0..=buckets.len()).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, counts, sum_micros: AtomicU64::new(0) }
    }

    /// Counts a duration.
    pub(crate) fn record(&self, duration: Duration) {
        self.counts[index(self.buckets, duration.as_secs_f64())].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(duration.as_micros() as u64, Ordering::Relaxed);
    }

    /// The counts of now. A duration that is recorded meanwhile may be in a part of them.
    pub(crate) fn read(&self) -> Histogram {
        Histogram {
            buckets: self.buckets,
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: Duration::from_micros(self.sum_micros.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }
}

/// The index of the bucket that counts this value.
fn index(buckets: Buckets, value: f64) -> usize {
    // Most values are in one of the first buckets.
    buckets.iter().position(|bound| value <= *bound).unwrap_or(buckets.len())
}
