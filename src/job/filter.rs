//! Filters of job listings.

use std::collections::BTreeMap;

use super::{JobState, Kind, QueueName, Timestamp};

/// Matches jobs that satisfy all conditions. The default matches every job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct JobFilter {
    /// The job is in one of these states.
    pub states: StateSet,
    /// The job has this kind.
    pub kind: Option<Kind>,
    /// The job is in this queue.
    pub queue: Option<QueueName>,
    /// The job has all of these labels.
    pub labels: BTreeMap<String, String>,
    /// The job was accepted at or after this time.
    pub created_from: Option<Timestamp>,
    /// The job was accepted before this time.
    pub created_before: Option<Timestamp>,
}

/// A set of job states. The default contains all states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateSet(u8);

impl StateSet {
    /// Every state.
    pub const ALL: Self = Self(0b11_1111);
    /// No state.
    pub const NONE: Self = Self(0);

    /// The final states.
    pub const ENDED: Self =
        Self::NONE.with(JobState::Succeeded).with(JobState::Failed).with(JobState::Cancelled);

    /// Returns the states that both sets contain.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the set with this state added.
    pub const fn with(self, state: JobState) -> Self {
        Self(self.0 | 1 << state as u8)
    }

    /// Whether the state is in the set.
    pub fn contains(self, state: JobState) -> bool {
        self.0 & 1 << state as u8 != 0
    }
}

impl Default for StateSet {
    fn default() -> Self {
        Self::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_contains_the_added_states() {
        let set = StateSet::NONE.with(JobState::Failed).with(JobState::Scheduled);
        assert!(set.contains(JobState::Failed) && set.contains(JobState::Scheduled));
        assert!(!set.contains(JobState::Queued) && !set.contains(JobState::Cancelled));
    }

    #[test]
    fn default_contains_every_state() {
        let set = StateSet::default();
        assert!(set.contains(JobState::Scheduled) && set.contains(JobState::Cancelled));
        assert_eq!(StateSet::ALL, set);
    }
}
