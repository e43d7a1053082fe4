//! A buffer for the records of a command, which each thread reuses: an allocation for each command would cost page faults.

use std::cell::Cell;

use crate::core::Record;

/// Largest buffer that is kept, in records.
const RECORDS_MAX: usize = 1_024;

thread_local! {
    static BUFFER: Cell<Vec<Record>> = const { Cell::new(Vec::new()) };
}

/// An empty buffer.
pub(in crate::engine) fn take() -> Vec<Record> {
    BUFFER.take()
}

/// Drops the records and keeps their buffer for the next [`take`].
pub(super) fn put_back(mut records: Vec<Record>) {
    records.clear();
    if records.capacity() <= RECORDS_MAX {
        BUFFER.set(records);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_reused_empty_and_a_large_one_is_not() {
        let mut records = take();
        records.push(Record::QueuePaused("q".into(), true));
        let capacity = records.capacity();
        put_back(records);
        let again = take();
        assert!(again.is_empty() && again.capacity() == capacity);
        put_back(Vec::with_capacity(RECORDS_MAX + 1));
        assert_eq!(take().capacity(), 0);
    }
}
