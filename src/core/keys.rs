//! Keys of jobs, lanes, sessions and groups: small numbers inside of one core.

/// The slot of a job's record. It is reused after the job is removed, so a key that is stored across commands needs the
/// job id beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct JobKey(pub(super) u32);

impl JobKey {
    /// No job: the end of a list.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// A lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LaneKey(pub(super) u32);

/// A worker session. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionKey(pub(super) u64);

/// A group of sessions with the same capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct GroupKey(pub(super) u64);

/// The id of a worker in the API.
pub(crate) fn worker_id(key: SessionKey) -> String {
    format!("w{}", key.0)
}
