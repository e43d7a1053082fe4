//! Ids of removed jobs, remembered so that RESULT_EXPIRED can be told from never accepted: the newest of them, in little
//! memory that is written one after the other.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::job::{JobId, Timestamp};

/// How many are remembered.
const EXPIRED_IDS_MAX: usize = 100_000;

#[derive(Default)]
pub(super) struct Expired {
    removed: Removed,
    /// The numbers of those that still count.
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

/// Removed jobs, each with the time of its removal. Their numbers go on from one to the next, past the largest to 0.
#[derive(Default)]
struct Removed {
    /// Oldest first.
    jobs: VecDeque<(JobId, Timestamp)>,
    /// The number of the oldest.
    first: u32,
}

impl Removed {
    fn get(&self, number: u32) -> (JobId, Timestamp) {
        self.jobs[number.wrapping_sub(self.first) as usize]
    }

    fn is(&self, number: u32, id: JobId) -> bool {
        self.get(number).0 == id
    }

    /// Answers its number.
    fn push(&mut self, id: JobId, time: Timestamp) -> u32 {
        self.jobs.push_back((id, time));
        self.first.wrapping_add(self.jobs.len() as u32 - 1)
    }

    fn numbered(&self) -> impl Iterator<Item = (u32, (JobId, Timestamp))> + '_ {
        (0..).zip(&self.jobs).map(|(place, job)| (self.first.wrapping_add(place), *job))
    }
}

impl Expired {
    /// When the job was removed, if that is remembered.
    pub(super) fn at(&self, id: JobId) -> Option<Timestamp> {
        let number = self.index.find(self.hasher.hash_one(id), |number| self.removed.is(*number, id))?;
        Some(self.removed.get(*number).1)
    }

    /// Those that are remembered, and when they were removed.
    pub(super) fn iter(&self) -> impl Iterator<Item = (JobId, Timestamp)> + '_ {
        let counts = |(number, (id, _)): &(u32, (JobId, Timestamp))| {
            self.index.find(self.hasher.hash_one(id), |other| other == number).is_some()
        };
        self.removed.numbered().filter(counts).map(|(_, removed)| removed)
    }

    /// The id names a new job.
    pub(super) fn forget(&mut self, id: JobId) {
        let Self { removed, index, hasher } = self;
        if let Ok(found) = index.find_entry(hasher.hash_one(id), |number| removed.is(*number, id)) {
            found.remove();
        }
    }

    /// The job was removed at this time. Its id is not remembered yet: who named a job so had an earlier one forgotten.
    pub(super) fn remember(&mut self, id: JobId, time: Timestamp) {
        debug_assert_eq!(self.at(id), None, "{id} is forgotten when it names a new job");
        if self.removed.jobs.len() == EXPIRED_IDS_MAX {
            self.drop_oldest();
        }
        let Self { removed, index, hasher } = self;
        let number = removed.push(id, time);
        index.insert_unique(hasher.hash_one(id), number, |number| hasher.hash_one(removed.get(*number).0));
    }

    fn drop_oldest(&mut self) {
        let Self { removed, index, hasher } = self;
        let Some((id, _)) = removed.jobs.pop_front() else { return };
        if let Ok(found) = index.find_entry(hasher.hash_one(id), |number| *number == removed.first) {
            found.remove();
        }
        removed.first = removed.first.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> JobId {
        JobId::parse("id", &uuid::Uuid::from_u128(1 + number).to_string()).unwrap()
    }

    fn time(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn the_newest_are_remembered_with_their_last_removal() {
        let mut expired = Expired::default();
        expired.removed.first = u32::MAX - 50_000;
        let count = EXPIRED_IDS_MAX as u128 + 1_000;
        for number in 0..count {
            expired.remember(id(number), time(number as i64));
        }
        assert_eq!((expired.at(id(999)), expired.at(id(1_000))), (None, Some(time(1_000))));
        assert_eq!(expired.iter().count(), EXPIRED_IDS_MAX);
        expired.forget(id(1_001));
        expired.forget(id(1_002));
        expired.remember(id(1_002), time(7));
        assert_eq!((expired.at(id(1_001)), expired.at(id(1_002))), (None, Some(time(7))));
        let all: Vec<_> = expired.iter().collect();
        assert_eq!(all.len(), EXPIRED_IDS_MAX - 2);
        assert_eq!(all[..2], [(id(1_003), time(1_003)), (id(1_004), time(1_004))]);
        assert_eq!(all.last(), Some(&(id(1_002), time(7))));
        for number in count..count + EXPIRED_IDS_MAX as u128 {
            expired.remember(id(number), time(0));
        }
        assert_eq!((expired.at(id(1_002)), expired.iter().count()), (None, EXPIRED_IDS_MAX));
    }
}
