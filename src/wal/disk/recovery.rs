//! Opens a log: locks the directory, reads all entries, and repairs the end.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::files::{Files, LogFile};
use super::format::{HEADER_BYTES, SegmentHeader, VERSION};
use super::names::{Listing, Numbered, segment_name};
use super::preallocation::Spares;
use super::reader::{Index, Reader};
use super::shortage::RetryingFiles;
use super::tail::{Active, Tail, first_segment};
use super::walk::{End, Visitor, walk};
use super::{Damage, DiskLog, EachEntry, Options, Position, refusals};
use crate::error::Result;

/// Bytes written at a time.
const BLOCK_BYTES: usize = 1024 * 1024;

/// The state of a log when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// Entries that were read.
    pub entries: u64,
    /// Whether the log was new or had been closed; otherwise the last process ended without closing it.
    pub was_closed: bool,
    /// Whether an unfinished batch, which was never acknowledged, was removed.
    pub was_cut: bool,
}

/// Passes entries on; damage ends the walk.
struct Replay<'a> {
    files: &'a dyn Files,
    entries: u64,
    index: Index,
    entry: &'a mut EachEntry<'a>,
}

impl Visitor for Replay<'_> {
    fn entry(&mut self, position: Position, sequence: u64, entry: &[u8]) -> Result<()> {
        self.entries += 1;
        self.index.add(sequence, position);
        (self.entry)(position, sequence, entry)
    }

    fn damage(&mut self, damage: Damage) -> Result<()> {
        Err(refusals::damaged(self.files, &damage))
    }
}

/// Opens the log of a directory; a new one gets `new_id`.
pub(super) fn open<'a>(
    files: Arc<dyn Files>,
    options: &Options,
    new_id: u64,
    entry: &'a mut EachEntry<'a>,
) -> Result<(DiskLog, Recovery)> {
    let lock = files.lock(false).map_err(|error| refusals::preparing(&*files, "", &error))?;
    let Some(lock) = lock else { return Err(refusals::in_use(files.directory())) };
    let listing = Listing::of(&*files)?;
    let (tail, index, recovery) = if listing.segments.is_empty() {
        if let Some(other) = listing.others.first() {
            return Err(refusals::not_a_log(files.directory(), other));
        }
        let recovery = Recovery { entries: 0, was_closed: true, was_cut: false };
        (begin(files, options, &listing, new_id)?, Index::default(), recovery)
    } else {
        let mut replay = Replay { files: &*files, entries: 0, index: Index::default(), entry };
        let end = walk(&*files, &listing.segments, &mut replay)?;
        let Replay { entries, index, .. } = replay;
        let recovery = Recovery { entries, was_closed: end.is_marked, was_cut: end.is_torn };
        (go_on(files, options, &listing, &end)?, index, recovery)
    };
    let reader = Reader::new(tail.files.clone(), tail.log_id, index);
    reader.forget_before(tail.oldest);
    Ok((DiskLog { tail, reader, failed: None, lock }, recovery))
}

fn begin(files: Arc<dyn Files>, options: &Options, listing: &Listing, log_id: u64) -> Result<Tail> {
    let mut spares = Spares::find(&*files, listing, options)?;
    let active = first_segment(&*files, &mut spares, log_id)?;
    Ok(Tail {
        held: VecDeque::from([Numbered { number: active.number, bytes: active.bytes }]),
        active,
        files,
        options: options.clone(),
        log_id,
        spares,
        oldest: 1,
        next_sequence: 1,
        synced: 0,
        is_marked: false,
        buffer: Vec::new(),
    })
}

fn go_on(files: Arc<dyn Files>, options: &Options, listing: &Listing, end: &End) -> Result<Tail> {
    let last = end.segments.last().expect("a log that was walked has a segment");
    let name = segment_name(last.number);
    let failed = |error| refusals::preparing(&*files, &name, &error);
    // The process before may have ended between a rename and this.
    files.sync_directory().map_err(failed)?;
    let file = files.open(&name, true).map_err(failed)?;
    make_certain(&*file, end).map_err(failed)?;
    upgrade(&*file, last.header).map_err(failed)?;
    let mut tail = Tail {
        active: Active { number: last.number, bytes: last.bytes, file, offset: end.offset },
        held: listing.segments.iter().copied().collect(),
        spares: Spares::find(&*files, listing, options)?,
        files,
        options: options.clone(),
        log_id: end.log_id,
        oldest: end.oldest,
        next_sequence: end.next_sequence,
        synced: end.next_sequence.saturating_sub(1),
        is_marked: end.is_marked,
        buffer: Vec::new(),
    };
    let is_empty = tail.active.offset == HEADER_BYTES;
    if !tail.is_marked && !is_empty && tail.has_space_for_mark(1) {
        tail.mark()?;
    }
    tail.free_segments()?;
    Ok(tail)
}

/// Makes durable what the last process may have left in the page cache, and zeroes what follows the last intact frame.
///
/// Frames are written again, not only synced: after a failed sync, the page cache may hold them as clean. What follows is
/// zeroed: a frame of an unfinished batch must not be read as one behind later batches.
fn make_certain(file: &dyn LogFile, end: &End) -> std::io::Result<()> {
    let mut block = vec![0; block_bytes(end.unsure_from, end.offset.max(end.zero_from))];
    let mut at = end.unsure_from;
    while at < end.offset {
        let bytes = block_bytes(at, end.offset);
        if file.read_at(&mut block[..bytes], at)? < bytes {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(&block[..bytes], at)?;
        at += bytes as u64;
    }
    block.fill(0);
    while at < end.zero_from {
        let bytes = block_bytes(at, end.zero_from);
        file.write_at(&block[..bytes], at)?;
        at += bytes as u64;
    }
    if at > end.unsure_from { file.sync() } else { Ok(()) }
}

/// Writes this format version into the header of the active segment: an older program refuses the log from then on. The fields
/// are within one sector.
fn upgrade(file: &dyn LogFile, header: Option<SegmentHeader>) -> std::io::Result<()> {
    match header {
        Some(header) if header.version < VERSION => {
            file.write_at(&SegmentHeader { version: VERSION, ..header }.encode(), 0)?;
            file.sync()
        }
        _ => Ok(()),
    }
}

fn block_bytes(from: u64, to: u64) -> usize {
    usize::try_from(to - from).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES)
}

/// The directory of a log for reading alone, and the lock against writers.
pub(super) fn look(directory: &Path) -> Result<(Box<dyn Files>, Box<dyn Send>)> {
    let files = super::files::Directory::existing(directory);
    let files = files.map_err(|error| refusals::no_directory(directory, &error))?;
    let files: Box<dyn Files> = Box::new(RetryingFiles::new(files));
    let lock = files.lock(true).map_err(|error| refusals::reading(&*files, "", &error))?;
    match lock {
        Some(lock) => Ok((files, lock)),
        None => Err(refusals::in_use(directory)),
    }
}
