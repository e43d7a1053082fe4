//! Segments: roll-over, trim, recycling and preallocation; the lock; disk space.

use super::*;

#[test]
fn entries_are_recovered_in_order() {
    let (disk, mut log) = new_log();
    let all = entries(0..40, 90);
    for batch in all.chunks(7) {
        log.append_and_preallocate(batch).unwrap();
    }
    log.close().unwrap();
    let (_log, recovered, recovery) = open(&disk).unwrap();
    assert_eq!(recovered, all);
    assert_eq!(recovery, Recovery { entries: 40, was_closed: true, was_torn: false });
}

#[test]
fn empty_entries_are_recovered_and_empty_batches_are_not_written() {
    let (disk, mut log) = new_log();
    disk.fail_at(usize::MAX, EIO);
    assert_eq!(log.append::<&[u8]>(&[]).unwrap(), []);
    assert_eq!(disk.calls(), []);
    log.append_and_preallocate(&[b"".as_slice(), b"a", b""]).unwrap();
    drop(log);
    assert_eq!(open(&disk).unwrap().1, [b"".as_slice(), b"a", b""]);
}

#[test]
fn a_batch_is_one_write_and_one_sync() {
    use simulated::Call::{Sync, Write};
    let (disk, mut log) = new_log();
    while log.prepare().unwrap() {}
    disk.fail_at(usize::MAX, EIO);
    log.append_and_preallocate(&entries(0..10, 30)).unwrap();
    assert_eq!(disk.calls(), [Write, Sync]);
}

#[test]
fn a_batch_may_span_several_segments() {
    let (disk, mut log) = new_log();
    let all = entries(0..60, 200);
    let positions = log.append_and_preallocate(&all).unwrap();
    assert!(log.segments().len() >= 4, "{:?}", log.segments().collect::<Vec<_>>());
    assert!(positions.is_sorted());
    drop(log);
    disk.crash(Survives::Nothing);
    assert_eq!(open(&disk).unwrap().1, all);
}

#[test]
fn an_entry_at_the_limit_fits_and_a_larger_one_is_rejected() {
    let (disk, mut log) = new_log();
    let limit = small().entry_bytes_max();
    let error = log.append_and_preallocate(&[entry(0, 10), entry(1, limit + 1)]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::PayloadTooLarge { size, .. } if *size == limit + 1));
    log.append_and_preallocate(&[entry(2, limit)]).unwrap();
    log.append_and_preallocate(&[entry(3, limit)]).unwrap();
    log.close().unwrap();
    assert_eq!(open(&disk).unwrap().1, [entry(2, limit), entry(3, limit)]);
}

#[test]
fn stale_frames_of_recycled_segments_are_never_read() {
    let (disk, mut log) = new_log();
    // Equal sizes align new frames with stale ones in a recycled file.
    let all = entries(0..400, 100);
    let mut trimmed_before = 0;
    for (index, batch) in all.chunks(2).enumerate() {
        let position = log.append_and_preallocate(batch).unwrap()[0];
        if index % 20 == 19 {
            log.trim(position.segment).unwrap();
            assert_eq!(log.segments().next().unwrap().number, position.segment);
            trimmed_before = all.len();
        }
        assert!(disk.names().len() <= 5, "{:?}", disk.names());
        if index % 7 == 0 {
            let copy = disk.fork();
            copy.crash(Survives::Nothing);
            let recovered = open(&copy).unwrap().1;
            let upto = &all[..2 * index + 2];
            assert!(upto.ends_with(&recovered), "after batch {index}");
            assert!(recovered.len() >= 2);
        }
    }
    assert!(trimmed_before > 0);
    let last = log.segments().last().unwrap().number;
    assert!(last > 8, "{last}");
}

