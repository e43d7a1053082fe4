//! Reads a segment in blocks.

use super::files::{Files, LogFile};
use super::format::{FRAME_HEADER_BYTES, FrameHeader, u64_at};
use super::names::segment_name;
use super::refusals;
use crate::error::Result;

/// A segment file, and the block of it that was read last.
pub(super) struct Window<'a> {
    files: &'a dyn Files,
    file: Box<dyn LogFile>,
    log_id: u64,
    /// The number of the segment.
    pub(super) number: u64,
    /// The offset where the segment ends.
    pub(super) end: u64,
    /// Bytes of a block; a longer frame is read at once.
    block_bytes: usize,
    block: Vec<u8>,
    /// The offset of the block.
    start: u64,
}

impl<'a> Window<'a> {
    /// Opens a segment.
    ///
    /// # Errors
    ///
    /// Here and below: `LogFailed` if the file cannot be read, `ResourceExhausted` for a shortage that passes.
    pub(super) fn open(
        files: &'a dyn Files,
        log_id: u64,
        number: u64,
        end: u64,
        block_bytes: usize,
    ) -> Result<Self> {
        let name = segment_name(number);
        let file = files.open(&name, false).map_err(|error| refusals::reading(files, &name, &error))?;
        Ok(Self { files, file, log_id, number, end, block_bytes, block: Vec::new(), start: 0 })
    }

    /// Up to `bytes` bytes at `offset`, fewer only if the segment ends.
    fn bytes_at(&mut self, offset: u64, bytes: usize) -> Result<&[u8]> {
        let left = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let bytes = bytes.min(left);
        let is_inside = offset >= self.start && offset + bytes as u64 <= self.start + self.block.len() as u64;
        if !is_inside {
            self.block.resize(bytes.max(self.block_bytes.min(left)), 0);
            self.start = offset;
            let read = self.file.read_at(&mut self.block, offset);
            self.block.truncate(*read.as_ref().unwrap_or(&0));
            read.map_err(|error| refusals::reading(self.files, &segment_name(self.number), &error))?;
        }
        let at = (offset - self.start) as usize;
        Ok(&self.block[at..self.block.len().min(at + bytes)])
    }

    /// The header of a frame of this segment at `offset`.
    pub(super) fn header_at(&mut self, offset: u64) -> Result<Option<FrameHeader>> {
        let (log_id, number) = (self.log_id, self.number);
        let header = FrameHeader::decode(self.bytes_at(offset, FRAME_HEADER_BYTES)?, log_id);
        Ok(header.filter(|header| header.segment == number))
    }

    /// The frame of this segment at `offset`, if all of it is there and intact.
    pub(super) fn frame_at(&mut self, offset: u64) -> Result<Option<(FrameHeader, &[u8])>> {
        let Some(header) = self.header_at(offset)? else { return Ok(None) };
        let frame = self.bytes_at(offset, FRAME_HEADER_BYTES + header.length as usize)?;
        let payload = frame.get(FRAME_HEADER_BYTES..).filter(|payload| header.matches(payload));
        Ok(payload.map(|payload| (header, payload)))
    }

    /// The offset of the last 8 bytes from `offset` on that are not all zero.
    pub(super) fn last_written(&mut self, offset: u64) -> Result<Option<u64>> {
        let (mut at, mut last) = (offset, None);
        loop {
            let block = self.bytes_at(at, self.block_bytes)?;
            if block.is_empty() {
                return Ok(last);
            }
            let written = block.chunks(8).rposition(|word| word.iter().any(|&byte| byte != 0));
            last = written.map(|word| at + 8 * word as u64).or(last);
            at += block.len() as u64;
        }
    }

    /// Finds the first header of a frame of this segment that is `wanted`, from `offset` on in steps of 8 bytes. Returns its
    /// offset and its sequence.
    pub(super) fn find(
        &mut self,
        offset: u64,
        wanted: impl Fn(u64, &FrameHeader) -> bool,
    ) -> Result<Option<(u64, u64)>> {
        let (log_id, number) = (self.log_id, self.number);
        let mut start = offset;
        loop {
            let block = self.bytes_at(start, self.block_bytes)?;
            if block.len() < FRAME_HEADER_BYTES {
                return Ok(None);
            }
            let last = block.len() - FRAME_HEADER_BYTES;
            for at in (0..=last).step_by(8) {
                // Cheap and almost always false, before the CRC.
                if u64_at(block, at + 8) != number {
                    continue;
                }
                let offset = start + at as u64;
                if let Some(header) =
                    FrameHeader::decode(&block[at..], log_id).filter(|header| wanted(offset, header))
                {
                    return Ok(Some((offset, header.sequence)));
                }
            }
            start += (last / 8 * 8 + 8) as u64;
        }
    }
}
