//! The size limit of a log, and its space levels below the limit.

use super::*;

const SEGMENT: u64 = SEGMENT_BYTES_MIN;
const RESERVE: u64 = 1024;

fn bounded(disk: &Disk, segments: u64) -> DiskLog {
    let options = Options { bytes_max: Some(segments * SEGMENT + RESERVE), spares_max: 0, ..small() };
    options.check().unwrap();
    recovery::open(Arc::new(disk.clone()), &options, 0, &mut |_, _, _| Ok(())).unwrap()
}

#[test]
fn a_log_stays_below_its_limit_and_reports_space_levels() {
    let disk = Disk::default();
    let mut log = bounded(&disk, 8);
    assert_eq!(log.level(), SpaceLevel::Free);
    let mut seen = vec![log.level()];
    for number in 0.. {
        match log.append_and_preallocate(&[entry(number, 300)]) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), &ErrorKind::DiskFull);
                break;
            }
        }
        log.prepare().unwrap();
        assert!(disk.used() as u64 <= 8 * SEGMENT + RESERVE, "{}", disk.used());
        seen.push(log.level());
    }
    assert!(seen.is_sorted());
    seen.dedup();
    assert_eq!(seen, [SpaceLevel::Free, SpaceLevel::Low, SpaceLevel::Full, SpaceLevel::Critical]);
    assert_eq!(log.segments().len(), 8);
    // Each reclaimed segment frees the space of one.
    for (oldest, level) in [(3, SpaceLevel::Full), (4, SpaceLevel::Low), (5, SpaceLevel::Free)] {
        log.trim(oldest).unwrap();
        assert_eq!(log.level(), level);
    }
    log.append_and_preallocate(&entries(0..30, 300)).unwrap();
    assert!(disk.used() as u64 <= 8 * SEGMENT + RESERVE);
}

#[test]
fn at_critical_space_a_segment_can_still_be_written() {
    let disk = Disk::default();
    let mut log = bounded(&disk, 8);
    while log.level() < SpaceLevel::Critical {
        log.append_and_preallocate(&[entry(0, 300)]).unwrap();
    }
    // The bytes that the compaction of a segment may need.
    let free = SEGMENT - HEADER_BYTES - RESERVED_BYTES;
    for entry in entries(0..(free / 344) as usize - 1, 300) {
        log.append_and_preallocate(&[entry]).unwrap();
    }
}

#[test]
fn the_limit_may_be_exceeded_by_one_segment_until_a_trim() {
    let disk = Disk::default();
    let mut log = bounded(&disk, 6);
    let fill = |log: &mut DiskLog| while log.append_and_preallocate(&[entry(0, 300)]).is_ok() {};
    fill(&mut log);
    log.retry_full_disk();
    fill(&mut log);
    assert_eq!(log.segments().len(), 7);
    log.trim(2).unwrap();
    fill(&mut log);
    assert_eq!(log.segments().len(), 6);
}

#[test]
fn the_first_sequence_of_each_segment_is_known() {
    let disk = Disk::default();
    let mut log = bounded(&disk, 8);
    let positions = log.append_and_preallocate(&entries(0..80, 300)).unwrap();
    for segment in log.segments() {
        let first = positions.iter().position(|position| position.segment == segment.number).unwrap();
        assert_eq!(log.first_sequence(segment.number), first as u64 + 1);
    }
    let log = {
        drop(log);
        bounded(&disk, 8)
    };
    assert_eq!(log.first_sequence(2), positions.iter().position(|at| at.segment == 2).unwrap() as u64 + 1);
    assert_eq!(bounded(&Disk::default(), 6).first_sequence(1), 1);
}

#[test]
fn a_limit_below_the_minimum_is_rejected() {
    for (bytes_max, is_enough) in [(6 * SEGMENT + RESERVE - 1, false), (6 * SEGMENT + RESERVE, true)] {
        let options = Options { bytes_max: Some(bytes_max), ..small() };
        let checked = options.check();
        assert_eq!(checked.is_ok(), is_enough);
        if let Err(error) = checked {
            let message = error.message();
            assert!(
                message.contains(&bytes_max.to_string()) && message.contains("at least 50176"),
                "{message}"
            );
        }
    }
    for mib in [136, 500, 5_000] {
        let options = Options::within(mib * 1024 * 1024);
        options.check().unwrap();
        assert!(options.entry_bytes_max() == ENTRY_BYTES_MAX && options.entries_bytes_max() > Some(1 << 20));
    }
    assert!(Options::within(135 * 1024 * 1024).check().is_err());
}
