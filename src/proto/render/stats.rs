//! Converts statistics.

use super::{duration, timestamp};
use crate::job::{DurationHistogram, StatsPoint, StatsWindow};
use crate::proto::v1;

/// Converts the points of a window.
pub(crate) fn stats(window: &StatsWindow, points: &[StatsPoint]) -> v1::GetStatsResponse {
    let total = points.split_first().map(|(first, later)| {
        let mut total = *first;
        later.iter().for_each(|point| total.add_later(point));
        total
    });
    v1::GetStatsResponse {
        step: Some(duration(window.step())),
        points: points.iter().map(stats_point).collect(),
        total: total.as_ref().map(stats_point),
    }
}

fn stats_point(point: &StatsPoint) -> v1::StatsPoint {
    v1::StatsPoint {
        start_time: Some(timestamp(point.start_time)),
        submitted: point.submitted,
        started: point.started,
        succeeded: point.succeeded,
        failed: point.failed,
        cancelled: point.cancelled,
        failed_attempts: point.failed_attempts,
        waiting: point.waiting,
        running: point.running,
        wait: Some(quantiles(&point.wait)),
        run: Some(quantiles(&point.run)),
    }
}

fn quantiles(histogram: &DurationHistogram) -> v1::Quantiles {
    let quantile = |quantile| histogram.quantile(quantile).map(duration);
    v1::Quantiles { count: histogram.count(), p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99) }
}
