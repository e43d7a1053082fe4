//! Counts of jobs over time, and histograms of how long they wait and run.

use std::sync::Arc;
use std::time::Duration;

use super::{FailureReason, JobState, Kind, QueueName, Timestamp};

/// The upper bounds of the buckets of a [`DurationHistogram`], in milliseconds: 1 ms to 1 h. One more bucket has no bound.
pub const BUCKET_BOUNDS_MS: [u64; 18] = [
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000,
    3_600_000,
];

/// The number of buckets of a [`DurationHistogram`].
pub(crate) const BUCKETS: usize = BUCKET_BOUNDS_MS.len() + 1;

/// The bucket of a duration.
pub(crate) fn bucket_of(duration: Duration) -> usize {
    let micros = duration.as_micros() as u64;
    BUCKET_BOUNDS_MS.iter().position(|bound| micros <= bound * 1_000).unwrap_or(BUCKET_BOUNDS_MS.len())
}

/// Numbers of durations by length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DurationHistogram {
    counts: [u64; BUCKETS],
    sum_micros: u64,
}

impl DurationHistogram {
    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all durations.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_micros)
    }

    /// The number of durations in each bucket, in the order of [`BUCKET_BOUNDS_MS`]; the last one has no bound.
    pub fn buckets(&self) -> &[u64] {
        &self.counts
    }

    /// An estimate of the quantile, from 0 to 1, by linear interpolation within its bucket. In the bucket without a bound
    /// it is the largest bound. `None` without durations.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = quantile.clamp(0.0, 1.0) * count as f64;
        let mut before = 0.0;
        for (index, in_bucket) in self.counts.iter().enumerate() {
            let in_bucket = *in_bucket as f64;
            if in_bucket > 0.0 && before + in_bucket >= rank {
                let lower = index.checked_sub(1).map_or(0, |index| BUCKET_BOUNDS_MS[index]) as f64;
                let upper = BUCKET_BOUNDS_MS.get(index).map_or(lower, |bound| *bound as f64);
                let millis = lower + (upper - lower) * ((rank - before) / in_bucket).max(0.0);
                return Some(Duration::from_micros((millis * 1_000.0) as u64));
            }
            before += in_bucket;
        }
        None
    }

    pub(crate) fn add(&mut self, duration: Duration) {
        self.counts[bucket_of(duration)] += 1;
        self.sum_micros = self.sum_micros.saturating_add(duration.as_micros() as u64);
    }

    /// Adds durations of which only the buckets are known.
    pub(crate) fn add_buckets(&mut self, buckets: &[u32; BUCKETS]) {
        self.counts.iter_mut().zip(buckets).for_each(|(count, more)| *count += u64::from(*more));
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum_micros = self.sum_micros.saturating_add(other.sum_micros);
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptClass {
    Succeeded,
    Failed(FailureReason),
    Cancelled,
    /// Its worker released it, and it does not count.
    Released,
}

/// The counts of one pair of queue and kind since the server started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesTotals {
    /// The queue.
    pub queue: Arc<str>,
    /// The kind.
    pub kind: Arc<str>,
    /// Jobs that were accepted.
    pub submitted: u64,
    /// Submits that were answered with an existing job.
    pub deduplicated: u64,
    /// Attempts that began.
    pub started: u64,
    /// Attempts that were released.
    pub released: u64,
    /// Failed attempts, in the order of [`FailureReason::ALL`].
    failed_attempts: [u64; FailureReason::ALL.len()],
    /// How long jobs waited before each attempt.
    pub wait: DurationHistogram,
    /// How long attempts ran, by [`SeriesTotals::OUTCOMES`].
    pub run: [DurationHistogram; 3],
    /// The time from when jobs could have started to their end, by [`SeriesTotals::OUTCOMES`].
    pub end_to_end: [DurationHistogram; 3],
}

impl SeriesTotals {
    /// The final states, in the order of the histograms.
    pub const OUTCOMES: [JobState; 3] = [JobState::Succeeded, JobState::Failed, JobState::Cancelled];

    pub(crate) fn new(queue: Arc<str>, kind: Arc<str>) -> Self {
        Self {
            queue,
            kind,
            submitted: 0,
            deduplicated: 0,
            started: 0,
            released: 0,
            failed_attempts: Default::default(),
            wait: DurationHistogram::default(),
            run: Default::default(),
            end_to_end: Default::default(),
        }
    }

    /// Attempts that failed for this reason.
    pub fn failed_attempts(&self, reason: FailureReason) -> u64 {
        self.failed_attempts[reason as usize]
    }

    /// Jobs that ended in this state.
    pub fn ended_jobs(&self, state: JobState) -> u64 {
        self.end_to_end[outcome(state)].count()
    }

    pub(crate) fn attempt_ended(&mut self, class: AttemptClass, run: Duration) {
        let state = match class {
            AttemptClass::Succeeded => JobState::Succeeded,
            AttemptClass::Failed(reason) => {
                self.failed_attempts[reason as usize] += 1;
                JobState::Failed
            }
            AttemptClass::Cancelled => JobState::Cancelled,
            AttemptClass::Released => {
                self.released += 1;
                return;
            }
        };
        self.run[outcome(state)].add(run);
    }

