//! A log with a bound: its files never take more, and it says in time that it comes near.

use super::*;

const SEGMENT: u64 = SEGMENT_BYTES_MIN;
const RESERVE: u64 = 1024;

fn bounded(disk: &Disk, segments: u64) -> DiskLog {
    let options = Options { bytes_max: Some(segments * SEGMENT + RESERVE), spares_max: 0, ..small() };
    options.check().unwrap();
    recovery::open(Arc::new(disk.clone()), &options, 0, &mut |_, _, _| Ok(())).unwrap().0
}

#[test]
fn a_log_never_takes_more_than_its_bound_and_tells_when_it_is_near() {
    let disk = Disk::default();
    let mut log = bounded(&disk, 8);
    assert_eq!((log.level(), (log.level() < SpaceLevel::Full)), (SpaceLevel::Free, true));
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
        assert_eq!((log.level() < SpaceLevel::Full), log.level() < SpaceLevel::Full);
        seen.push(log.level());
    }
    assert!(seen.is_sorted());
    seen.dedup();
    assert_eq!(seen, [SpaceLevel::Free, SpaceLevel::Low, SpaceLevel::Full, SpaceLevel::Critical]);
    assert_eq!(log.segments().len(), 8);
    // Each segment that is given back is room for another one.
    for (oldest, level) in [(3, SpaceLevel::Full), (4, SpaceLevel::Low), (5, SpaceLevel::Free)] {
        log.trim(oldest).unwrap();
        assert_eq!(log.level(), level);
    }
    log.append_and_preallocate(&entries(0..30, 300)).unwrap();
    assert!(disk.used() as u64 <= 8 * SEGMENT + RESERVE);
}

#[test]
fn what_is_left_at_a_distance_is_there() {
    let disk = Disk::default();
    let mut log = bounded(&disk, 8);
    while log.level() < SpaceLevel::Critical {
        log.append_and_preallocate(&[entry(0, 300)]).unwrap();
    }
    // As much as may be needed to give back a segment.
    let room = SEGMENT - HEADER_BYTES - RESERVED_BYTES;
    for entry in entries(0..(room / 344) as usize - 1, 300) {
        log.append_and_preallocate(&[entry]).unwrap();
    }
}

#[test]
fn an_overdraft_is_one_segment_until_one_is_given_back() {
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
fn the_first_entry_of_every_segment_is_known() {
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
fn a_bound_too_small_to_work_is_refused() {
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
