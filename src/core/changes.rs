//! State changes for the feed of all jobs.

use std::sync::Arc;

use super::effects::{Effect, Effects};
use super::keys::JobKey;
use super::state::Core;
use super::weight::options_bytes;
use crate::job::{Event, EventBody, JobChange, Outcome};

/// Estimated bytes that the allocator and a feed add to a change.
const AROUND_BYTES: usize = 64;

impl Core {
    /// Sets whether state changes are effects.
    pub(crate) fn set_feed(&mut self, is_on: bool) {
        self.has_feed = is_on;
    }

    /// Adds the newest state change of the job to the effects, if there is a feed.
    pub(super) fn push_change(&self, key: JobKey, effects: &mut Effects) {
        if self.has_feed {
            effects.push(Effect::Changed(Arc::new(self.newest_change(key))));
        }
    }

    fn newest_change(&self, key: JobKey) -> JobChange {
        let entry = &self.table[key];
        let lane = &self.lanes[entry.lane];
        let newest = entry.history().last().map(|transition| entry.transition_event(transition, None));
        JobChange {
            job_id: entry.id,
            queue: lane.queue.clone(),
            kind: lane.kind.clone(),
            owner: self.owner(key).cloned(),
            options: entry.options.as_ref().filter(|options| !options.labels.is_empty()).cloned(),
            event: without_contents(newest.unwrap_or_else(|| entry.first_event())),
        }
    }
}

/// The event without the content of a result and without failure details.
fn without_contents(mut event: Event) -> Event {
    if let EventBody::State(change) = &mut event.body {
        change.failure = change.failure.as_ref().map(|failure| failure.without_details());
        change.outcome = change.outcome.take().map(|outcome| match outcome {
            Outcome::Result(result) => Outcome::Result(result.without_bytes()),
            Outcome::Failure(failure) => Outcome::Failure(failure.without_details()),
            Outcome::Cancellation(cancellation) => Outcome::Cancellation(cancellation),
        });
    }
    event
}

/// Estimated bytes of a change in memory.
pub(crate) fn change_bytes(change: &JobChange) -> usize {
    let (failure, outcome) = match &change.event.body {
        EventBody::State(change) => (change.failure.as_ref(), change.outcome.as_ref()),
        EventBody::Progress(_) | EventBody::Output(_) | EventBody::Log(_) => (None, None),
    };
    let outcome = match outcome {
        Some(Outcome::Failure(failure)) => failure.bytes(false),
        Some(Outcome::Cancellation(cancellation)) => cancellation.reason.len(),
        Some(Outcome::Result(_)) | None => 0,
    };
    size_of::<JobChange>()
        + AROUND_BYTES
        + change.queue.len()
        + change.kind.len()
        + failure.map_or(0, |failure| failure.bytes(false))
        + outcome
        + change.options.as_ref().map_or(0, |options| options_bytes(options))
}
