//! What clients sent and what they were told, job by job, to be held against what a server says later.

use std::collections::BTreeMap;

use jobstream::proto::v1;

use crate::support::end_of;

/// The notes of one client, or of many.
#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) stories: BTreeMap<String, Story>,
}

/// One job, as its clients know it.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// What was sent.
    pub(super) spec: v1::JobSpec,
    /// Whether a submit of it was answered.
    pub(super) is_acknowledged: bool,
    /// Whether its removal was asked for, and whether it was answered.
    pub(super) is_removal_sent: bool,
    pub(super) is_removal_answered: bool,
    /// Every event that came, each time it came.
    pub(super) events: Vec<v1::JobEvent>,
    /// Every end that was told, and by what.
    pub(super) ends: Vec<(&'static str, v1::Outcome)>,
    /// What one answer said against itself.
    pub(super) breaches: Vec<String>,
}

impl Journal {
    /// Notes that this is about to be sent.
    pub(super) fn sends(&mut self, spec: &v1::JobSpec) {
        let story = self.stories.entry(spec.job_id.clone()).or_default();
        story.spec = spec.clone();
    }

    pub(super) fn story(&mut self, id: &str) -> &mut Story {
        self.stories.get_mut(id).expect("it was sent before anything came back")
    }

    /// Takes over the notes of another client, of other jobs.
    pub(super) fn add(&mut self, other: Self) {
        self.stories.extend(other.stories);
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.stories.values().filter(|story| story.is_acknowledged).count()
    }
}

impl Story {
    /// An event of a watch that was at this sequence before; answers where it is now.
    pub(super) fn sees(&mut self, after: u32, event: v1::JobEvent) -> u32 {
        let sequence = event.sequence;
        if sequence <= after {
            self.breaches.push(format!("a watch after {after} was told {event:?}"));
        }
        if let Some(outcome) = end_of(&event) {
            self.ends.push(("a watch", outcome.clone()));
        }
        self.events.push(event);
        sequence
    }

    pub(super) fn ends(&mut self, by: &'static str, outcome: Option<v1::Outcome>) {
        self.ends.extend(outcome.map(|outcome| (by, outcome)));
    }
}
