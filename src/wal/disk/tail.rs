//! The end of a log: its newest segment, and the switch to the next one. [`DiskLog`](super::DiskLog) ensures that any error here
//! is final.

use std::collections::VecDeque;
use std::sync::Arc;

use super::files::{BLOCK_BYTES, Files, LogFile};
use super::format::{
    FrameKind, HEADER_BYTES, MARK_BYTES, RESERVED_BYTES, SegmentHeader, Stamp, VERSION, frame_bytes,
};
use super::names::segment_name;
use super::preallocation::Spares;
use super::{Options, Position, Segment, refusals};
use crate::error::Result;
use crate::wal::LogMeter;

/// Largest buffer that is reused for the next batch, in bytes.
const BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(super) struct Tail {
    pub(super) files: Arc<dyn Files>,
    pub(super) options: Options,
    pub(super) log_id: u64,
    /// Every segment, oldest first; the last one is written.
    pub(super) segments: VecDeque<Segment>,
    pub(super) spares: Spares,
    /// The oldest segment that is not trimmed.
    pub(super) oldest: u64,
    /// The sequence of the next entry.
    pub(super) next_sequence: u64,
    /// Whether the last frame is a mark.
    pub(super) is_marked: bool,
    /// The segment that is written.
    pub(super) active: Active,
    /// Encoded frames that are not written yet.
    pub(super) buffer: Vec<u8>,
    /// The sequence up to which everything is synced.
    pub(super) synced: u64,
    pub(super) meter: Arc<LogMeter>,
}

/// The segment that is written.
pub(super) struct Active {
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) file: Box<dyn LogFile>,
    /// The offset of the next frame.
    pub(super) offset: u64,
}

impl Active {
    /// Turns a spare into the segment of this header.
    pub(super) fn create(files: &dyn Files, spare: &str, header: SegmentHeader) -> Result<Self> {
        let failed = |error| refusals::preparing(files, spare, &error);
        let file = files.open(spare, true).map_err(failed)?;
        file.write_at(&header.encode(), 0).map_err(failed)?;
        // Before the rename: a segment without an intact header is damage.
        file.sync().map_err(failed)?;
        files.rename(spare, &segment_name(header.number)).map_err(failed)?;
        files.sync_directory().map_err(failed)?;
        Ok(Self { number: header.number, bytes: header.bytes, file, offset: HEADER_BYTES })
    }

    /// The offset where the space for entries ends.
    fn entries_end(&self) -> u64 {
        self.bytes.saturating_sub(RESERVED_BYTES)
    }
}

/// Most bytes of the first segment of a log.
const FIRST_BYTES_MAX: u64 = 4 << 20;

impl Tail {
    /// How many new segments entries of these sizes need.
    pub(super) fn rolls_for(&self, sizes: impl Iterator<Item = usize>) -> usize {
        let (mut offset, mut end, mut rolls) = (self.active.offset, self.active.entries_end(), 0);
        for size in sizes {
            let bytes = frame_bytes(size);
            if offset + bytes > end {
                rolls += 1;
                (offset, end) = (HEADER_BYTES, self.options.segment_bytes - RESERVED_BYTES);
            }
            offset += bytes;
        }
        rolls
    }

    /// Bytes of frames that fit into allocated files.
    pub(super) fn free_bytes(&self) -> u64 {
        self.active.entries_end().saturating_sub(self.active.offset)
            + self.options.capacity() * self.spares.ready() as u64
    }

    /// Bytes of frames that fit within the bound, if there is one.
    pub(super) fn bytes_left(&self) -> Option<u64> {
        let bytes_max = self.options.bytes_max?;
        let segments = bytes_max.saturating_sub(self.spares.segments_bytes()) / self.options.segment_bytes;
        let of_active = self.active.entries_end().saturating_sub(self.active.offset);
        Some(of_active + segments * self.options.capacity())
    }

    /// Writes entries and syncs.
    pub(super) fn append<E: AsRef<[u8]>>(&mut self, entries: &[E]) -> Result<Vec<Position>> {
        let mut positions = Vec::with_capacity(entries.len());
        for entry in entries {
            let entry = entry.as_ref();
            let end = self.active.offset + self.buffer.len() as u64 + frame_bytes(entry.len());
            if end > self.active.entries_end() {
                self.flush()?;
                self.roll()?;
            }
            positions.push(Position {
                segment: self.active.number,
                offset: self.active.offset + self.buffer.len() as u64,
                length: entry.len() as u32,
            });
            self.push(FrameKind::Entry, entry);
            self.next_sequence += 1;
        }
        self.flush()?;
        Ok(positions)
    }

