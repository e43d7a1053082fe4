//! Reads of entries by sequence during appends.

use super::*;

fn read(log: &DiskLog, sequence: u64) -> Option<Vec<u8>> {
    log.reader().read(sequence).unwrap()
}

fn damaged_at(log: &DiskLog, sequence: u64) -> u64 {
    match log.reader().read(sequence).unwrap_err().kind() {
        ErrorKind::LogDamaged { offset, .. } => *offset,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_entry_is_found_by_its_sequence() {
    let (disk, mut log) = new_log();
    // Restart frames are between entries, and have the sequence of the next entry.
    for batch in entries(0..100, 90).chunks(7) {
        log.append_and_preallocate(batch).unwrap();
        log.tail.mark().unwrap();
    }
    for restarts in 0..2 {
        for number in 0..100 {
            assert_eq!(read(&log, number as u64 + 1), Some(entry(number, 90)), "after {restarts}");
        }
        assert_eq!((read(&log, 0), read(&log, 101), log.next_sequence()), (None, None, 101));
        log.close().unwrap();
        log = open(&disk).unwrap().0;
    }
}

#[test]
fn a_read_starts_near_its_entry() {
    let disk = Disk::default();
    let options = Options { segment_bytes: 1 << 20, ..small() };
    let mut log = recovery::open(Arc::new(disk.clone()), &options, 0, &mut |_, _, _| Ok(())).unwrap();
    log.append_and_preallocate(&entries(0..4_000, 200)).unwrap();
    disk.fail_at(usize::MAX, EIO);
    for sequence in [1, 2_000, 3_999] {
        assert_eq!(read(&log, sequence), Some(entry(sequence as usize - 1, 200)));
    }
    let reads = disk.calls().into_iter().filter(|call| *call == simulated::Call::Read).count();
    assert!(reads <= 6, "{reads}");
}

#[test]
fn trimmed_entries_are_not_found_in_recycled_files() {
    let (disk, mut log) = new_log();
    let reader = log.reader();
    // Equal sizes align frames with stale ones in a recycled file.
    for round in 0..40 {
        log.append_and_preallocate(&entries(10 * round..10 * round + 10, 200)).unwrap();
        let newest = log.segments().last().unwrap().number;
        log.trim(newest.saturating_sub(1)).unwrap();
        let found: Vec<_> = (1..=10 * round as u64 + 10).map(|one| reader.read(one).unwrap()).collect();
        let trimmed = found.iter().take_while(|found| found.is_none()).count();
        let remaining: Vec<_> = found.into_iter().skip(trimmed).flatten().collect();
        assert_eq!(remaining, entries(trimmed..10 * round + 10, 200));
        assert!((10..=80).contains(&remaining.len()), "{}", remaining.len());
    }
    drop(log);
    let log = open(&disk).unwrap().0;
    assert_eq!((read(&log, 1), read(&log, 400)), (None, Some(entry(399, 200))));
}

#[test]
fn a_read_of_a_damaged_entry_fails_with_its_offset() {
    let (disk, mut log) = new_log();
    let positions = log.append_and_preallocate(&entries(0..60, 200)).unwrap();
    let last = positions[59];
    disk.change(&segment_name(last.segment), |bytes| bytes[last.offset as usize + 60] ^= 1);
    assert_eq!(damaged_at(&log, 60), last.offset);
    assert_eq!(read(&log, 59), Some(entry(58, 200)));
    // No entry is found after a frame whose header is damaged.
    let broken = positions[57];
    disk.change(&segment_name(broken.segment), |bytes| bytes[broken.offset as usize] ^= 1);
    assert_eq!((damaged_at(&log, 58), damaged_at(&log, 59)), (broken.offset, broken.offset));
    disk.fail_at(0, EIO);
    assert_eq!(*log.reader().read(1).unwrap_err().kind(), ErrorKind::LogFailed);
}

#[test]
fn concurrent_reads_return_the_entry_or_none() {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
    let (_disk, mut log) = new_log();
    let (reader, newest, found, is_over) =
        (log.reader(), AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for thread in 0..2_u64 {
            let (reader, newest, found, is_over) = (reader.clone(), &newest, &found, &is_over);
            scope.spawn(move || {
                let mut step = thread;
                while !is_over.load(SeqCst) {
                    step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let sequence = newest.load(SeqCst).saturating_sub(step >> 58).max(1);
                    if let Some(bytes) = reader.read(sequence).unwrap() {
                        assert_eq!(bytes, entry(sequence as usize - 1, 150));
                        found.fetch_add(1, SeqCst);
                    }
                }
            });
        }
        let mut number = 0;
        // Continues until the readers have read enough entries.
        while number < 3_000 || (found.load(SeqCst) < 100 && number < 300_000) {
            log.append_and_preallocate(&entries(number..number + 3, 150)).unwrap();
            log.trim(log.segments().last().unwrap().number).unwrap();
            newest.store(log.next_sequence() - 1, SeqCst);
            number += 3;
        }
        is_over.store(true, SeqCst);
    });
    assert!(found.into_inner() >= 100);
}
