//! What a command causes outside Core: records to keep, workers to tell, watchers to wake.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::entry::LeaseId;
use super::record::Record;
use super::sessions::SessionKey;
use crate::job::{JobId, JobOptions, Outcome, Payload};

/// One attempt, handed to a worker.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The job.
    pub job_id: JobId,
    /// Permission to run the attempt.
    pub lease: LeaseId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Which handler runs it.
    pub kind: Arc<str>,
    /// Where the job waited.
    pub queue: Arc<str>,
    /// Input of the handler.
    pub payload: Payload,
    /// The rarer parts of the spec, headers among them.
    pub options: Option<Arc<JobOptions>>,
    /// How long the attempt may run.
    pub time_left: Duration,
}

impl Assignment {
    /// Bytes of the assignment as an element of a message, at most.
    pub(crate) fn wire_bytes_max(&self) -> usize {
        offer_bytes_max(&self.payload, self.options.as_deref(), self.kind.len() + self.queue.len())
    }
}

/// Bytes of an assignment of a job as an element of a message, at most. `names` is the length of its kind and queue.
pub(super) fn offer_bytes_max(payload: &Payload, options: Option<&JobOptions>, names: usize) -> usize {
    /// Lease, job, attempt and time, each at its longest, and the tags and lengths of all fields.
    const FIXED_BYTES: usize = 160;
    /// Tags and lengths of a label or header and of its two parts.
    const ENTRY_BYTES: usize = 12;
    let entries = options.into_iter().flat_map(|options| options.labels.iter().chain(&options.headers));
    let entries: usize = entries.map(|(key, value)| ENTRY_BYTES + key.len() + value.len()).sum();
    let content_type = payload.content_type().len();
    FIXED_BYTES + names + entries + content_type + payload.wire_bytes_max()
}

/// Why a worker must end an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A cancel was requested: the handler may clean up, and is ended by force after this long.
    Cancel(Duration),
    /// The lease is taken back: the attempt no longer counts and ends by force now.
    Revoke,
}

/// That a worker gets no further jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// How long running attempts may take; what still runs then is given back.
    pub within: Duration,
    /// Whether the whole server shuts down, or only this worker is to end.
    pub server_shutdown: bool,
}

/// News for the engine to deliver, in order.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Hand the attempt to the session.
    Assign(SessionKey, Assignment),
    /// Tell the session to end an attempt.
    Stop(SessionKey, LeaseId, Stop),
    /// Tell the session that it gets nothing more, and how long what it holds may take.
    Drain(SessionKey, Drain),
    /// Cut the session off: it was silent for too long.
    Cut(SessionKey),
    /// Tell a job's observer of news.
    Wake(u32),
    /// Tell a job's observer how the job ended. Only watches that are open observe it after that.
    Ended(u32, Outcome),
    /// Tell a job's observer that the job was removed.
    Removed(u32),
}

/// Collects what commands cause.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) items: Vec<Effect>,
    /// `None` while no log wants records.
    pub(crate) records: Option<Vec<Record>>,
}

impl Effects {
    /// Effects that also collect records.
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

    /// Records the newest report taken of a worker. A command takes those of one worker, and this is its first record:
    /// that is brought up to date, so that a frame full of reports has one such record.
    pub(super) fn record_reports_taken(&mut self, instance: Uuid, sequence: u64) {
        let Some(records) = &mut self.records else { return };
        match records.first_mut() {
            Some(Record::ReportsTaken(of, taken)) if *of == instance => *taken = sequence,
            _ => records.push(Record::ReportsTaken(instance, sequence)),
        }
    }
}
