//! Snapshots of jobs, queues and workers, for reads.

use std::sync::Arc;
use std::time::Duration;

use super::{Failure, JobId, JobState, NewJob, Outcome, Progress, Timestamp, WaitReason};

/// A snapshot of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    /// The job's id.
    pub id: JobId,
    /// The submitted spec; its `id` is set.
    pub spec: NewJob,
    /// The principal that submitted it; `None` if its caller had no identity.
    pub owner: Option<Arc<str>>,
    /// The job's state.
    pub state: JobState,
    /// Why the job is not running, if it waits.
    pub wait_reason: Option<WaitReason>,
    /// The number of the newest attempt; 0 before the first one.
    pub attempt: u32,
    /// The newest progress of that attempt.
    pub progress: Option<Arc<Progress>>,
    /// The outcome, if the job ended.
    pub outcome: Option<Outcome>,
    /// Whether a cancel was accepted while an attempt runs.
    pub cancel_requested: bool,
    /// When the job was accepted.
    pub create_time: Timestamp,
    /// When the newest attempt started.
    pub start_time: Option<Timestamp>,
    /// When the job ended.
    pub finish_time: Option<Timestamp>,
    /// When the next attempt may start, if the job is scheduled.
    pub next_attempt_time: Option<Timestamp>,
    /// When the job will be removed, if it ended.
    pub expire_time: Option<Timestamp>,
    /// Sequence number of the newest event.
    pub sequence: u32,
    /// The newest attempts, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// A snapshot of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptView {
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// When the attempt started.
    pub start_time: Timestamp,
    /// When the attempt ended, if it did.
    pub finish_time: Option<Timestamp>,
    /// The failure, if the attempt failed.
    pub failure: Option<Arc<Failure>>,
    /// Name of the attempt's worker.
    pub worker: Arc<str>,
}

/// Numbers of jobs by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateCounts([u32; 6]);

impl StateCounts {
    /// The number of jobs in this state.
    pub fn get(&self, state: JobState) -> u32 {
        self.0[state as usize]
    }

    /// The number of jobs in all states.
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    pub(crate) fn add(&mut self, state: JobState) {
        self.0[state as usize] += 1;
    }

    pub(crate) fn remove(&mut self, state: JobState) {
        self.0[state as usize] -= 1;
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }
}

/// A snapshot of a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueView {
    /// The queue's name.
    pub name: Arc<str>,
    /// Whether the queue is paused and starts no attempts.
    pub paused: bool,
    /// The queue's jobs by state.
    pub counts: StateCounts,
    /// How long the oldest queued job has waited.
    pub oldest_queued_age: Option<Duration>,
    /// Jobs accepted per second, over the last minute.
    pub accepted_per_second: f64,
    /// Jobs ended per second, over the last minute.
    pub finished_per_second: f64,
    /// Kinds with queued jobs that no worker serves.
    pub unserved_kinds: Vec<Arc<str>>,
}

/// The transport between a worker and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerLink {
    /// None: the worker is a pool in the server's process.
    Pool,
    /// A bidirectional stream.
    Stream,
    /// Unary calls for leases and reports.
    Unary,
}

/// Whether a worker is assigned jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// The worker is assigned jobs while it has free slots.
    Connected,
    /// The worker is assigned no more jobs and finishes its running attempts.
    Draining,
    /// The worker is assigned no jobs until it reconnects.
    Disconnected,
}

/// A snapshot of a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerView {
    /// Number of the worker in the order of first connection.
    pub number: u64,
    /// The worker's id in requests.
    pub id: String,
    /// The name that the worker sent.
    pub name: Arc<str>,
    /// The transport between the worker and the server.
    pub link: WorkerLink,
    /// Whether the worker is assigned jobs.
    pub state: WorkerState,
    /// The kinds that the worker serves, sorted; at most the first 1,000.
    pub kinds: Vec<Arc<str>>,
    /// Number of kinds that the worker serves.
    pub kinds_total: usize,
    /// The queues that the worker serves, sorted; at most the first 1,000; empty means all.
    pub queues: Vec<Arc<str>>,
    /// Number of queues that the worker serves; 0 means all.
    pub queues_total: usize,
    /// Most attempts that the worker runs at a time.
    pub slots: u32,
    /// Number of occupied slots.
    pub slots_taken: u32,
    /// When the worker first connected.
    pub create_time: Timestamp,
    /// Time since the worker's last message; `None` for a pool in the server's process.
    pub last_heard_age: Option<Duration>,
    /// Client library and version; empty if the worker did not send it.
    pub sdk: String,
    /// The worker's network address.
    pub address: String,
}

/// Numbers of ended jobs by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EndCounts {
    /// Jobs with a result.
    pub succeeded: u64,
    /// Failed jobs.
    pub failed: u64,
    /// Cancelled jobs.
    pub cancelled: u64,
}

impl EndCounts {
    pub(crate) fn add(&mut self, state: JobState) {
        match state {
            JobState::Succeeded => self.succeeded += 1,
            JobState::Failed => self.failed += 1,
            JobState::Cancelled => self.cancelled += 1,
            JobState::Scheduled | JobState::Queued | JobState::Running => {}
        }
    }
}

/// Memory use of a category of state, and its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUse {
    /// The name of the category, as `MemoryUse` in `admin_service.proto` lists it.
    pub category: &'static str,
    /// Bytes in use.
    pub used_bytes: u64,
    /// The bound in bytes.
    pub limit_bytes: u64,
}
