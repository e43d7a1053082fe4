//! A segment read in large blocks, through one buffer that all segments share.

use std::io;

use super::files::LogFile;
use super::format::{FRAME_HEADER_BYTES, FrameHeader, u64_at};

/// Bytes read at a time by who reads all of a segment.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Where a segment is read: a part of it, in memory.
pub(super) struct Window {
    /// Bytes read at a time; a longer frame is read at once.
    block_bytes: usize,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    start: u64,
    filled: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self::of(BLOCK_BYTES)
    }
}

impl Window {
    /// A window through which so many bytes are read at a time.
    pub(super) fn of(block_bytes: usize) -> Self {
        Self { block_bytes, buffer: Vec::new(), start: 0, filled: 0 }
    }

    /// Forgets what was read: another file follows, or the file was written.
    pub(super) fn reset(&mut self) {
        (self.start, self.filled) = (0, 0);
    }

    /// Up to `bytes` bytes at `offset`, fewer only if the file ends or `end` comes first.
    pub(super) fn bytes_at(
        &mut self,
        file: &dyn LogFile,
        offset: u64,
        bytes: usize,
        end: u64,
    ) -> io::Result<&[u8]> {
        let bytes = bytes.min(usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX));
        let is_inside = offset >= self.start && offset + bytes as u64 <= self.start + self.filled as u64;
        if !is_inside {
            let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
            let wanted = bytes.max(self.block_bytes.min(left));
            if self.buffer.len() < wanted {
                self.buffer.resize(wanted, 0);
            }
            self.filled = 0;
            self.filled = file.read_at(&mut self.buffer[..wanted], offset)?;
            self.start = offset;
        }
        let at = usize::try_from(offset - self.start).unwrap_or(self.filled).min(self.filled);
        Ok(&self.buffer[at..self.filled.min(at + bytes)])
    }

    /// The frame of this log at `offset`, if all of it is there before `end` and whole.
    pub(super) fn frame_at(
        &mut self,
        file: &dyn LogFile,
        log_id: u64,
        offset: u64,
        end: u64,
    ) -> io::Result<Option<(FrameHeader, &[u8])>> {
        let header = self.bytes_at(file, offset, FRAME_HEADER_BYTES, end)?;
        let Some(header) = FrameHeader::decode(header, log_id) else {
            return Ok(None);
        };
        let bytes = FRAME_HEADER_BYTES + header.length as usize;
        let frame = self.bytes_at(file, offset, bytes, end)?;
        let payload = frame.get(FRAME_HEADER_BYTES..).filter(|payload| header.matches(payload));
        Ok(payload.map(|payload| (header, payload)))
    }

    /// Where the last 8 bytes begin, from `offset` up to `end`, that are not all zero.
    pub(super) fn last_written(
        &mut self,
        file: &dyn LogFile,
        offset: u64,
        end: u64,
    ) -> io::Result<Option<u64>> {
        let (mut at, mut last) = (offset, None);
        while at < end {
            let block = self.bytes_at(file, at, self.block_bytes, end)?;
            if block.is_empty() {
                break;
            }
            let written = block.chunks(8).rposition(|word| word.iter().any(|&byte| byte != 0));
            last = written.map(|word| at + 8 * word as u64).or(last);
            at += block.len() as u64;
        }
        Ok(last)
    }

    /// The first place from `offset` up to `end`, in steps of 8 bytes, with the header of a frame that was written to
    /// this segment and is `wanted`.
    pub(super) fn find(
        &mut self,
        file: &dyn LogFile,
        (log_id, segment): (u64, u64),
        offset: u64,
        end: u64,
        wanted: impl Fn(u64, &FrameHeader) -> bool,
    ) -> io::Result<Option<(u64, FrameHeader)>> {
        let mut at = offset;
        loop {
            let block = self.bytes_at(file, at, self.block_bytes, end)?;
            if block.len() < FRAME_HEADER_BYTES {
                return Ok(None);
            }
            let last = block.len() - FRAME_HEADER_BYTES;
            for place in (0..=last).step_by(8) {
                // Cheap and almost always false, before the CRC.
                if u64_at(block, place + 8) != segment {
                    continue;
                }
                match FrameHeader::decode(&block[place..], log_id) {
                    Some(header) if wanted(at + place as u64, &header) => {
                        return Ok(Some((at + place as u64, header)));
                    }
                    _ => {}
                }
            }
            at += (last / 8 * 8 + 8) as u64;
        }
    }
}
