//! The effects of commands outside of the core: log records, messages to workers, wake-ups of watchers.

use std::sync::Arc;
use std::time::Duration;

use super::keys::SessionKey;
use super::record::{Instance, Record};
use crate::job::{
    Assignment, Cancellation, Drain, Failure, JobChange, JobId, LeaseId, Outcome, Stop, TraceContext,
};

/// An effect for the engine to deliver, in order.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Send the assignment to the session.
    Assign(SessionKey, Assignment),
    /// Send the session an order to end an attempt.
    Stop(SessionKey, LeaseId, Stop),
    /// Send the session that it receives no further jobs, and how long its attempts may take.
    Drain(SessionKey, Drain),
    /// Disconnect the session: it was silent for too long.
    Disconnect(SessionKey),
    /// Wake the observer of a job: the job has new events.
    Wake(u32),
    /// Send the outcome to the observer of a job. After that, only open watches observe the job.
    Ended(u32, Outcome),
    /// Inform the observer of a job that the job was removed.
    Removed(u32),
    /// Add a state change to the feed of all jobs.
    Changed(Arc<JobChange>),
    /// Add a line to the server's log.
    Log(Box<LogLine>),
}

/// A line of the server's log.
#[derive(Debug)]
pub(crate) enum LogLine {
    /// A job failed, and no attempt follows.
    JobFailed(JobLine, Arc<Failure>),
    /// A job was cancelled.
    JobCancelled(JobLine, Arc<Cancellation>),
    /// A job succeeded.
    JobSucceeded(JobLine),
    /// An attempt failed. The next one may start after this pause.
    AttemptFailed(JobLine, Arc<Failure>, Duration),
    /// A remote worker changed its state.
    Worker { id: String, name: Arc<str>, address: String, change: WorkerChange },
}

/// Which lines about jobs are effects, by the level of the log. Failed jobs always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct JobLogLevel {
    /// Cancelled jobs, and failed attempts that are retried.
    pub(crate) info: bool,
    /// Jobs that succeeded.
    pub(crate) debug: bool,
}

/// A job and its newest attempt, in a line of the log.
#[derive(Debug)]
pub(crate) struct JobLine {
    pub(crate) id: JobId,
    pub(crate) kind: Arc<str>,
    pub(crate) queue: Arc<str>,
    /// The number of the newest attempt; 0 before the first.
    pub(crate) attempt: u32,
    /// How long the job was queued before that attempt began, or is queued now; `None` if it waits for a time.
    pub(crate) wait: Option<Duration>,
    /// How long the attempt ran; `None` if none ends now.
    pub(crate) duration: Option<Duration>,
    /// The name of the worker that ran it.
    pub(crate) worker: Option<Arc<str>>,
    /// The trace context of the submitter.
    pub(crate) trace: Option<Arc<TraceContext>>,
}

/// A change of a remote worker's state.
#[derive(Debug)]
pub(crate) enum WorkerChange {
    /// It connected for the first time.
    Joined { kinds: usize, slots: u32 },
    /// It connected again.
    Reconnected,
    /// An operator drains it within this time.
    Draining { within: Duration },
    /// It closed its stream and has no running attempts.
    Left,
    /// Its connection is lost. It has this number of running attempts.
    Lost { running: usize, reason: &'static str },
}

/// Collects the effects of commands.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) items: Vec<Effect>,
    /// `None` without a log.
    pub(crate) records: Option<Vec<Record>>,
}

impl Effects {
    /// No effects yet, with capacity for these numbers of effects and records; `None` without a log.
    pub(crate) fn with_capacity(items: usize, records: Option<usize>) -> Self {
        Self { items: Vec::with_capacity(items), records: records.map(Vec::with_capacity) }
    }

    /// Effects with records.
    #[cfg(test)]
    pub(crate) fn recording() -> Self {
        Self { records: Some(Vec::new()), ..Self::default() }
    }

    pub(super) fn push(&mut self, effect: Effect) {
        self.items.push(effect);
    }

    pub(super) fn record(&mut self, record: impl FnOnce() -> Record) {
        if let Some(records) = &mut self.records {
            records.push(record());
        }
    }

    /// Records the number of the newest report of a worker. A command handles the reports of one worker and has one
    /// such record, its first one, which is updated.
    pub(super) fn record_reports_taken(&mut self, instance: Instance, sequence: u64) {
        let Some(records) = &mut self.records else { return };
        match records.first_mut() {
            Some(Record::ReportsTaken(of, taken)) if *of == instance => *taken = sequence,
            _ => records.push(Record::ReportsTaken(instance, sequence)),
        }
    }
}