    pub(crate) fn ended(&mut self, state: JobState, time: Duration) {
        self.end_to_end[outcome(state)].add(time);
    }
}

/// The index of a final state in [`SeriesTotals::OUTCOMES`].
fn outcome(state: JobState) -> usize {
    match state {
        JobState::Succeeded => 0,
        JobState::Failed => 1,
        _ => 2,
    }
}

/// A span of time that ends now, divided into steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatsWindow {
    step: Duration,
    steps: u32,
    /// Whether the steps are multiples of the fine step only.
    is_fine: bool,
}

impl StatsWindow {
    /// The longest window.
    pub const RANGE_MAX: Duration = Duration::from_secs(24 * 3_600);
    /// The longest window with steps of [`StatsWindow::FINE_STEP`].
    pub const FINE_RANGE_MAX: Duration = Duration::from_secs(30 * 60);
    /// The shortest step. The steps of a window of at most [`StatsWindow::FINE_RANGE_MAX`] are multiples of it.
    pub const FINE_STEP: Duration = Duration::from_secs(10);
    /// The steps of a longer window are multiples of this.
    pub const COARSE_STEP: Duration = Duration::from_secs(300);

    /// The shortest step of a window of this length.
    fn step_min(range: Duration) -> Duration {
        match range <= Self::FINE_RANGE_MAX {
            true => Self::FINE_STEP,
            false => Self::COARSE_STEP,
        }
    }

    /// A window of this length, rounded up to whole steps, and at most [`StatsWindow::RANGE_MAX`]. The step is rounded up to a
    /// multiple of the shortest step of such a window, and is at most the length.
    pub fn new(range: Duration, step: Duration) -> Self {
        let range = range.clamp(Self::FINE_STEP, Self::RANGE_MAX);
        let unit = Self::step_min(range);
        let units = |time: Duration| time.as_nanos().div_ceil(unit.as_nanos()).max(1) as u32;
        let step = unit * units(step.min(range));
        let steps = range.as_nanos().div_ceil(step.as_nanos()) as u32;
        Self { step, steps, is_fine: range <= Self::FINE_RANGE_MAX }
    }

    /// The length of a step.
    pub fn step(&self) -> Duration {
        self.step
    }

    /// The number of steps: at most 288.
    pub fn steps(&self) -> usize {
        self.steps as usize
    }

    /// Whether its steps need not be multiples of [`StatsWindow::COARSE_STEP`].
    pub(crate) fn is_fine(&self) -> bool {
        self.is_fine
    }
}

/// The jobs and the time of a query for statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsFilter {
    /// The time.
    pub window: StatsWindow,
    /// Only jobs in this queue.
    pub queue: Option<QueueName>,
    /// Only jobs of this kind.
    pub kind: Option<Kind>,
}

/// Counts of one step of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatsPoint {
    /// When the step began.
    pub start_time: Timestamp,
    /// Jobs that were accepted.
    pub submitted: u64,
    /// Attempts that began.
    pub started: u64,
    /// Jobs that ended with a result.
    pub succeeded: u64,
    /// Jobs that ended with a failure.
    pub failed: u64,
    /// Jobs that were cancelled.
    pub cancelled: u64,
    /// Attempts that failed, those that were retried included.
    pub failed_attempts: u64,
    /// Jobs that waited at the end of the step.
    pub waiting: u64,
    /// Jobs that ran at the end of the step.
    pub running: u64,
    /// How long jobs waited for the attempts that began. The sum is not known.
    pub wait: DurationHistogram,
    /// How long the attempts that ended had run. The sum is not known.
    pub run: DurationHistogram,
}

impl StatsPoint {
    /// Adds the counts of a later step.
    pub fn add_later(&mut self, later: &Self) {
        self.submitted += later.submitted;
        self.started += later.started;
        self.succeeded += later.succeeded;
        self.failed += later.failed;
        self.cancelled += later.cancelled;
        self.failed_attempts += later.failed_attempts;
        (self.waiting, self.running) = (later.waiting, later.running);
        self.wait.add_all(&later.wait);
        self.run.add_all(&later.run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        assert_eq!(bucket_of(Duration::ZERO), 0);
        assert_eq!(bucket_of(Duration::from_millis(1)), 0);
        assert_eq!(bucket_of(Duration::from_micros(1_001)), 1);
        assert_eq!(bucket_of(Duration::from_secs(3_600)), BUCKETS - 2);
        assert_eq!(bucket_of(Duration::from_secs(3_601)), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_interpolated_within_their_bucket() {
        let mut histogram = DurationHistogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        (0..10).for_each(|_| histogram.add(Duration::from_millis(7)));
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_micros(7_500)), "half of 5 to 10 ms");
        (0..10).for_each(|_| histogram.add(Duration::from_secs(7_200)));
        assert_eq!(histogram.quantile(0.25), Some(Duration::from_micros(7_500)));
        assert_eq!(histogram.quantile(0.99), Some(Duration::from_secs(3_600)), "the largest bound");
        assert_eq!((histogram.count(), histogram.sum()), (20, Duration::from_millis(72_000_070)));
    }
}
