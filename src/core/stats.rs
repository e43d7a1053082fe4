//! Counts of jobs by queue and kind: totals since the start, and the last 24 hours. Sizes of payloads.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::timeline::{FINE_SECONDS, TIMELINE_BYTES_MAX, Timeline};
use crate::clock::Now;
use crate::job::{
    AttemptClass, JobState, SeriesTotals, StateCounts, StatsPoint, StatsWindow, Timestamp, bucket_of,
};
use crate::metrics::{NAMES_MAX, OTHER, SizeHistogram};

/// Most pairs of queue and kind that are counted apart. Later pairs are counted as [`OTHER`].
pub(crate) const SERIES_MAX: usize = NAMES_MAX;

/// The number of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SeriesKey(u16);

impl SeriesKey {
    pub(super) fn index(self) -> usize {
        self.0.into()
    }
}

/// The counts of one pair of queue and kind.
struct Series {
    totals: SeriesTotals,
    /// Its jobs by state.
    counts: StateCounts,
    timeline: Timeline,
}

impl Series {
    fn new(queue: &Arc<str>, kind: &Arc<str>) -> Self {
        let totals = SeriesTotals::new(queue.clone(), kind.clone());
        Self { totals, counts: StateCounts::default(), timeline: Timeline::default() }
    }

    fn waiting(&self) -> u32 {
        self.counts.get(JobState::Scheduled) + self.counts.get(JobState::Queued)
    }

    fn running(&self) -> u32 {
        self.counts.get(JobState::Running)
    }
}

/// The sizes of payloads, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PayloadSizes {
    /// Inputs of accepted jobs.
    pub(crate) input: SizeHistogram,
    /// Results of jobs.
    pub(crate) result: SizeHistogram,
    /// Output, log lines, and texts of progress.
    pub(crate) event: SizeHistogram,
}

/// All series.
#[derive(Default)]
pub(super) struct Stats {
    pub(super) payloads: PayloadSizes,
    series: Vec<Series>,
    by_queue: HashMap<Arc<str>, HashMap<Arc<str>, SeriesKey>>,
    /// The number of the current bucket of all timelines.
    current: u64,
}

impl Stats {
    /// The series of a pair of queue and kind, created if there is none.
    pub(super) fn key(&mut self, queue: &Arc<str>, kind: &Arc<str>) -> SeriesKey {
        if let Some(key) = self.by_queue.get(queue).and_then(|kinds| kinds.get(kind)) {
            return *key;
        }
        let is_other = self.series.len() >= SERIES_MAX;
        if self.series.len() <= SERIES_MAX {
            match is_other {
                true => self.series.push(Series::new(&OTHER.into(), &OTHER.into())),
                false => self.series.push(Series::new(queue, kind)),
            }
        }
        let key = SeriesKey(self.series.len() as u16 - 1);
        if !is_other {
            self.by_queue.entry(queue.clone()).or_default().insert(kind.clone(), key);
        }
        key
    }

    /// Whether the series is the one of all pairs beyond the limit.
    pub(super) fn is_other(key: SeriesKey) -> bool {
        key.index() == SERIES_MAX
    }

    fn of(&mut self, key: SeriesKey) -> &mut Series {
        &mut self.series[key.index()]
    }

    /// Begins the bucket of this time, if it is later than the current one.
    fn advance(&mut self, now: Now) {
        let number = bucket_number(now);
        if number <= self.current {
            return;
        }
        for series in &mut self.series {
            let (waiting, running) = (series.waiting(), series.running());
            series.timeline.end_bucket(self.current, waiting, running);
        }
        self.current = number;
    }

    /// These jobs exist: they were accepted before the start.
    pub(super) fn add(&mut self, now: Now, key: SeriesKey, jobs: &StateCounts) {
        self.advance(now);
        let current = self.current;
        let series = self.of(key);
        series.counts.add_all(jobs);
        // A bucket has the jobs that wait and run until the next change.
        series.timeline.bucket(current);
    }

    /// A job in this state was removed.
    pub(super) fn remove(&mut self, now: Now, key: SeriesKey, state: JobState) {
        self.advance(now);
        self.of(key).counts.remove(state);
    }

    /// A job was accepted in this state.
    pub(super) fn submitted(&mut self, now: Now, key: SeriesKey, state: JobState) {
        self.advance(now);
        let current = self.current;
        let series = self.of(key);
        series.counts.add(state);
        series.totals.submitted += 1;
        series.timeline.bucket(current).submitted += 1;
    }