#[test]
fn a_frame_of_another_segment_is_not_read() {
    let (disk, mut log) = new_log();
    let at = log.append_and_preallocate(&entries(0..3, 40)).unwrap()[2].offset as usize + 80;
    drop(log);
    for (segment, sequence, is_read) in [(2, 4, false), (1, 5, false), (1, 3, false), (1, 4, true)] {
        let copy = disk.fork();
        let mut frame = Vec::new();
        Stamp { log_id: LOG_ID, segment, synced: 3 }.encode(&mut frame, FrameKind::Entry, sequence, b"stale");
        copy.change(&segment_name(1), |bytes| bytes[at..at + frame.len()].copy_from_slice(&frame));
        let recovered = open(&copy).map(|(_, entries, _)| entries.len());
        assert_eq!(recovered.unwrap_or_default() == 4, is_read, "segment {segment}, sequence {sequence}");
    }
}

#[test]
fn torn_entries_are_never_recovered() {
    let (disk, mut log) = new_log();
    log.append_and_preallocate(&entries(0..2, 40)).unwrap();
    // Only the end of this batch is on disk. Its valid frames are aligned with later ones.
    let position = log.append_and_preallocate(&entries(10..20, 40)).unwrap()[0];
    drop(log);
    disk.change(&segment_name(1), |bytes| bytes[position.offset as usize..][..80].fill(0xee));
    let (mut log, recovered, recovery) = open(&disk).unwrap();
    assert_eq!(recovered, entries(0..2, 40));
    assert_eq!((recovery.was_closed, recovery.was_torn), (false, true));
    // A restart frame of 48 bytes and two frames of 56 bytes end where the third frame of the truncated batch begins.
    let mut all = entries(0..2, 40);
    all.extend([entry(30, 16), entry(31, 16)]);
    log.append_and_preallocate(&all[2..]).unwrap();
    drop(log);
    assert_eq!(open(&disk).unwrap().1, all);
}

#[test]
fn the_next_segment_is_ready_before_it_is_needed() {
    let (disk, mut log) = new_log();
    let mut segments = 1;
    for number in 0..200 {
        disk.fail_at(usize::MAX, EIO);
        log.append_and_preallocate(&[entry(number, 100)]).unwrap();
        let made = disk.calls().iter().filter(|&&call| call == simulated::Call::Create).count();
        let rolled = log.segments().len() > segments;
        segments = log.segments().len();
        assert!(!rolled || log.tail.free_bytes() > 0);
        assert!(made <= 1);
        assert_eq!(log.tail.spares.ready(), 1, "after entry {number}");
    }
}

#[test]
fn a_trim_retains_the_newest_segment_after_a_crash() {
    let (disk, mut log) = new_log();
    let all = entries(0..120, 200);
    log.append_and_preallocate(&all).unwrap();
    log.trim(u64::MAX).unwrap();
    assert_eq!(log.segments().len(), 1);
    drop(log);
    disk.crash(Survives::Nothing);
    let (_, recovered, _) = open(&disk).unwrap();
    assert!(all.ends_with(&recovered) && recovered.len() < 40);
}

#[test]
fn a_full_disk_is_detected_with_reserved_space_left() {
    let (disk, mut log) = new_log();
    while log.prepare().unwrap() {}
    disk.set_capacity(Some(disk.used()));
    let mut all = Vec::new();
    while log.level() < SpaceLevel::Full {
        all.push(entry(all.len(), 100));
        log.append_and_preallocate(&all[all.len() - 1..]).unwrap();
    }
    let free = log.tail.free_bytes();
    assert!(free <= small().reserve_bytes && free > 512, "{free}");
    for _ in 0..free / 152 {
        all.push(entry(all.len(), 100));
        log.append_and_preallocate(&all[all.len() - 1..]).unwrap();
    }
    // Rejected before any write: later appends succeed.
    let error = log.append_and_preallocate(&[entry(0, 300)]).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::DiskFull);
    log.trim(u64::MAX).unwrap();
    assert!((log.level() < SpaceLevel::Full));
    let number = all.len();
    log.append_and_preallocate(&[entry(number, 300)]).unwrap();
    all.push(entry(number, 300));
    log.close().unwrap();
    let recovered = open(&disk).unwrap().1;
    assert!(all.ends_with(&recovered) && !recovered.is_empty());
}

