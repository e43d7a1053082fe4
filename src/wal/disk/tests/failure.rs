//! One call of the disk fails, each in turn: nothing is acknowledged after it, and everything before is there.

use super::*;

/// A life that uses every call: `told` learns of what was acknowledged.
fn script(disk: &Disk, told: &mut Entries, all: &mut Entries) -> Result<()> {
    let (mut log, _, _) = open(disk)?;
    let mut first_error = None;
    for round in 0..6 {
        for size in [40, 300, 700] {
            let batch = entries(10 * round..10 * round + 4, size);
            if first_error.is_none() {
                all.extend(batch.iter().cloned());
            }
            match (log.append_and_preallocate(&batch), &first_error) {
                (Ok(_), None) => told.extend(batch),
                (Ok(_), Some(error)) => panic!("acknowledged after {error}"),
                (Err(error), Some(first)) => assert_eq!(&error, first),
                (Err(error), None) if log.failed.is_none() => {
                    // Refused before anything was written.
                    assert_eq!(error.kind(), &ErrorKind::DiskFull);
                    all.truncate(all.len() - batch.len());
                }
                (Err(error), None) => {
                    assert_eq!(log.failed.as_ref(), Some(&error));
                    first_error = Some(error);
                }
            }
        }
        if round % 2 == 1
            && let Err(error) = log.trim(log.segments().last().map_or(0, |segment| segment.number))
        {
            first_error.get_or_insert(error);
        }
        if let Err(error) = log.prepare() {
            first_error.get_or_insert(error);
        }
    }
    let closed = log.close();
    if let Some(error) = first_error {
        assert_eq!(closed.unwrap_err(), error);
    }
    Ok(())
}

fn is_kept(recovered: &Entries, told: &Entries, all: &Entries) -> bool {
    // Older segments were trimmed, whole: what is left is an end of the acknowledged entries and what may follow.
    (told.len()..=all.len())
        .any(|end| all[..end].ends_with(recovered) && (told.is_empty() || !recovered.is_empty()))
}

#[test]
fn whichever_call_fails_nothing_acknowledged_is_lost() {
    for code in [EIO, ENOSPC] {
        let mut call = 0;
        loop {
            let disk = Disk::default();
            let (mut told, mut all) = (Vec::new(), Vec::new());
            disk.fail_at(call, code);
            let result = script(&disk, &mut told, &mut all);
            let calls = disk.calls();
            assert!(result.is_ok() || told.is_empty());
            for keeps in [Survives::Nothing, Survives::All, Survives::Some(call as u64)] {
                let copy = disk.fork();
                copy.crash(keeps);
                let recovered = open(&copy).unwrap().1;
                assert!(is_kept(&recovered, &told, &all), "error {code} at call {call}, {keeps:?}");
            }
            // The process ends, the machine does not: what it read from memory must be on disk from then on.
            let (log, recovered, _) = open(&disk).unwrap();
            assert!(is_kept(&recovered, &told, &all), "error {code} at call {call}");
            drop(log);
            disk.crash(Survives::Nothing);
            // A trim that was cut short may have been completed.
            let again = open(&disk).unwrap().1;
            assert!(recovered.ends_with(&again), "error {code} at call {call}");
            assert!(recovered.is_empty() || !again.is_empty(), "error {code} at call {call}");
            if calls.len() <= call {
                assert!(call > 100, "the script makes only {call} calls");
                break;
            }
            call += 1;
        }
    }
}

#[test]
fn a_failed_sync_poisons_for_good() {
    let (disk, mut log) = new_log();
    log.append_and_preallocate(&[b"a"]).unwrap();
    disk.fail_at(1, EIO);
    let error = log.append_and_preallocate(&[b"b"]).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::LogFailed);
    assert!(error.message().contains("segment-0000000000000001.log"), "{error}");
    assert!(log.space().is_err());
    for _ in 0..3 {
        assert_eq!(log.append_and_preallocate(&[b"c"]).unwrap_err(), error);
        assert_eq!(log.trim(9).unwrap_err(), error);
    }
    let written = disk.calls().iter().filter(|&&call| call == simulated::Call::Write).count();
    assert_eq!(written, 1, "nothing is tried again");
    assert_eq!(log.close().unwrap_err(), error);
}

#[test]
fn a_failed_write_for_want_of_room_says_so() {
    let (disk, mut log) = new_log();
    disk.fail_at(0, ENOSPC);
    assert_eq!(log.append_and_preallocate(&[b"a"]).unwrap_err().kind(), &ErrorKind::DiskFull);
    assert_eq!(log.append_and_preallocate(&[b"a"]).unwrap_err().kind(), &ErrorKind::DiskFull);
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let (disk, mut log) = new_log();
    log.append_and_preallocate(&[b"a"]).unwrap();
    drop(log);
    for refused in [simulated::Call::Lock, simulated::Call::SyncDirectory, simulated::Call::Write] {
        let copy = disk.fork();
        copy.fail_at(usize::MAX, EROFS);
        open(&copy).unwrap();
        let call = copy.calls().iter().position(|&call| call == refused).unwrap();
        let copy = disk.fork();
        copy.fail_at(call, EROFS);
        let error = refusal(&copy);
        assert_eq!(error.kind(), &ErrorKind::LogRefused, "{error}");
        assert!(error.message().contains("cannot write in disk"), "{error}");
    }
}

#[test]
fn an_error_of_the_reader_ends_the_recovery() {
    let (disk, mut log) = new_log();
    log.append_and_preallocate(&entries(0..5, 20)).unwrap();
    drop(log);
    let mut seen = 0;
    let mut refuse = |_: Position, _: u64, _: &[u8]| {
        seen += 1;
        if seen == 3 { Err(Error::new(ErrorKind::Internal, "no")) } else { Ok(()) }
    };
    let error = recovery::open(Arc::new(disk.clone()), &small(), 0, &mut refuse).unwrap_err();
    assert_eq!((error.message(), seen), ("no", 3));
    assert_eq!(open(&disk).unwrap().1.len(), 5);
}
