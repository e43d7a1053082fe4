//! The counts of one pair of queue and kind over the last 24 hours, in a bounded number of buckets.

use std::collections::VecDeque;

use crate::job::{BUCKETS, StatsPoint, StatsWindow};

/// Seconds of a fine bucket.
pub(super) const FINE_SECONDS: u64 = StatsWindow::FINE_STEP.as_secs();
/// Fine buckets in a coarse one.
const FINE_IN_COARSE: u64 = StatsWindow::COARSE_STEP.as_secs() / FINE_SECONDS;
/// Fine buckets that are retained.
const FINE_MAX: u64 = StatsWindow::FINE_RANGE_MAX.as_secs() / FINE_SECONDS;
/// Coarse buckets that are retained.
const COARSE_MAX: u64 = StatsWindow::RANGE_MAX.as_secs() / StatsWindow::COARSE_STEP.as_secs();
/// Most bytes of a timeline.
pub(super) const TIMELINE_BYTES_MAX: u64 = (FINE_MAX + COARSE_MAX + 4) * size_of::<(u64, Bucket)>() as u64;

/// The counts of one span of time.
#[derive(Debug, Clone, Default)]
pub(super) struct Bucket {
    pub(super) submitted: u32,
    pub(super) started: u32,
    pub(super) succeeded: u32,
    pub(super) failed: u32,
    pub(super) cancelled: u32,
    pub(super) failed_attempts: u32,
    /// Jobs that waited and ran at the end.
    waiting: u32,
    running: u32,
    pub(super) wait: [u32; BUCKETS],
    pub(super) run: [u32; BUCKETS],
}

impl Bucket {
    fn add_later(&mut self, later: &Self) {
        let counts = [
            (&mut self.submitted, later.submitted),
            (&mut self.started, later.started),
            (&mut self.succeeded, later.succeeded),
            (&mut self.failed, later.failed),
            (&mut self.cancelled, later.cancelled),
            (&mut self.failed_attempts, later.failed_attempts),
        ];
        let wait = self.wait.iter_mut().zip(later.wait);
        let run = self.run.iter_mut().zip(later.run);
        for (count, more) in counts.into_iter().chain(wait).chain(run) {
            *count = count.saturating_add(more);
        }
        (self.waiting, self.running) = (later.waiting, later.running);
    }

    /// Adds the counts to a point. Those of its end are added by [`Timeline::add_to`].
    fn add_to(&self, point: &mut StatsPoint) {
        point.submitted += u64::from(self.submitted);
        point.started += u64::from(self.started);
        point.succeeded += u64::from(self.succeeded);
        point.failed += u64::from(self.failed);
        point.cancelled += u64::from(self.cancelled);
        point.failed_attempts += u64::from(self.failed_attempts);
        point.wait.add_buckets(&self.wait);
        point.run.add_buckets(&self.run);
    }
}

/// Buckets by their number, oldest first. A span without a change has no bucket.
type Buckets = VecDeque<(u64, Bucket)>;

/// Fine buckets of the recent past and coarse buckets of the last 24 hours.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    fine: Buckets,
    coarse: Buckets,
}

impl Timeline {
    /// The fine bucket with this number, which is the newest.
    pub(super) fn bucket(&mut self, number: u64) -> &mut Bucket {
        bucket(&mut self.fine, number, FINE_MAX)
    }

    /// Ends the fine bucket with this number, if there is one: later changes belong to later buckets.
    pub(super) fn end_bucket(&mut self, number: u64, waiting: u32, running: u32) {
        let Some((_, ended)) = self.fine.back_mut().filter(|(newest, _)| *newest == number) else { return };
        (ended.waiting, ended.running) = (waiting, running);
        bucket(&mut self.coarse, number / FINE_IN_COARSE, COARSE_MAX).add_later(ended);
    }

    /// Bytes of its buckets.
    pub(super) fn bytes(&self) -> u64 {
        ((self.fine.len() + self.coarse.len()) * size_of::<(u64, Bucket)>()) as u64
    }

    /// Adds the counts to the points of a window that ends with the fine bucket `end`. Later counts belong to the last
    /// point. `current` is the number of the bucket that has not ended, with the jobs that wait and run now.
    pub(super) fn add_to(
        &self,
        window: &StatsWindow,
        end: u64,
        (current, waiting, running): (u64, u32, u32),
        points: &mut [StatsPoint],
    ) {
        let (buckets, unit) = match window.is_fine() {
            true => (&self.fine, 1),
            false => (&self.coarse, FINE_IN_COARSE),
        };
        let (end, per_point) = (end / unit, window.step().as_secs() / (unit * FINE_SECONDS));
        let last = points.len() - 1;
        let mut before = (0, 0);
        let mut ends = vec![None; points.len()];
        for (number, bucket) in buckets {
            let steps_back = (end.saturating_sub(*number) / per_point) as usize;
            match last.checked_sub(steps_back) {
                Some(point) => {
                    bucket.add_to(&mut points[point]);
                    ends[point] = Some((bucket.waiting, bucket.running));
                }
                None => before = (bucket.waiting, bucket.running),
            }
        }
        if unit > 1
            && let Some((_, bucket)) = self.fine.back().filter(|(number, _)| *number == current)
        {
            // It is in no coarse bucket yet.
            bucket.add_to(&mut points[last]);
        }
        ends[last] = Some((waiting, running));
        for (point, end) in points.iter_mut().zip(ends) {
            before = end.unwrap_or(before);
            point.waiting += u64::from(before.0);
            point.running += u64::from(before.1);
        }
    }
}

/// The newest bucket, added if it does not exist. One bucket before the retained range remains: it has the jobs at the
/// begin of the range.
fn bucket(buckets: &mut Buckets, number: u64, count_max: u64) -> &mut Bucket {
    if buckets.back().is_none_or(|(newest, _)| *newest < number) {
        while buckets.get(1).is_some_and(|(second, _)| second + count_max < number) {
            buckets.pop_front();
        }
        buckets.push_back((number, Bucket::default()));
    }
    let newest = buckets.len() - 1;
    &mut buckets[newest].1
}
