//! What was recorded and never got to the disk, once the log failed: memory shows it, and nobody may be told of it.

use std::collections::{HashMap, HashSet};
use std::task::Poll;

use super::entries::Entries;
use super::{Position, codec};
use crate::clock::Now;
use crate::core::{Core, JobKey, Record};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::job::{JobId, JobView, StateSet};

/// What was lost.
#[derive(Default)]
pub(in crate::engine) struct Lost {
    jobs: HashMap<JobId, Loss>,
    /// A job was deleted, so that no list has it any more.
    has_deletions: bool,
    /// A queue was paused or resumed.
    has_queues: bool,
}

/// What was lost of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// All of it: it was never acknowledged.
    Acceptance,
    /// What came after that.
    Change,
}

impl Lost {
    pub(super) fn add_entries(&mut self, entries: &Entries) {
        for entry in entries.iter() {
            let entry = codec::decode(entry).expect("what was encoded can be decoded");
            self.add(entry.now, &entry.records);
        }
    }

    /// Adds what a command recorded.
    pub(super) fn add(&mut self, now: Now, records: &[Record]) {
        let mut images = HashSet::new();
        for record in records {
            match record {
                // What a checkpoint writes of a job changes nothing of it.
                Record::Accepted(accepted) if accepted.created < now.monotonic => {
                    images.insert(accepted.id);
                }
                Record::Accepted(accepted) => {
                    self.jobs.insert(accepted.id, Loss::Acceptance);
                }
                Record::QueuePaused(..) => self.has_queues = true,
                // Nobody is shown it, and it was not sent.
                Record::Offered(..) => continue,
                // A checkpoint tells removals again.
                Record::Removed(removed) if removed.removed < now.monotonic => continue,
                Record::Removed(removed) if removed.deleted => self.has_deletions = true,
                _ => {}
            }
            if let Some(id) = record.job().filter(|id| !images.contains(id)) {
                self.jobs.entry(id).or_insert(Loss::Change);
            }
        }
    }

    fn check_job(&self, id: JobId) -> Result<()> {
        match self.jobs.contains_key(&id) {
            true => Err(unknown(&format!("what became of job {id}"))),
            false => Ok(()),
        }
    }

    /// Leaves those of these jobs that were acknowledged and are in one of the states.
    fn check_list(&self, jobs: &mut Vec<JobView>, states: StateSet) -> Result<()> {
        if self.has_deletions {
            return Err(unknown("which jobs were deleted"));
        }
        jobs.retain(|job| self.jobs.get(&job.id) != Some(&Loss::Acceptance));
        jobs.iter().try_for_each(|job| self.check_job(job.id))?;
        jobs.retain(|job| states.contains(job.state));
        Ok(())
    }
}

impl Engine {
    /// Waits until the log has failed, or was closed: nothing becomes durable any more. For good without a log.
    pub async fn log_failure(&self) -> Error {
        let Some(commit) = &self.0.commit else { return std::future::pending().await };
        let waiters = &commit.shared.waiters;
        match std::future::poll_fn(|context| waiters.poll(Position(u64::MAX), context)).await {
            Err(error) => error,
            Ok(()) => std::future::pending().await,
        }
    }

    /// Whether the log takes what is recorded.
    ///
    /// # Errors
    ///
    /// `LogFailed`: it does no more.
    pub(crate) fn check_log(&self) -> Result<()> {
        match self.durable_now(Position(u64::MAX)) {
            Poll::Ready(ended) => ended,
            Poll::Pending => Ok(()),
        }
    }

    /// A job whose state is on disk or on its way there.
    ///
    /// # Errors
    ///
    /// `JobNotFound`, `ResultExpired`; `LogFailed` if something of it was lost.
    pub(in crate::engine) fn find(&self, core: &Core, id: JobId) -> Result<JobKey> {
        self.check_job(id)?;
        core.find(id)
    }

    /// Whether what memory shows of a job is on disk or on its way there; to be asked under the engine's lock.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub(in crate::engine) fn check_job(&self, id: JobId) -> Result<()> {
        self.lost(|lost| lost.check_job(id)).unwrap_or(Ok(()))
    }

    /// Leaves those of a part of the list of jobs, in any state, that are in one of these states on disk.
    ///
    /// # Errors
    ///
    /// `LogFailed` if that is not known.
    pub(in crate::engine) fn check_list(&self, jobs: &mut Vec<JobView>, states: StateSet) -> Result<()> {
        self.lost(|lost| lost.check_list(jobs, states)).unwrap_or(Ok(()))
    }

    /// Whether queues are paused on disk as they are in memory.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub(in crate::engine) fn check_queues(&self) -> Result<()> {
        match self.lost(|lost| lost.has_queues) {
            Some(true) => Err(unknown("which queues are paused")),
            _ => Ok(()),
        }
    }

    /// What was lost, once the log failed.
    fn lost<T>(&self, look: impl FnOnce(&Lost) -> T) -> Option<T> {
        self.check_log().err()?;
        self.0.commit.as_ref()?.shared.queue.lock().lost.as_ref().map(look)
    }
}

/// What callers are told; what happened is in the server's own log.
pub(super) fn failed() -> Error {
    let message = "the server cannot write its log: nothing more is acknowledged before it is restarted";
    Error::new(ErrorKind::LogFailed, message)
}

fn unknown(what: &str) -> Error {
    let message = format!("the server could not write its log: {what} is known once it is restarted");
    Error::new(ErrorKind::LogFailed, message)
}
