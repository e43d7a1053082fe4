//! What a reader sees: jobs and queues as they are at one moment.

use std::sync::Arc;
use std::time::Duration;

use super::{Failure, JobId, JobState, NewJob, Outcome, Progress, Timestamp, WaitReason};

/// A job at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// What was asked for; `id` inside is set.
    pub spec: NewJob,
    /// Where it is in its life.
    pub state: JobState,
    /// Why it is not running, if it waits.
    pub wait_reason: Option<WaitReason>,
    /// The attempt that runs or ran last; 0 before the first.
    pub attempt: u32,
    /// The newest progress of that attempt.
    pub progress: Option<Arc<Progress>>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Whether a cancel was accepted while an attempt runs.
    pub cancel_requested: bool,
    /// When it was accepted.
    pub create_time: Timestamp,
    /// When the newest attempt started.
    pub start_time: Option<Timestamp>,
    /// When it ended.
    pub finish_time: Option<Timestamp>,
    /// When the next attempt may start, if scheduled.
    pub next_attempt_time: Option<Timestamp>,
    /// When it will be removed, if finished.
    pub expire_time: Option<Timestamp>,
    /// Sequence of its newest event.
    pub sequence: u32,
    /// The newest attempts, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// One try at a job.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptView {
    /// Its number, from 1.
    pub attempt: u32,
    /// When it started.
    pub start_time: Timestamp,
    /// When it ended, if it did.
    pub finish_time: Option<Timestamp>,
    /// Why it failed, if it did.
    pub failure: Option<Arc<Failure>>,
    /// Name of the worker that ran it.
    pub worker: Arc<str>,
}

/// Jobs by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateCounts([u32; 6]);

impl StateCounts {
    /// How many are in this state.
    pub fn get(&self, state: JobState) -> u32 {
        self.0[state as usize]
    }

    /// How many there are in all.
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

/// A queue at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueView {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it starts no attempts.
    pub paused: bool,
    /// Its jobs by state.
    pub counts: StateCounts,
    /// How long the job that waits longest has been queued.
    pub oldest_queued_age: Option<Duration>,
    /// Jobs accepted a second, over the last minute.
    pub accepted_per_second: f64,
    /// Jobs ended a second, over the last minute.
    pub finished_per_second: f64,
    /// Kinds with queued jobs that no worker serves.
    pub unserved_kinds: Vec<Arc<str>>,
}

/// How a worker is joined to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerLink {
    /// It is part of the server.
    Pool,
    /// It holds a stream.
    Stream,
    /// It takes leases and reports with calls of their own.
    Unary,
}

/// What a worker may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// Jobs, while it has free slots.
    Connected,
    /// Nothing more: it finishes what it runs.
    Draining,
    /// Nothing until it connects again.
    Disconnected,
}

/// A worker at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerView {
    /// Its place in the order of arrival.
    pub number: u64,
    /// What calls name it by.
    pub id: String,
    /// The name it gave itself.
    pub name: Arc<str>,
    /// How it is joined to the server.
    pub link: WorkerLink,
    /// What it may be given.
    pub state: WorkerState,
    /// Kinds it runs, in order; at most the first 1,000.
    pub kinds: Vec<Arc<str>>,
    /// How many kinds it runs.
    pub kinds_total: usize,
    /// Queues it serves, in order; at most the first 1,000; empty means all.
    pub queues: Vec<Arc<str>>,
    /// How many queues it serves; 0 means all.
    pub queues_total: usize,
    /// How many attempts it runs at a time.
    pub slots: u32,
    /// Slots that are taken.
    pub slots_taken: u32,
    /// When it first connected.
    pub create_time: Timestamp,
    /// How long ago it was last heard of, if it is not part of the server.
    pub last_heard_age: Option<Duration>,
    /// Library and version it is built with, if it told.
    pub sdk: String,
    /// Address it connected from.
    pub address: String,
}

/// How many jobs ended, by how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EndCounts {
    /// With a result.
    pub succeeded: u64,
    /// With a failure.
    pub failed: u64,
    /// Cancelled.
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

/// What a category of state holds, as it is counted against its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUse {
    /// Its name: one of those that `MemoryUse` in `admin_service.proto` lists.
    pub category: &'static str,
    /// Bytes that are counted now.
    pub used_bytes: u64,
    /// Most bytes there may be.
    pub limit_bytes: u64,
}
