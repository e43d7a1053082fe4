//! The requests and responses of clients per job.

use std::collections::BTreeMap;

use jobstream::proto::v1;

/// The requests and responses of one or more clients.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) traces: BTreeMap<String, JobTrace>,
}

/// The requests and responses of one job.
#[derive(Debug, Default)]
pub(crate) struct JobTrace {
    /// The submitted spec.
    pub(crate) spec: v1::JobSpec,
    /// Whether a submit was acknowledged.
    pub(crate) is_acknowledged: bool,
    /// Whether a delete was sent, and whether it was acknowledged.
    pub(crate) is_removal_sent: bool,
    pub(crate) is_removal_acknowledged: bool,
    /// Whether a cancel was sent, and whether a response reported the job as cancelled.
    pub(crate) is_cancel_sent: bool,
    pub(crate) is_cancelled: bool,
    /// The number and the lease of each assigned attempt.
    pub(crate) runs: Vec<(u32, String)>,
    /// Each result that a worker sent, with its attempt.
    pub(crate) results: Vec<(u32, v1::Payload)>,
    /// All received events, with repetitions.
    pub(crate) events: Vec<v1::JobEvent>,
    /// Each received outcome, and the call that returned it.
    pub(crate) ends: Vec<(&'static str, v1::Outcome)>,
    /// Contradictions within one response.
    pub(crate) breaches: Vec<String>,
}

impl Journal {
    /// Records a spec before it is sent.
    pub(crate) fn record_sent(&mut self, spec: &v1::JobSpec) {
        let trace = self.traces.entry(spec.job_id.clone()).or_default();
        trace.spec = spec.clone();
    }

    pub(crate) fn trace(&mut self, id: &str) -> &mut JobTrace {
        self.traces.get_mut(id).expect("a spec is recorded before it is sent")
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.traces.values().filter(|trace| trace.is_acknowledged).count()
    }
}

impl JobTrace {
    /// Records an event of a watch after a sequence. Returns the new sequence of the watch.
    pub(crate) fn record_event(&mut self, after: u32, event: v1::JobEvent) -> u32 {
        let sequence = event.sequence;
        if sequence <= after {
            self.breaches.push(format!("a watch after {after} returned {event:?}"));
        }
        if let Some(outcome) = end_of(&event) {
            self.ends.push(("a watch", outcome.clone()));
        }
        self.events.push(event);
        sequence
    }

    pub(crate) fn record_outcome(&mut self, by: &'static str, outcome: Option<v1::Outcome>) {
        self.ends.extend(outcome.map(|outcome| (by, outcome)));
    }
}

/// Returns the outcome of a final event.
pub(crate) fn end_of(event: &v1::JobEvent) -> Option<&v1::Outcome> {
    match &event.event {
        Some(v1::job_event::Event::StateChange(change)) => change.outcome.as_ref(),
        _ => None,
    }
}
