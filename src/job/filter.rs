//! Filters: which jobs a listing asks for.

use std::collections::BTreeMap;

use super::{JobState, Kind, QueueName, Timestamp};

/// Jobs that match every part; the default matches all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct JobFilter {
    /// In one of these states.
    pub states: StateSet,
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

/// A set of job states; the default holds all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateSet(u8);

impl StateSet {
    /// Every state.
    pub const ALL: Self = Self(0b11_1111);
    /// No state.
    pub const NONE: Self = Self(0);

    /// The same set and this state.
    pub fn with(self, state: JobState) -> Self {
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
    fn a_set_holds_what_was_put_in() {
        let set = StateSet::NONE.with(JobState::Failed).with(JobState::Scheduled);
        assert!(set.contains(JobState::Failed) && set.contains(JobState::Scheduled));
        assert!(!set.contains(JobState::Queued) && !set.contains(JobState::Cancelled));
    }

    #[test]
    fn the_default_holds_every_state() {
        let set = StateSet::default();
        assert!(set.contains(JobState::Scheduled) && set.contains(JobState::Cancelled));
        assert_eq!(StateSet::ALL, set);
    }
}
