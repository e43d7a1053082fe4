//! Converts queues.

use super::duration;
use crate::job::{JobState, QueueView, StateCounts};
use crate::proto::v1;

/// Converts a queue.
pub(crate) fn queue(view: &QueueView) -> v1::Queue {
    v1::Queue {
        queue: (*view.name).to_owned(),
        paused: view.paused,
        counts: Some(state_counts(&view.counts)),
        oldest_queued_age: view.oldest_queued_age.map(duration),
        accepted_per_second: view.accepted_per_second,
        finished_per_second: view.finished_per_second,
        unserved_kinds: view.unserved_kinds.iter().map(|kind| (**kind).to_owned()).collect(),
    }
}

/// Converts the number of jobs by state.
fn state_counts(counts: &StateCounts) -> v1::StateCounts {
    v1::StateCounts {
        scheduled: counts.get(JobState::Scheduled),
        queued: counts.get(JobState::Queued),
        running: counts.get(JobState::Running),
        succeeded: counts.get(JobState::Succeeded),
        failed: counts.get(JobState::Failed),
        cancelled: counts.get(JobState::Cancelled),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_queue_has_all_its_fields() {
        let mut counts = StateCounts::default();
        let states = [JobState::Scheduled, JobState::Queued, JobState::Running];
        let ends = [JobState::Succeeded, JobState::Failed, JobState::Cancelled];
        for (index, state) in states.into_iter().chain(ends).enumerate() {
            (0..=index).for_each(|_| counts.add(state));
        }
        let wire = queue(&QueueView {
            name: "mail".into(),
            paused: true,
            counts,
            oldest_queued_age: Some(Duration::from_millis(1500)),
            accepted_per_second: 2.5,
            finished_per_second: 1.25,
            unserved_kinds: vec!["resize".into()],
        });
        let expected =
            v1::StateCounts { scheduled: 1, queued: 2, running: 3, succeeded: 4, failed: 5, cancelled: 6 };
        assert_eq!(wire.counts, Some(expected));
        assert_eq!((wire.queue.as_str(), wire.paused), ("mail", true));
        assert_eq!(wire.oldest_queued_age, Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }));
        assert_eq!((wire.accepted_per_second, wire.finished_per_second), (2.5, 1.25));
        assert_eq!(wire.unserved_kinds, ["resize"]);
    }
}
