//! Opens a log: locks the directory, reads all entries, and repairs the end.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::files::{Files, LogFile};
use super::format::{HEADER_BYTES, SegmentHeader, VERSION};
use super::names::{Listing, segment_name};
use super::preallocation::Spares;
use super::reader::{Index, Reader};
use super::shortage::RetryingFiles;
use super::tail::{Active, Tail, first_segment};
use super::walk::{End, Found, walk};
use super::{DiskLog, EachEntry, Options, Segment, refusals};
use crate::error::Result;

/// Bytes written at a time.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Opens the log of a directory; a new one gets `new_id`.
pub(super) fn open(
    files: Arc<dyn Files>,
    options: &Options,
    new_id: u64,
    entry: &mut EachEntry<'_>,
) -> Result<DiskLog> {
    let lock = files.lock(false).map_err(|error| refusals::preparing(&*files, "", &error))?;
    let Some(lock) = lock else { return Err(refusals::in_use(files.directory())) };
    let listing = Listing::of(&*files)?;
    let mut index = Index::default();
    let tail = if listing.segments.is_empty() {
        if let Some(other) = listing.others.first() {
            return Err(refusals::not_a_log(files.directory(), other));
        }
        create(files, options, &listing, new_id)?
    } else {
        let end = walk(&*files, &listing.segments, &mut |found| match found {
            Found::Entry(position, sequence, bytes) => {
                index.add(sequence, position);
                entry(position, sequence, bytes)
            }
            Found::Damage(damage) => Err(refusals::damaged(&*files, &damage)),
        })?;
        resume(files, options, &listing, &end)?
    };
    let reader = Reader::new(tail.files.clone(), tail.log_id, index);
    reader.remove_before(tail.oldest);
    Ok(DiskLog { tail, reader, failed: None, lock })
}

/// Creates the first segment of a new log.
fn create(files: Arc<dyn Files>, options: &Options, listing: &Listing, log_id: u64) -> Result<Tail> {
    let mut spares = Spares::find(&*files, listing, options)?;
    let active = first_segment(&*files, &mut spares, log_id)?;
    Ok(Tail {
        segments: VecDeque::from([Segment { number: active.number, bytes: active.bytes }]),
        active,
        files,
        options: options.clone(),
        log_id,
        spares,
        oldest: 1,
        next_sequence: 1,
        synced: 0,
        meter: Arc::default(),
        is_marked: false,
        buffer: Vec::new(),
    })
}

/// Repairs the end of a log, and resumes it.
fn resume(files: Arc<dyn Files>, options: &Options, listing: &Listing, end: &End) -> Result<Tail> {
    let last = listing.segments.last().expect("a log that was walked has a segment");
    let name = segment_name(last.number);
    let failed = |error| refusals::preparing(&*files, &name, &error);
    // The last process may have ended between a rename and its sync.
    files.sync_directory().map_err(failed)?;
    let file = files.open(&name, true).map_err(failed)?;
    rewrite_unsynced(&*file, end).map_err(failed)?;
    upgrade(&*file, end.header).map_err(failed)?;
    let mut tail = Tail {
        active: Active { number: last.number, bytes: last.bytes, file, offset: end.offset },
        segments: listing.segments.iter().copied().collect(),
        spares: Spares::find(&*files, listing, options)?,
        files,
        options: options.clone(),
        log_id: end.log_id,
        oldest: end.oldest,
        next_sequence: end.next_sequence,
        synced: end.next_sequence.saturating_sub(1),
        meter: Arc::default(),
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

/// Makes durable the frames that the last process may have left in the page cache, and zeroes the rest of the segment.
///
/// Frames are written again, not only synced: after a failed sync, the page cache may hold them as clean. A frame of an
/// unfinished batch must not be read after later batches.
fn rewrite_unsynced(file: &dyn LogFile, end: &End) -> std::io::Result<()> {
    let mut block = vec![0; block_bytes(end.unsynced_from, end.offset.max(end.zero_from))];
    let mut at = end.unsynced_from;
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
    if at > end.unsynced_from { file.sync() } else { Ok(()) }
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

/// Opens the directory of a log for reading, and locks it against writers.
pub(super) fn open_for_reading(directory: &Path) -> Result<(Box<dyn Files>, Box<dyn Send>)> {
    let files = super::files::Directory::open(directory);
    let files = files.map_err(|error| refusals::no_directory(directory, &error))?;
    let files: Box<dyn Files> = Box::new(RetryingFiles::new(files));
    let lock = files.lock(true).map_err(|error| refusals::reading(&*files, "", &error))?;
    match lock {
        Some(lock) => Ok((files, lock)),
        None => Err(refusals::in_use(directory)),
    }
}