    /// A submit was answered with an existing job.
    pub(super) fn deduplicated(&mut self, key: SeriesKey) {
        self.of(key).totals.deduplicated += 1;
    }

    /// A job changed its state.
    pub(super) fn moved(&mut self, now: Now, key: SeriesKey, from: JobState, to: JobState) {
        self.advance(now);
        let series = self.of(key);
        series.counts.remove(from);
        series.counts.add(to);
    }

    /// An attempt began after the job had waited this long.
    pub(super) fn started(&mut self, key: SeriesKey, wait: Duration) {
        let current = self.current;
        let series = self.of(key);
        series.totals.started += 1;
        series.totals.wait.add(wait);
        let bucket = series.timeline.bucket(current);
        bucket.started += 1;
        bucket.wait[bucket_of(wait)] += 1;
    }

    /// An attempt ended after it had run this long.
    pub(super) fn attempt_ended(&mut self, key: SeriesKey, class: AttemptClass, run: Duration) {
        let current = self.current;
        let series = self.of(key);
        series.totals.attempt_ended(class, run);
        let bucket = series.timeline.bucket(current);
        bucket.failed_attempts += u32::from(matches!(class, AttemptClass::Failed(_)));
        bucket.run[bucket_of(run)] += 1;
    }

    /// A job ended in this state, this long after it could have started.
    pub(super) fn ended(&mut self, key: SeriesKey, state: JobState, time: Duration) {
        let current = self.current;
        let series = self.of(key);
        series.totals.ended(state, time);
        let bucket = series.timeline.bucket(current);
        match state {
            JobState::Succeeded => bucket.succeeded += 1,
            JobState::Failed => bucket.failed += 1,
            _ => bucket.cancelled += 1,
        }
    }

    /// The totals of up to `limit` series from this number on.
    pub(super) fn totals(&self, from: usize, limit: usize) -> Vec<SeriesTotals> {
        self.series.iter().skip(from).take(limit).map(|series| series.totals.clone()).collect()
    }

    /// Empty points of a window that ends now.
    pub(super) fn points(&self, now: Now, window: &StatsWindow) -> Vec<StatsPoint> {
        let step = window.step().as_secs();
        let unit = if window.is_fine() { FINE_SECONDS } else { StatsWindow::COARSE_STEP.as_secs() };
        // Steps begin and end with buckets. The last one ends with the current bucket.
        let end = (now.monotonic.as_secs() / unit + 1) * unit;
        let steps = window.steps() as u64;
        let start_time = |index: u64| {
            let start = end as i64 - ((steps - index) * step) as i64;
            let micros = now.wall.as_micros() + start * 1_000_000 - now.monotonic.as_micros() as i64;
            Timestamp::from_micros(micros)
        };
        (0..steps)
            .map(|index| StatsPoint { start_time: start_time(index), ..StatsPoint::default() })
            .collect()
    }

    /// Adds up to `limit` series from this number on to the points of a window. Returns whether there are more.
    pub(super) fn add_to(
        &mut self,
        now: Now,
        window: &StatsWindow,
        (from, limit): (usize, usize),
        is_wanted: impl Fn(&str, &str) -> bool,
        points: &mut [StatsPoint],
    ) -> bool {
        self.advance(now);
        let end = bucket_number(now);
        for series in self.series.iter().skip(from).take(limit) {
            if is_wanted(&series.totals.queue, &series.totals.kind) {
                let current = (self.current, series.waiting(), series.running());
                series.timeline.add_to(window, end, current, points);
            }
        }
        self.series.len() > from + limit
    }

    /// The jobs of each series by state.
    #[cfg(test)]
    pub(super) fn counts(&self) -> impl Iterator<Item = StateCounts> + '_ {
        self.series.iter().map(|series| series.counts)
    }

    /// Bytes of all series.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |series: &Series| series.timeline.bytes() + size_of::<Series>() as u64;
        self.series.iter().map(bytes).sum()
    }

    /// Most bytes of all series.
    pub(super) fn bytes_max() -> u64 {
        (SERIES_MAX as u64 + 1) * (TIMELINE_BYTES_MAX + size_of::<Series>() as u64)
    }
}

/// The number of the fine bucket at this time.
fn bucket_number(now: Now) -> u64 {
    now.monotonic.as_secs() / FINE_SECONDS
}
