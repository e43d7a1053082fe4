//! Room for the records of a command, which each thread keeps for its next one: many records are much memory, and what is
//! allocated anew has to be brought in anew.

use std::cell::Cell;

use crate::core::Record;

/// Records for which the room is kept.
const RECORDS_MAX: usize = 1_024;

thread_local! {
    static ROOM: Cell<Vec<Record>> = const { Cell::new(Vec::new()) };
}

/// Room for records, without any.
pub(in crate::engine) fn take() -> Vec<Record> {
    ROOM.take()
}

/// Drops records and keeps their room.
pub(super) fn keep(mut records: Vec<Record>) {
    records.clear();
    if records.capacity() <= RECORDS_MAX {
        ROOM.set(records);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_without_its_records_and_not_if_it_is_large() {
        let mut records = take();
        records.push(Record::QueuePaused("q".into(), true));
        let capacity = records.capacity();
        keep(records);
        let again = take();
        assert!(again.is_empty() && again.capacity() == capacity);
        keep(Vec::with_capacity(RECORDS_MAX + 1));
        assert_eq!(take().capacity(), 0);
    }
}
