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
    /// Each with the time of its removal, oldest first.
    removed: VecDeque<(JobId, Timestamp)>,
    /// How many came before the oldest.
    before: u32,
    /// How many came before each one that still counts.
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Expired {
    /// When the job was removed, if that is remembered.
    pub(super) fn at(&self, id: JobId) -> Option<Timestamp> {
        let Self { removed, before, .. } = self;
        let is_it = |number: &u32| removed[number.wrapping_sub(*before) as usize].0 == id;
        let number = self.index.find(self.hasher.hash_one(id), is_it)?;
        Some(removed[number.wrapping_sub(*before) as usize].1)
    }

    /// Those that are remembered, and when they were removed.
    pub(super) fn iter(&self) -> impl Iterator<Item = (JobId, Timestamp)> + '_ {
        let counts = |(place, (id, _)): &(usize, &(JobId, Timestamp))| {
            let number = self.before.wrapping_add(*place as u32);
            self.index.find(self.hasher.hash_one(id), |other| *other == number).is_some()
        };
        self.removed.iter().enumerate().filter(counts).map(|(_, removed)| *removed)
    }

    /// The id names a new job.
    pub(super) fn forget(&mut self, id: JobId) {
        let Self { removed, before, index, hasher } = self;
        let is_it = |number: &u32| removed[number.wrapping_sub(*before) as usize].0 == id;
        if let Ok(found) = index.find_entry(hasher.hash_one(id), is_it) {
            found.remove();
        }
    }

    pub(super) fn remember(&mut self, id: JobId, time: Timestamp) {
        self.forget(id);
        let Self { removed, before, index, hasher } = self;
        if removed.len() == EXPIRED_IDS_MAX
            && let Some((oldest, _)) = removed.pop_front()
        {
            if let Ok(found) = index.find_entry(hasher.hash_one(oldest), |number| number == before) {
                found.remove();
            }
            *before = before.wrapping_add(1);
        }
        let number = before.wrapping_add(removed.len() as u32);
        removed.push_back((id, time));
        let hash = |number: &u32| hasher.hash_one(removed[number.wrapping_sub(*before) as usize].0);
        index.insert_unique(hasher.hash_one(id), number, hash);
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
        let mut expired = Expired { before: u32::MAX - 50_000, ..Expired::default() };
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
