//! What clients sent and what they were told, job by job, to be held against what a server says later.

use std::collections::BTreeMap;

use jobstream::proto::v1;

/// The notes of one client, or of many.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) stories: BTreeMap<String, Story>,
}

/// One job, as its clients know it.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// What was sent.
    pub(crate) spec: v1::JobSpec,
    /// Whether a submit of it was answered.
    pub(crate) is_acknowledged: bool,
    /// Whether its removal was asked for, and whether it was answered.
    pub(crate) is_removal_sent: bool,
    pub(crate) is_removal_answered: bool,
    /// Whether its cancel was asked for, and whether it was said to be cancelled.
    pub(crate) is_cancel_sent: bool,
    pub(crate) is_cancelled: bool,
    /// Every attempt that a worker was given, by its number and lease.
    pub(crate) runs: Vec<(u32, String)>,
    /// Every result that a worker sent, with the attempt it is of.
    pub(crate) results: Vec<(u32, v1::Payload)>,
    /// Every event that came, each time it came.
    pub(crate) events: Vec<v1::JobEvent>,
    /// Every end that was told, and by what.
    pub(crate) ends: Vec<(&'static str, v1::Outcome)>,
    /// What one answer said against itself.
    pub(crate) breaches: Vec<String>,
}

impl Journal {
    /// Notes that this is about to be sent.
    pub(crate) fn sends(&mut self, spec: &v1::JobSpec) {
        let story = self.stories.entry(spec.job_id.clone()).or_default();
        story.spec = spec.clone();
    }

    pub(crate) fn story(&mut self, id: &str) -> &mut Story {
        self.stories.get_mut(id).expect("it was sent before anything came back")
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.stories.values().filter(|story| story.is_acknowledged).count()
    }
}

impl Story {
    /// An event of a watch that was at this sequence before; answers where it is now.
    pub(crate) fn sees(&mut self, after: u32, event: v1::JobEvent) -> u32 {
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

    pub(crate) fn ends(&mut self, by: &'static str, outcome: Option<v1::Outcome>) {
        self.ends.extend(outcome.map(|outcome| (by, outcome)));
    }
}

/// How an event ended its job, if it did.
pub(crate) fn end_of(event: &v1::JobEvent) -> Option<&v1::Outcome> {
    match &event.event {
        Some(v1::job_event::Event::StateChange(change)) => change.outcome.as_ref(),
        _ => None,
    }
}
