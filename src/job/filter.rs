//! Which jobs a list shows.

use std::collections::BTreeMap;

use super::{JobState, Kind, QueueName, Timestamp};

/// A filter over jobs: every part that is given must hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobFilter {
    /// In one of these states; any if empty.
    pub states: Vec<JobState>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// In this queue.
    pub queue: Option<QueueName>,
    /// With all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Accepted at or after this time.
    pub created_from: Option<Timestamp>,
    /// Accepted before this time.
    pub created_before: Option<Timestamp>,
}

impl JobFilter {
    pub(crate) fn has_state(&self, state: JobState) -> bool {
        self.states.is_empty() || self.states.contains(&state)
    }
}