#[test]
fn preallocation_resumes_when_the_disk_has_space() {
    let (disk, mut log) = new_log();
    disk.set_capacity(Some(disk.used()));
    assert!(!log.prepare().unwrap());
    assert!(log.tail.spares.is_disk_full());
    assert_eq!(disk.names(), [segment_name(1)]);
    disk.set_capacity(None);
    assert!(!log.prepare().unwrap());
    assert_eq!(((log.level() < SpaceLevel::Full), log.tail.spares.ready()), (true, 1));
}

#[test]
fn a_new_log_on_a_full_disk_is_refused() {
    let disk = Disk::default();
    disk.set_capacity(Some(4000));
    assert_eq!(refusal(&disk).kind(), &ErrorKind::DiskFull);
    disk.set_capacity(None);
    open(&disk).unwrap();
}

#[test]
fn an_existing_log_opens_on_a_full_disk() {
    let (disk, mut log) = new_log();
    log.append_and_preallocate(&entries(0..10, 100)).unwrap();
    drop(log);
    disk.crash(Survives::Nothing);
    disk.set_capacity(Some(0));
    let (mut log, recovered, _) = open(&disk).unwrap();
    assert_eq!(recovered.len(), 10);
    log.append_and_preallocate(&[entry(10, 100)]).unwrap();
    log.close().unwrap();
}

#[test]
fn a_log_may_have_segments_of_different_sizes() {
    let (disk, mut log) = new_log();
    log.append_and_preallocate(&entries(0..30, 100)).unwrap();
    drop(log);
    let options = Options { segment_bytes: 16 * 1024, ..small() };
    let mut count = 0;
    let mut counted = |_: Position, _: u64, _: &[u8]| {
        count += 1;
        Ok(())
    };
    let mut log = recovery::open(Arc::new(disk.clone()), &options, 0, &mut counted).unwrap();
    log.append_and_preallocate(&entries(30..200, 100)).unwrap();
    log.trim(3).unwrap();
    // A file of another size is not recycled.
    log.append_and_preallocate(&entries(200..500, 100)).unwrap();
    let sizes: Vec<_> = log.segments().map(|segment| segment.bytes).collect();
    assert!(sizes.iter().all(|&bytes| bytes == 16 * 1024), "{sizes:?}");
    drop(log);
    assert_eq!(count, 30);
    assert_eq!(open(&disk).unwrap().1.last(), Some(&entry(499, 100)));
}

#[test]
fn a_log_is_locked_by_one_process() {
    let (disk, log) = new_log();
    let error = refusal(&disk);
    assert_eq!(error.kind(), &ErrorKind::LogRefused);
    assert!(error.message().contains("disk") && error.message().contains("another process"), "{error}");
    drop(log);
    open(&disk).unwrap();
}

#[test]
fn a_new_log_starts_with_a_small_segment() {
    let (disk, options) = (Disk::default(), Options { segment_bytes: 16 << 20, ..Options::default() });
    let mut log = open_on(&disk, &options, &mut |_, _, _| Ok(())).unwrap();
    assert_eq!(log.segments().map(|segment| segment.bytes).collect::<Vec<_>>(), [4 << 20]);
    // Slightly more than half of the segment.
    for number in 0..9 {
        log.append_and_preallocate(&[entry(number, 256 << 10)]).unwrap();
    }
    assert!(log.tail.free_bytes() > 16 << 20, "the next segment is preallocated: {}", log.tail.free_bytes());
    let large = entry(9, options.entry_bytes_max());
    log.append_and_preallocate(std::slice::from_ref(&large)).unwrap();
    assert_eq!(log.segments().last().map(|segment| segment.bytes), Some(16 << 20));
    drop(log);
    disk.crash(Survives::Nothing);
    let mut last = Vec::new();
    let mut collect = |_: Position, _: u64, entry: &[u8]| {
        last = entry.to_vec();
        Ok(())
    };
    open_on(&disk, &options, &mut collect).unwrap();
    assert_eq!(last, large);
}
