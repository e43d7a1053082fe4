//! Reads entries by sequence, from any thread, while the log is written and trimmed.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::files::Files;
use super::format::FrameKind;
use super::names::segment_name;
use super::window::Window;
use super::{Damage, Position, refusals};
use crate::error::Result;

/// Bytes of a segment between two points of the index, and bytes of a block that is read.
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

    fn remove_before(&mut self, segment: u64) {
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
        match self.walk(segment, offset, sequence) {
            Ok(entry) => Ok(Some(entry)),
            // The segment was trimmed during the read: its file was removed or reused.
            Err(_) if self.find(sequence).is_none() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Walks from frame to frame to the entry.
    fn walk(&self, segment: u64, mut offset: u64, sequence: u64) -> Result<Vec<u8>> {
        let files = &*self.0.files;
        let mut window = Window::open(files, self.0.log_id, segment, u64::MAX, STEP_BYTES)?;
        while let Some(header) = window.header_at(offset)?.filter(|header| header.sequence <= sequence) {
            if header.sequence == sequence && header.kind == FrameKind::Entry {
                match window.frame_at(offset)? {
                    Some((_, entry)) => return Ok(entry.to_vec()),
                    None => break,
                }
            }
            offset += header.frame_bytes();
        }
        let message = format!("entry {sequence} is not intact");
        let file = files.directory().join(segment_name(segment));
        Err(refusals::damaged(files, &Damage { file, offset, entries_lost: 1, message }))
    }

    fn find(&self, sequence: u64) -> Option<(u64, u64)> {
        self.0.index.lock().find(sequence)
    }

    /// Adds durable entries; the first has this sequence.
    pub(super) fn add(&self, sequence: u64, positions: &[Position]) {
        let mut index = self.0.index.lock();
        (sequence..).zip(positions).for_each(|(sequence, position)| index.add(sequence, *position));
    }

    /// The first entry in a segment, if one was added.
    pub(super) fn first_sequence(&self, segment: u64) -> Option<u64> {
        self.0.index.lock().first_sequence(segment)
    }

    /// Removes the segments before this one.
    pub(super) fn remove_before(&self, segment: u64) {
        self.0.index.lock().remove_before(segment);
    }
}
