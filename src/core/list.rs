//! Intrusive lists of jobs. A job is in at most one list, and is removed in constant time.

use super::entry::ListLinks;
use super::keys::JobKey;
use super::table::Table;

/// A list of jobs: the ready jobs of a lane with one priority, the jobs of a session, or the finished jobs.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    first: JobKey,
    last: JobKey,
}

impl Default for List {
    fn default() -> Self {
        Self { first: JobKey::NONE, last: JobKey::NONE }
    }
}

impl List {
    pub(super) fn is_empty(&self) -> bool {
        self.first == JobKey::NONE
    }

    pub(super) fn first(&self) -> Option<JobKey> {
        (self.first != JobKey::NONE).then_some(self.first)
    }

    /// The next job in the list of this one.
    pub(super) fn next(table: &Table, key: JobKey) -> Option<JobKey> {
        Some(table[key].links.next).filter(|next| *next != JobKey::NONE)
    }

    /// All jobs, in order.
    pub(super) fn keys(&self, table: &Table) -> Vec<JobKey> {
        std::iter::successors(self.first(), |key| Self::next(table, *key)).collect()
    }

    pub(super) fn push_back(&mut self, table: &mut Table, key: JobKey) {
        table[key].links = ListLinks { previous: self.last, next: JobKey::NONE };
        match self.last {
            JobKey::NONE => self.first = key,
            last => table[last].links.next = key,
        }
        self.last = key;
    }

    pub(super) fn push_front(&mut self, table: &mut Table, key: JobKey) {
        table[key].links = ListLinks { previous: JobKey::NONE, next: self.first };
        match self.first {
            JobKey::NONE => self.last = key,
            first => table[first].links.previous = key,
        }
        self.first = key;
    }

    pub(super) fn remove(&mut self, table: &mut Table, key: JobKey) {
        let ListLinks { previous, next } = std::mem::replace(&mut table[key].links, ListLinks::NONE);
        match previous {
            JobKey::NONE => self.first = next,
            previous => table[previous].links.next = next,
        }
        match next {
            JobKey::NONE => self.last = previous,
            next => table[next].links.previous = previous,
        }
    }
}
