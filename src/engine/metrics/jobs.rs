//! The counts and durations of jobs, by queue and kind.

use crate::job::{DurationHistogram, FailureReason, JobState, SeriesTotals};
use crate::metrics::{self, Histogram, JOB_BUCKETS, Snapshot};

/// Adds the totals of each pair of queue and kind. Outcomes and reasons that are rare have series once they occurred.
pub(super) fn collect(totals: &[SeriesTotals], snapshot: &mut Snapshot) {
    for series in totals {
        let lane = [&*series.queue, &*series.kind];
        snapshot.add(&metrics::JOBS_SUBMITTED, &lane, series.submitted as f64);
        snapshot.add(&metrics::SUBMIT_DEDUPLICATED, &[&series.queue], series.deduplicated as f64);
        snapshot.add(&metrics::ATTEMPTS_STARTED, &lane, series.started as f64);
        snapshot.add(&metrics::ATTEMPTS_RELEASED, &lane, series.released as f64);
        snapshot.add_histogram(&metrics::JOB_WAIT, &lane, &histogram(&series.wait));
        add_failures(series, snapshot);
        let lost = series.failed_attempts(FailureReason::WorkerLost);
        snapshot.add(&metrics::LEASES_EXPIRED, &[&series.queue], lost as f64);
        for (index, state) in SeriesTotals::OUTCOMES.into_iter().enumerate() {
            let labels = [&*series.queue, &*series.kind, outcome(state)];
            snapshot.add(&metrics::JOBS_FINISHED, &labels, series.ended_jobs(state) as f64);
            for (family, durations) in [
                (&metrics::ATTEMPT_DURATION, &series.run[index]),
                (&metrics::JOB_END_TO_END, &series.end_to_end[index]),
            ] {
                if state == JobState::Succeeded || durations.count() > 0 {
                    snapshot.add_histogram(family, &labels, &histogram(durations));
                }
            }
        }
    }
}

fn add_failures(series: &SeriesTotals, snapshot: &mut Snapshot) {
    for reason in FailureReason::ALL {
        let count = series.failed_attempts(reason);
        if count > 0 || reason == FailureReason::Handler {
            let labels = [&*series.queue, &*series.kind, reason.name()];
            snapshot.add(&metrics::ATTEMPTS_FAILED, &labels, count as f64);
        }
    }
}

fn outcome(state: JobState) -> &'static str {
    match state {
        JobState::Succeeded => "succeeded",
        JobState::Failed => "failed",
        _ => "cancelled",
    }
}

fn histogram(durations: &DurationHistogram) -> Histogram {
    Histogram::of(JOB_BUCKETS, durations.buckets(), durations.sum())
}