    /// How many bytes preallocation is behind its goal. The goal is twice the used part of the active segment: the next segment
    /// is ready once half of the active one is used. In an idle log it is the whole next segment.
    pub(super) fn preallocation_debt(&self, is_idle: bool) -> u64 {
        let used = 2 * self.active.offset * self.options.segment_bytes / self.active.bytes;
        self.spares.missing_of(if is_idle { u64::MAX } else { used })
    }

    /// Whether there is space for a mark and `others` more.
    pub(super) fn has_space_for_mark(&self, others: u64) -> bool {
        self.active.offset + (1 + others) * MARK_BYTES <= self.active.bytes
    }

    /// Writes a mark: everything before it is synced, and `oldest` is the oldest segment that is not trimmed.
    pub(super) fn mark(&mut self) -> Result<()> {
        self.push(FrameKind::Mark, &self.oldest.to_le_bytes());
        self.flush()?;
        self.is_marked = true;
        Ok(())
    }

    fn push(&mut self, kind: FrameKind, payload: &[u8]) {
        let stamp = Stamp { log_id: self.log_id, segment: self.active.number, synced: self.synced };
        stamp.encode(&mut self.buffer, kind, self.next_sequence, payload);
    }

    fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let Active { number, file, offset, .. } = &mut self.active;
        let failed = |error| refusals::writing(&*self.files, &segment_name(*number), &error);
        let end = *offset + self.buffer.len() as u64;
        // Zeros follow anyway. The system does not have to read a block that is written as a whole.
        let block_end = end.next_multiple_of(BLOCK_BYTES as u64);
        self.buffer.resize(self.buffer.len() + (block_end - end) as usize, 0);
        self.meter.append(|| file.write_at(&self.buffer, *offset)).map_err(failed)?;
        self.meter.sync(|| file.sync()).map_err(failed)?;
        *offset = end;
        self.synced = self.next_sequence - 1;
        self.is_marked = false;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_MAX);
        Ok(())
    }

    /// Switches to the next segment. All earlier frames are synced: a segment header implies that they were.
    pub(super) fn roll(&mut self) -> Result<()> {
        let full = || refusals::disk_full(&*self.files, &std::io::ErrorKind::StorageFull.into());
        let (spare, bytes) = self.spares.take().ok_or_else(full)?;
        let header = SegmentHeader {
            version: VERSION,
            log_id: self.log_id,
            number: self.active.number + 1,
            first_sequence: self.next_sequence,
            oldest: self.oldest,
            bytes,
        };
        let next = Active::create(&*self.files, &spare, header)?;
        // Only now: the seal implies that there is a next segment, so that its loss is damage.
        self.push(FrameKind::Seal, &self.oldest.to_le_bytes());
        self.flush()?;
        self.segments.push_back(Segment { number: next.number, bytes: next.bytes });
        self.active = next;
        Ok(())
    }

    /// Frees the trimmed segments, oldest first, so that a crash leaves no gap.
    pub(super) fn free_segments(&mut self) -> Result<()> {
        while let Some(&Segment { number, bytes }) = self.segments.front() {
            if number >= self.oldest {
                break;
            }
            let name = segment_name(number);
            let is_spare =
                bytes == self.options.segment_bytes && self.spares.ready() < self.options.spares_max;
            let done = if is_spare {
                self.files.rename(&name, &self.spares.recycle())
            } else {
                self.spares.remove_segment(bytes);
                self.files.remove(&name)
            };
            // Before the file is reused: after a crash it must not have its old name.
            done.and_then(|()| self.files.sync_directory())
                .map_err(|error| refusals::writing(&*self.files, &name, &error))?;
            self.segments.pop_front();
        }
        Ok(())
    }
}

/// Creates the first segment of a new log. It is small, so that a new log opens at once; the next one is preallocated while it
/// fills.
pub(super) fn first_segment(files: &dyn Files, spares: &mut Spares, log_id: u64) -> Result<Active> {
    let full = || refusals::disk_full(files, &std::io::ErrorKind::StorageFull.into());
    let (spare, bytes) = spares.first(files, FIRST_BYTES_MAX)?.ok_or_else(full)?;
    let header = SegmentHeader { version: VERSION, log_id, number: 1, first_sequence: 1, oldest: 1, bytes };
    Active::create(files, &spare, header)
}
