//! Damaged files: recovery returns all provably acknowledged entries, or refuses the log.

use super::*;

/// Returns a log with batches in two segments, its entries, and their number before the last batch.
fn sample(is_closed: bool) -> (Disk, Entries, usize) {
    let (disk, mut log) = new_log();
    let filler = entries(0..1, 3700);
    let all: Entries = filler.into_iter().chain(entries(1..8, 20)).collect();
    log.append_and_preallocate(&all[..1]).unwrap();
    log.append_and_preallocate(&all[1..3]).unwrap();
    log.append_and_preallocate(&all[3..5]).unwrap();
    log.append_and_preallocate(&all[5..]).unwrap();
    assert_eq!(log.segments().len(), 2);
    if is_closed {
        log.close().unwrap();
    } else {
        drop(log);
        disk.crash(Survives::Nothing);
    }
    (disk, all, 5)
}

fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::LogDamaged { .. } | ErrorKind::LogRefused)
}

/// Opens a changed log. It must be refused, or have a prefix of the entries with at least `certain` of them.
fn check(disk: &Disk, all: &Entries, certain: usize, what: &str) -> bool {
    let readable = readable(disk);
    if let Ok((entries, report)) = &readable {
        assert!(entries.iter().all(|entry| all.contains(entry)), "{what}");
        assert_eq!(report.entries as usize, entries.len(), "{what}");
    }
    match open(disk) {
        Ok((log, recovered, _)) => {
            assert!(all.starts_with(&recovered), "{what}");
            assert!(recovered.len() >= certain, "{what}: {} entries left", recovered.len());
            assert!(readable.unwrap().1.damages.is_empty(), "{what}");
            drop(log);
            true
        }
        Err(error) => {
            assert!(is_refusal(&error), "{what}: {error}");
            assert!(readable.map_or(true, |(_, report)| !report.damages.is_empty()), "{what}: {error}");
            false
        }
    }
}

#[test]
fn every_bit_flip_is_detected_or_harmless() {
    for is_closed in [true, false] {
        let (disk, all, before_last) = sample(is_closed);
        let certain = if is_closed { all.len() } else { before_last };
        let (mut refused, mut opened) = (0, 0);
        for number in [1, 2] {
            let name = segment_name(number);
            let size = disk.bytes(&name).len();
            // The long payload and the zeros after it are uniform: a sample is enough.
            let is_tried = |at: &usize| match at {
                0..80 | 4096..4200 => true,
                4200..7760 if number == 1 => at.is_multiple_of(61),
                5000..8192 if number == 2 => at.is_multiple_of(61),
                _ => *at > 4096,
            };
            for at in (0..size).filter(is_tried) {
                for bit in 0..8 {
                    let copy = disk.fork();
                    copy.change(&name, |bytes| bytes[at] ^= 1 << bit);
                    let what = format!("bit {bit} of byte {at} of {name}, closed: {is_closed}");
                    if check(&copy, &all, certain, &what) { opened += 1 } else { refused += 1 }
                }
            }
        }
        assert!(refused > 1000 && opened > 500, "{refused} refused, {opened} opened");
    }
}

#[test]
fn every_truncation_is_detected() {
    for is_closed in [true, false] {
        let (disk, all, _) = sample(is_closed);
        for number in [1, 2] {
            let name = segment_name(number);
            for bytes in (0..8192).filter(|at| at % 7 == 0 || at % 512 < 2) {
                let copy = disk.fork();
                copy.change(&name, |file| file.truncate(bytes));
                let what = format!("{name} cut to {bytes} bytes");
                assert!(!check(&copy, &all, 0, &what), "{what}");
            }
        }
    }
}

#[test]
fn every_torn_tail_of_an_unacknowledged_batch_is_truncated() {
    let (disk, all, before_last) = sample(false);
    let name = segment_name(2);
    let whole = disk.bytes(&name);
    let end = 1 + whole.iter().rposition(|&byte| byte != 0).unwrap();
    for cut in 4096..end {
        let copy = disk.fork();
        copy.change(&name, |bytes| bytes[cut..].fill(0));
        let Ok((_, recovered, _)) = open(&copy) else { panic!("cut at {cut}") };
        assert!(all.starts_with(&recovered));
        // Frames of 64 bytes. The last 4 bytes are padding.
        assert_eq!(recovered.len(), before_last - 1 + (cut + 4 - 4096) / 64, "cut at {cut}");
    }
}

#[test]
fn the_error_names_the_file_the_offset_and_the_remedy() {
    let (disk, _, _) = sample(true);
    disk.change(&segment_name(2), |bytes| bytes[4096 + 50] ^= 1);
    let error = refusal(&disk);
    let file = Path::new("disk").join(segment_name(2));
    assert_eq!(error.kind(), &ErrorKind::LogDamaged { file, offset: 4096 });
    for part in
        ["segment-0000000000000002.log", "byte 4096", "entry 5 ", "jobstream log verify disk", "salvage"]
    {
        assert!(error.message().contains(part), "{part}: {error}");
    }
}

