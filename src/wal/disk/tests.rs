//! Tests of the log on a simulated disk. Tests on a real directory are in `directory`.

mod arbitrary;
mod bound;
mod damage;
mod directory;
mod failure;
mod model;
mod reader;
mod segments;

use super::simulated::{self, Disk, Survives};

use super::format::{FrameKind, Stamp};
use super::inspect::{Report, survey};
use super::*;

const LOG_ID: u64 = 0x1122_3344_5566_7788;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

type Entries = Vec<Vec<u8>>;

fn small() -> Options {
    Options { segment_bytes: SEGMENT_BYTES_MIN, spares_max: 2, reserve_bytes: 1024, bytes_max: None }
}

/// What an inspection found before a log was opened.
#[derive(Debug, PartialEq, Eq)]
struct Recovery {
    entries: u64,
    was_closed: bool,
    was_torn: bool,
}

fn open(disk: &Disk) -> Result<(DiskLog, Entries, Recovery)> {
    let copy = disk.fork();
    copy.calls();
    let recovery = match survey(&copy, &mut |_, _, _| Ok(())) {
        Ok(Report { entries, is_closed, is_torn, .. }) => {
            Recovery { entries, was_closed: is_closed, was_torn: is_torn }
        }
        Err(_) => Recovery { entries: 0, was_closed: true, was_torn: false },
    };
    let mut entries = Vec::new();
    let mut collect = |_: Position, _: u64, entry: &[u8]| {
        entries.push(entry.to_vec());
        Ok(())
    };
    let log = recovery::open(Arc::new(disk.clone()), &small(), LOG_ID, &mut collect)?;
    Ok((log, entries, recovery))
}

/// A callback that gets the entries of a log.
type EntryReader<'a> = dyn FnMut(Position, u64, &[u8]) -> Result<()> + 'a;

/// The log of a disk, for the tests of other modules.
pub(crate) fn open_on(disk: &Disk, options: &Options, entry: &mut EntryReader<'_>) -> Result<DiskLog> {
    recovery::open(Arc::new(disk.clone()), options, LOG_ID, entry)
}

impl DiskLog {
    /// Appends entries, and preallocates as far as is due.
    fn append_and_preallocate<E: AsRef<[u8]>>(&mut self, entries: &[E]) -> Result<Vec<Position>> {
        let positions = self.append(entries)?;
        while self.preallocate(false) {}
        Ok(positions)
    }

    /// Preallocates a part of the next segment, as in an idle log. Returns whether another part is left.
    fn prepare(&mut self) -> Result<bool> {
        let is_more = self.preallocate(true);
        self.check().map(|()| is_more)
    }
}

fn new_log() -> (Disk, DiskLog) {
    let disk = Disk::default();
    let log = open(&disk).unwrap().0;
    (disk, log)
}

fn refusal(disk: &Disk) -> Error {
    open(disk).map(|(_, entries, _)| entries.len()).unwrap_err()
}

/// Returns all readable entries and the report of a verification.
fn readable(disk: &Disk) -> Result<(Entries, Report)> {
    let mut entries = Vec::new();
    let report = survey(disk, &mut |_, _, entry| {
        entries.push(entry.to_vec());
        Ok(())
    })?;
    Ok((entries, report))
}

/// Returns a unique entry of this size.
fn entry(number: usize, bytes: usize) -> Vec<u8> {
    let mut entry = format!("entry {number} ").into_bytes();
    entry.resize(bytes.max(entry.len()), b'a' + (number % 26) as u8);
    entry
}

fn entries(numbers: std::ops::Range<usize>, bytes: usize) -> Entries {
    numbers.map(|number| entry(number, bytes)).collect()
}
