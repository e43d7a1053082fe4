//! Each call to the disk fails once: no entry is acknowledged after the failure, and all earlier ones are recovered.

use super::*;

/// Uses every call to the disk. Collects acknowledged entries in `acknowledged` and all entries in `all`.
fn script(disk: &Disk, acknowledged: &mut Entries, all: &mut Entries) -> Result<()> {
    let (mut log, _, _) = open(disk)?;
    let mut first_error = None;
    for round in 0..6 {
        for size in [40, 300, 700] {
            let batch = entries(10 * round..10 * round + 4, size);
            if first_error.is_none() {
                all.extend(batch.iter().cloned());
            }
            match (log.append_and_preallocate(&batch), &first_error) {
                (Ok(_), None) => acknowledged.extend(batch),
                (Ok(_), Some(error)) => panic!("acknowledged after {error}"),
                (Err(error), Some(first)) => assert_eq!(&error, first),
                (Err(error), None) if log.failed.is_none() => {
                    // Rejected before any write.
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

fn is_valid_recovery(recovered: &Entries, acknowledged: &Entries, all: &Entries) -> bool {
    // Older segments are trimmed. The rest is a suffix of the acknowledged entries, and possibly later ones.
    (acknowledged.len()..=all.len())
        .any(|end| all[..end].ends_with(recovered) && (acknowledged.is_empty() || !recovered.is_empty()))
}

#[test]
fn no_failed_call_loses_acknowledged_entries() {
    for code in [EIO, ENOSPC] {
        let mut call = 0;
        loop {
            let disk = Disk::default();
            let (mut acknowledged, mut all) = (Vec::new(), Vec::new());
            disk.fail_at(call, code);
            let result = script(&disk, &mut acknowledged, &mut all);
            let calls = disk.calls();
            assert!(result.is_ok() || acknowledged.is_empty());
            for unsynced in [Survives::Nothing, Survives::All, Survives::Some(call as u64)] {
                let copy = disk.fork();
                copy.crash(unsynced);
                let recovered = open(&copy).unwrap().1;
                assert!(
                    is_valid_recovery(&recovered, &acknowledged, &all),
                    "error {code} at call {call}, {unsynced:?}"
                );
            }
            // The process ends without a machine crash. Recovery must make the entries that it reads durable.
            let (log, recovered, _) = open(&disk).unwrap();
            assert!(is_valid_recovery(&recovered, &acknowledged, &all), "error {code} at call {call}");
            drop(log);
            disk.crash(Survives::Nothing);
            // An interrupted trim may have been completed.
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
fn a_failed_sync_fails_all_later_calls() {
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
    assert_eq!(written, 1, "no write is retried");
    assert_eq!(log.close().unwrap_err(), error);
}

#[test]
fn a_write_without_disk_space_fails_with_disk_full() {
    let (disk, mut log) = new_log();
    disk.fail_at(0, ENOSPC);
    assert_eq!(log.append_and_preallocate(&[b"a"]).unwrap_err().kind(), &ErrorKind::DiskFull);
    assert_eq!(log.append_and_preallocate(&[b"a"]).unwrap_err().kind(), &ErrorKind::DiskFull);
}

#[test]
fn a_read_only_directory_is_refused() {
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
    let error = recovery::open(Arc::new(disk.clone()), &small(), 0, &mut refuse).err().unwrap();
    assert_eq!((error.message(), seen), ("no", 3));
    assert_eq!(open(&disk).unwrap().1.len(), 5);
}