#[test]
fn every_missing_segment_is_detected() {
    let (disk, mut log) = new_log();
    log.append_and_preallocate(&entries(0..100, 200)).unwrap();
    log.close().unwrap();
    let segments: Vec<_> = disk.names().into_iter().filter(|name| name.starts_with("segment")).collect();
    assert!(segments.len() > 4);
    for name in &segments {
        let copy = disk.fork();
        copy.remove_file(name);
        let error = refusal(&copy);
        assert!(matches!(error.kind(), ErrorKind::LogDamaged { .. }), "{name}: {error}");
        assert!(error.message().contains(&**name), "{name}: {error}");
    }
}

#[test]
fn swapped_and_duplicated_segments_are_detected() {
    let (disk, mut log) = new_log();
    log.append_and_preallocate(&entries(0..60, 200)).unwrap();
    log.close().unwrap();
    let (second, third) = (disk.bytes(&segment_name(2)), disk.bytes(&segment_name(3)));
    let swapped = disk.fork();
    swapped.change(&segment_name(2), |bytes| *bytes = third.clone());
    swapped.change(&segment_name(3), |bytes| *bytes = second);
    assert!(matches!(refusal(&swapped).kind(), ErrorKind::LogDamaged { .. }));
    disk.change(&segment_name(2), |bytes| *bytes = third);
    assert!(matches!(refusal(&disk).kind(), ErrorKind::LogDamaged { .. }));
}

#[test]
fn a_trimmed_log_is_not_damaged() {
    let (disk, mut log) = new_log();
    log.append_and_preallocate(&entries(0..60, 200)).unwrap();
    log.trim(3).unwrap();
    log.close().unwrap();
    assert_eq!(readable(&disk).unwrap().1.damages, []);
    disk.remove_file(&segment_name(3));
    assert!(refusal(&disk).message().contains(&segment_name(3)));
}

#[test]
fn entries_after_damage_can_be_read() {
    let (disk, mut log) = new_log();
    let all = entries(0..80, 200);
    let positions = log.append_and_preallocate(&all).unwrap();
    log.append_and_preallocate(&entries(80..82, 20)).unwrap();
    log.close().unwrap();
    // Damages an entry, three successive entries, another entry and a header.
    for broken in [5, 30, 31, 32, 60] {
        let at = positions[broken].offset as usize;
        disk.change(&segment_name(positions[broken].segment), |bytes| bytes[at + 30..at + 50].fill(7));
    }
    disk.change(&segment_name(2), |bytes| bytes[20] ^= 255);
    let (entries, report) = readable(&disk).unwrap();
    assert_eq!(entries.len(), 82 - 5);
    assert!(
        all.iter()
            .enumerate()
            .all(|(index, entry)| entries.contains(entry) != [5, 30, 31, 32, 60].contains(&index))
    );
    assert_eq!(report.damages.iter().map(|damage| damage.entries_lost).sum::<u64>(), 5);
    assert!(report.is_closed);
}

#[test]
fn a_newer_version_is_refused_with_both_versions() {
    let (disk, log) = new_log();
    log.close().unwrap();
    disk.change(&segment_name(1), |bytes| {
        let mut header = format::SegmentHeader::decode(bytes).unwrap();
        header.version = 3;
        bytes[..64].copy_from_slice(&header.encode());
    });
    let error = refusal(&disk);
    assert_eq!(error.kind(), &ErrorKind::LogRefused);
    assert!(error.message().contains("version 3") && error.message().contains("up to 2"), "{error}");
}

#[test]
fn unknown_files_and_segments_of_other_logs_are_refused() {
    let disk = Disk::default();
    disk.put("photo.jpg", vec![0; 10]);
    assert!(refusal(&disk).message().contains("photo.jpg"));

    let disk = Disk::default();
    disk.put(&segment_name(1), b"text of another program.".repeat(400));
    assert!(refusal(&disk).message().contains("does not start with a segment header"));

    let (disk, log) = new_log();
    log.close().unwrap();
    disk.put("segment-2.log", Vec::new());
    assert!(refusal(&disk).message().contains("segment-2.log"));
    disk.remove_file("segment-2.log");
    disk.put("notes.txt", Vec::new());
    open(&disk).unwrap();

    let other = Disk::default();
    recovery::open(Arc::new(other.clone()), &small(), 7, &mut |_, _, _| Ok(())).unwrap();
    other.change(&segment_name(1), |bytes| {
        let mut header = format::SegmentHeader::decode(bytes).unwrap();
        header.number = 2;
        bytes[..64].copy_from_slice(&header.encode());
    });
    disk.put(&segment_name(2), other.bytes(&segment_name(1)));
    let error = refusal(&disk);
    assert_eq!(error.kind(), &ErrorKind::LogRefused);
    assert!(error.message().contains("belongs to another log"), "{error}");
}
