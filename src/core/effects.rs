//! What a command causes outside Core: records to keep, workers to tell, watchers to wake.

use uuid::Uuid;

use super::keys::SessionKey;
use super::record::Record;
use crate::job::{Assignment, Drain, LeaseId, Outcome, Stop};

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
