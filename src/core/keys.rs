//! The keys of jobs, lanes, sessions and groups of sessions: small numbers that name them inside one core.

/// Where a job's record is. Reused after the job is removed: whoever keeps one across commands also keeps the job id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct JobKey(pub(super) u32);

impl JobKey {
    /// No job: the end of a list.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// Which of the server's lanes a job waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LaneKey(pub(super) u32);

/// A worker session. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionKey(pub(super) u64);

/// Sessions that serve the same kinds in the same queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct GroupKey(pub(super) u64);

/// What people and calls name a worker by.
pub(crate) fn worker_id(key: SessionKey) -> String {
    format!("w{}", key.0)
}
