//! Reads entries by sequence, from any thread, while the log is written and trimmed.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::files::Files;
use super::format::{FRAME_HEADER_BYTES, FrameHeader, FrameKind};
use super::names::segment_name;
use super::window::Window;
use super::{Damage, Position, refusals};
use crate::error::Result;

/// Bytes of a segment between two points of the index, and bytes of one read from a point to an entry.
const STEP_BYTES: usize = 64 * 1024;

/// Reads entries of an open log. Cheap to clone; calls block.
#[derive(Clone)]
pub(crate) struct Reader(Arc<Shared>);

struct Shared {
    files: Arc<dyn Files>,
    log_id: u64,
    index: Mutex<Index>,
}

/// The offsets of entries: one point for each [`STEP_BYTES`]. The entries of a segment follow each other.
#[derive(Default)]
pub(super) struct Index {
    /// Segments with entries, oldest first; each has a point for its first entry.
    segments: VecDeque<Indexed>,
    /// The sequence of the next entry.
    next_sequence: u64,
}

struct Indexed {
    number: u64,
    points: Vec<Point>,
}

#[derive(Clone, Copy)]
struct Point {
    sequence: u64,
    offset: u64,
}

impl Index {
    /// Adds the next entry.
    pub(super) fn add(&mut self, sequence: u64, position: Position) {
        let Position { segment: number, offset, .. } = position;
        let point = Point { sequence, offset };
        self.next_sequence = sequence + 1;
        match self.segments.back_mut().filter(|last| last.number == number) {
            None => self.segments.push_back(Indexed { number, points: vec![point] }),
            Some(last) => {
                let newest = last.points.last().map_or(0, |newest| newest.offset);
                if offset >= newest + STEP_BYTES as u64 {
                    last.points.push(point);
                }
            }
        }
    }

    /// The segment of an entry, and the point before it.
    fn find(&self, sequence: u64) -> Option<(u64, u64)> {
        let is_before = |point: &Point| point.sequence <= sequence;
        let after = self.segments.partition_point(|segment| segment.points.first().is_some_and(is_before));
        let segment = self.segments.get(after.checked_sub(1)?)?;
        let point = segment.points.partition_point(is_before).checked_sub(1)?;
        (sequence < self.next_sequence).then_some((segment.number, segment.points[point].offset))
    }

    fn first_sequence(&self, segment: u64) -> Option<u64> {
        let at = self.segments.binary_search_by_key(&segment, |indexed| indexed.number).ok()?;
        self.segments[at].points.first().map(|point| point.sequence)
    }

    fn forget_before(&mut self, segment: u64) {
        while self.segments.front().is_some_and(|oldest| oldest.number < segment) {
            self.segments.pop_front();
        }
    }
}

impl Reader {
    pub(super) fn new(files: Arc<dyn Files>, log_id: u64, index: Index) -> Self {
        Self(Arc::new(Shared { files, log_id, index: Mutex::new(index) }))
    }

    /// The entry with this sequence; `None` if it was trimmed or not appended yet.
    ///
    /// # Errors
    ///
    /// `LogDamaged` if its bytes changed; `LogFailed` if it cannot be read.
    pub(crate) fn read(&self, sequence: u64) -> Result<Option<Vec<u8>>> {
        let Some((segment, offset)) = self.find(sequence) else { return Ok(None) };
        let read = self.walk(segment, offset, sequence);
        if let Ok(Ok(entry)) = read {
            return Ok(Some(entry));
        }
        // Its file may be gone, or in use again.
        if self.find(sequence).is_none() {
            return Ok(None);
        }
        let (name, files) = (segment_name(segment), &*self.0.files);
        match read {
            Err(error) => Err(refusals::reading(files, &name, &error)),
            Ok(found) => {
                let offset = found.err().unwrap_or(offset);
                let message = format!("entry {sequence} is not there as it was written");
                let file = files.directory().join(name);
                Err(refusals::damaged(files, &Damage { file, offset, entries_lost: 1, message }))
            }
        }
    }

    /// Walks from frame to frame to the entry; an error is the offset where the walk ends before it.
    fn walk(&self, segment: u64, mut offset: u64, sequence: u64) -> io::Result<Result<Vec<u8>, u64>> {
        let Shared { files, log_id, .. } = &*self.0;
        let file = files.open(&segment_name(segment), false)?;
        let mut window = Window::of(STEP_BYTES);
        loop {
            let header = window.bytes_at(&*file, offset, FRAME_HEADER_BYTES, u64::MAX)?;
            let header = FrameHeader::decode(header, *log_id)
                .filter(|header| header.segment == segment && header.sequence <= sequence);
            let Some(header) = header else { return Ok(Err(offset)) };
            if header.sequence == sequence && header.kind == FrameKind::Entry {
                let frame = window.frame_at(&*file, *log_id, offset, u64::MAX)?;
                return Ok(frame.map(|(_, entry)| entry.to_vec()).ok_or(offset));
            }
            offset += header.frame_bytes();
        }
    }

    fn find(&self, sequence: u64) -> Option<(u64, u64)> {
        self.0.index.lock().find(sequence)
    }

    /// Adds durable entries, the first with this sequence.
    pub(super) fn add(&self, sequence: u64, positions: &[Position]) {
        let mut index = self.0.index.lock();
        (sequence..).zip(positions).for_each(|(sequence, position)| index.add(sequence, *position));
    }

    /// The first entry in a segment, if one was added.
    pub(super) fn first_sequence(&self, segment: u64) -> Option<u64> {
        self.0.index.lock().first_sequence(segment)
    }

    /// Removes the segments before this one.
    pub(super) fn forget_before(&self, segment: u64) {
        self.0.index.lock().forget_before(segment);
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("directory", &self.0.files.directory()).finish_non_exhaustive()
    }
}
