//! Which jobs of a damaged log run again: those whose end may be in a lost entry.

use std::collections::HashMap;

use super::codec;
use super::entries::Parts;
use crate::core::Record;
use crate::job::{EventBody, JobId};

/// Finds the jobs that a server on a salvaged log runs although they may have ended, from the entries of the damaged log that
/// [`wal::dump`](crate::wal::dump) passes on.
///
/// Such a job was accepted before a lost entry, and no later entry has a record of it. It cannot be known which of its records
/// were lost, if any.
#[derive(Default)]
pub struct LostEnds {
    /// Jobs without a recorded end, each with the sequence of its newest entry.
    live: HashMap<JobId, u64>,
    parts: Parts,
    newest: u64,
    /// The sequence after the last lost entry.
    lost_before: Option<u64>,
}

impl LostEnds {
    /// Adds the next intact entry.
    pub fn add(&mut self, sequence: u64, entry: &[u8]) {
        self.skip_to(sequence);
        self.newest = sequence;
        match codec::decode(entry) {
            Ok(entry) => {
                for (sequence, records) in self.parts.add(entry.part, sequence, entry.records) {
                    records.iter().for_each(|record| self.record(sequence, record));
                }
            }
            // Its records are lost as well.
            Err(_) => self.lost_before = Some(sequence + 1),
        }
    }

    /// Detects entries that were lost before this sequence.
    fn skip_to(&mut self, sequence: u64) {
        if self.newest > 0 && sequence > self.newest + 1 {
            self.lost_before = Some(sequence);
        }
    }

    fn record(&mut self, sequence: u64, record: &Record) {
        let Some(id) = record.job() else { return };
        let ends = match record {
            Record::Removed(_) => true,
            Record::StateChanged(changed) => {
                matches!(&changed.event.body, EventBody::State(change) if change.state.is_final())
            }
            _ => false,
        };
        if ends {
            self.live.remove(&id);
        } else if matches!(record, Record::Accepted(_)) || self.live.contains_key(&id) {
            self.live.insert(id, sequence);
        }
    }

    /// The jobs that may run again, in the order of their newest entries; `next_sequence` follows the last entry of the log.
    pub fn into_jobs(mut self, next_sequence: u64) -> Vec<JobId> {
        self.skip_to(next_sequence);
        let Some(lost_before) = self.lost_before else { return Vec::new() };
        let jobs = self.live.into_iter().filter(|(_, newest)| *newest < lost_before);
        let mut jobs: Vec<_> = jobs.map(|(id, newest)| (newest, id)).collect();
        jobs.sort_unstable();
        jobs.into_iter().map(|(_, id)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::core::{Accepted, StateChanged};
    use crate::job::{Event, JobState, Kind, NewJob, Outcome, Payload, StateChange, Timestamp, WaitReason};

    fn id(number: u8) -> JobId {
        JobId::from_bytes([number; 16])
    }

    fn accepted(number: u8) -> Record {
        Record::Accepted(Accepted {
            id: id(number),
            job: NewJob::new(Kind::parse("kind", "k").unwrap(), Payload::default()),
            number: number.into(),
            create_time: Timestamp::default(),
            created: std::time::Duration::ZERO,
            first_wait: Some(WaitReason::NoWorker),
            deadline: std::time::Duration::MAX,
            owner: None,
        })
    }

    fn changed(number: u8, state: JobState) -> Record {
        let outcome = state.is_final().then(|| Outcome::Result(Payload::default()));
        let change = StateChange {
            state,
            wait_reason: None,
            failure: None,
            next_attempt_time: None,
            outcome,
            cancel_requested: false,
            principal: None,
        };
        let event =
            Event { sequence: 2, time: Timestamp::default(), attempt: 1, body: EventBody::State(change) };
        Record::StateChanged(StateChanged {
            id: id(number),
            event,
            lost: 0,
            released: 0,
            cancel_requested: false,
            deadline: std::time::Duration::MAX,
            expire_time: None,
            running: None,
        })
    }

    /// The jobs that may run again from a log with these entries.
    fn lost_ends(entries: &[(u64, &[Record])], next_sequence: u64) -> Vec<JobId> {
        let now = Now { monotonic: std::time::Duration::ZERO, wall: Timestamp::default() };
        let mut ends = LostEnds::default();
        for (sequence, records) in entries {
            let mut bytes = Vec::new();
            codec::encode(now, records, &mut bytes);
            ends.add(*sequence, &bytes);
        }
        ends.into_jobs(next_sequence)
    }

    #[test]
    fn jobs_live_before_a_gap_without_a_later_record_are_found() {
        let before = [accepted(1), accepted(2), accepted(3), accepted(4), changed(4, JobState::Succeeded)];
        let behind = [changed(2, JobState::Running), changed(3, JobState::Succeeded), accepted(5)];
        assert_eq!(lost_ends(&[(1, &before), (3, &behind)], 4), [id(1)]);
        assert_eq!(lost_ends(&[(1, &before), (2, &behind)], 3), [], "nothing is lost");
        assert_eq!(
            lost_ends(&[(1, &before), (2, &behind)], 4),
            [id(1), id(2), id(5)],
            "the last one is lost"
        );
    }

    #[test]
    fn an_entry_that_cannot_be_decoded_is_lost_as_well() {
        let mut ends = LostEnds::default();
        let now = Now { monotonic: std::time::Duration::ZERO, wall: Timestamp::default() };
        let mut bytes = Vec::new();
        codec::encode(now, &[accepted(1)], &mut bytes);
        ends.add(1, &bytes);
        ends.add(2, b"nothing");
        assert_eq!(ends.into_jobs(3), [id(1)]);
    }
}
