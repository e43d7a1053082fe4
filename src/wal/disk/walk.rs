//! Walks through the entries of a log, for recovery and inspection: finds its end and its damage.
//!
//! A frame that is not intact is either the end of a batch that was never acknowledged, or damage. It is damage if anything that was
//! written later shows that it was durable: a frame whose `synced` reaches it, or the next segment.

use std::collections::HashMap;

use super::files::Files;
use super::format::{
    FrameHeader, FrameKind, HEADER_BYTES, HEADER_FIELDS, HeaderFault, SegmentHeader, VERSION, u64_at,
};
use super::names::segment_name;
use super::window::Window;
use super::{Damage, Position, Segment, refusals};
use crate::error::Result;

/// Bytes of a segment that are read at a time.
const BLOCK_BYTES: usize = 1024 * 1024;

/// What a walk finds, in order.
pub(super) enum Found<'a> {
    /// An intact entry with its position and sequence.
    Entry(Position, u64, &'a [u8]),
    Damage(Damage),
}

/// Called with everything that a walk finds; an error ends the walk.
type Visit<'a> = dyn FnMut(Found<'_>) -> Result<()> + 'a;

/// The end of a log.
#[derive(Debug)]
pub(super) struct End {
    pub(super) log_id: u64,
    /// The header of the last segment; `None` if it is damaged.
    pub(super) header: Option<SegmentHeader>,
    /// The sequence of the next entry.
    pub(super) next_sequence: u64,
    /// The oldest segment that was not trimmed. Older ones may be left by a trim that a crash interrupted.
    pub(super) oldest: u64,
    /// The offset in the last segment where its last intact frame ends.
    pub(super) offset: u64,
    /// The offset from which intact frames may be in the page cache only.
    pub(super) unsynced_from: u64,
    /// The offset from which the file has nothing but zeros.
    pub(super) zero_from: u64,
    /// Whether the last frame is a mark: the log was closed, or recovered and not written since.
    pub(super) is_marked: bool,
    /// Whether there is a frame header after the end: a crash interrupted the write of a batch.
    pub(super) is_torn: bool,
}

/// Walks through all entries of these segments, which are in order and not empty.
///
/// # Errors
///
/// Those of `visit`; `LogFailed` if a file cannot be read; `LogRefused` if one is foreign or of a newer version.
pub(super) fn walk(files: &dyn Files, segments: &[Segment], visit: &mut Visit<'_>) -> Result<End> {
    let headers = read_headers(files, segments)?;
    let log_id = log_id(files, segments, &headers)?;
    let first = headers.first().copied().flatten();
    let mut walker = Walker {
        files,
        segments,
        visit,
        end: End {
            log_id,
            header: headers.last().copied().flatten(),
            next_sequence: first.map_or(0, |header| header.first_sequence),
            oldest: 0,
            offset: HEADER_BYTES,
            unsynced_from: HEADER_BYTES,
            zero_from: HEADER_BYTES,
            is_marked: false,
            is_torn: false,
        },
        headers,
        synced: None,
        is_sealed: false,
    };
    walker.check_headers()?;
    for index in 0..segments.len() {
        walker.segment(index)?;
    }
    walker.check_oldest()?;
    Ok(walker.end)
}

/// Reads every header: `None` where it is damaged.
fn read_headers(files: &dyn Files, segments: &[Segment]) -> Result<Vec<Option<SegmentHeader>>> {
    let mut headers = Vec::with_capacity(segments.len());
    let mut foreign = None;
    for segment in segments {
        let name = segment_name(segment.number);
        let failed = |error| refusals::reading(files, &name, &error);
        let file = files.open(&name, false).map_err(failed)?;
        let mut fields = [0; HEADER_FIELDS];
        let read = file.read_at(&mut fields, 0).map_err(failed)?;
        let header = match SegmentHeader::decode(&fields[..read]) {
            Ok(header) if header.version > VERSION => {
                return Err(refusals::newer(files, &name, header.version));
            }
            Ok(header) => Some(header),
            Err(HeaderFault::Damaged) => None,
            Err(HeaderFault::Foreign) => {
                foreign.get_or_insert(name);
                None
            }
        };
        headers.push(header);
    }
    match foreign {
        // Beside segments with intact headers, its own header is damaged.
        Some(name) if headers.iter().all(Option::is_none) => {
            Err(refusals::foreign(files, &name, "it does not start with a segment header"))
        }
        _ => Ok(headers),
    }
}

/// The log id that most segments have.
fn log_id(files: &dyn Files, segments: &[Segment], headers: &[Option<SegmentHeader>]) -> Result<u64> {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    let mut headers = headers.iter().flatten();
    headers.clone().for_each(|header| *counts.entry(header.log_id).or_default() += 1);
    let common = counts.into_iter().max_by_key(|&(id, count)| (count, id)).map(|(id, _)| id);
    let Some(common) = common else {
        let name = segment_name(segments.first().map_or(0, |segment| segment.number));
        let message = "no segment has an intact header: no entry can be read".to_owned();
        let damage = Damage { file: files.directory().join(name), offset: 0, entries_lost: 0, message };
        return Err(refusals::damaged(files, &damage));
    };
    match headers.find(|header| header.log_id != common) {
        Some(other) => {
            Err(refusals::foreign(files, &segment_name(other.number), "it belongs to another log"))
        }
        None => Ok(common),
    }
}

struct Walker<'a, 'b> {
    files: &'a dyn Files,
    segments: &'a [Segment],
    headers: Vec<Option<SegmentHeader>>,
    visit: &'a mut Visit<'b>,
    end: End,
    /// `synced` of the last frame: the same for all frames of a batch.
    synced: Option<u64>,
    is_sealed: bool,
}

impl Walker<'_, '_> {
    fn check_headers(&mut self) -> Result<()> {
        for (index, &Segment { number, bytes }) in self.segments.iter().enumerate() {
            let Some(header) = self.headers[index] else {
                self.damage(number, 0, 0, "its header is damaged".to_owned())?;
                continue;
            };
            // A segment never records that it was trimmed itself.
            self.end.oldest = self.end.oldest.max(header.oldest.min(number));
            if header.number != number {
                let name = segment_name(header.number);
                self.damage(number, 0, 0, format!("its header is that of {name}"))?;
            }
            if header.bytes != bytes {
                let message = format!("it has {bytes} bytes, and had {} when it was created", header.bytes);
                self.damage(number, bytes.min(header.bytes), 0, message)?;
            }
        }
        Ok(())
    }

    fn segment(&mut self, index: usize) -> Result<()> {
        let Segment { number, bytes } = self.segments[index];
        let window = &mut Window::open(self.files, self.end.log_id, number, bytes, BLOCK_BYTES)?;
        (self.synced, self.is_sealed, self.end.is_marked) = (None, false, false);
        (self.end.offset, self.end.unsynced_from) = (HEADER_BYTES, HEADER_BYTES);
        match self.headers[index] {
            Some(header) => self.end.next_sequence = header.first_sequence,
            None if index == 0 => {
                let first = window.find(HEADER_BYTES, |_, _| true)?;
                self.end.next_sequence = first.map_or(0, |(_, sequence)| sequence);
            }
            None => {}
        }
        loop {
            self.frames(window)?;
            let resumed = match self.segments.get(index + 1) {
                _ if self.is_sealed => break,
                Some(next) => self.resume_before(window, *next, self.headers[index + 1])?,
                None => self.resume_or_end(window)?,
            };
            if !resumed {
                break;
            }
        }
        self.check_next(index)
    }

    /// Visits intact frames that follow each other, up to an offset without one.
    fn frames(&mut self, window: &mut Window<'_>) -> Result<()> {
        let (end, segment) = (&mut self.end, window.number);
        while let Some((header, payload)) = window.frame_at(end.offset)? {
            if header.sequence != end.next_sequence || header.sequence == u64::MAX {
                return Ok(());
            }
            let offset = end.offset;
            end.offset += header.frame_bytes();
            end.is_marked = header.kind != FrameKind::Entry;
            if end.is_marked {
                if payload.len() == 8 {
                    end.oldest = end.oldest.max(u64_at(payload, 0).min(segment));
                }
                // A mark is a batch of its own.
                (end.unsynced_from, self.synced) = (offset, None);
                self.is_sealed = header.kind == FrameKind::Seal;
                if self.is_sealed {
                    return Ok(());
                }
                continue;
            }
            if self.synced != Some(header.synced) {
                (end.unsynced_from, self.synced) = (offset, Some(header.synced));
            }
            end.next_sequence += 1;
            let position = Position { segment, offset, length: header.length };
            (self.visit)(Found::Entry(position, header.sequence, payload))?;
        }
        Ok(())
    }

    /// Resumes in a segment before another one, whose header has the sequence where this one ends. Returns whether there are
    /// further frames.
    fn resume_before(
        &mut self,
        window: &mut Window<'_>,
        next: Segment,
        header: Option<SegmentHeader>,
    ) -> Result<bool> {
        let (end, expected) = (self.end.offset, self.end.next_sequence);
        let is_next = next.number == window.number + 1;
        let first_of_next = header.filter(|_| is_next).map(|header| header.first_sequence);
        if first_of_next.is_some_and(|first| first <= expected) {
            return Ok(false);
        }
        let found = window.find(end, |offset, header| {
            is_later(header, offset > end, expected)
                && first_of_next.is_none_or(|first| header.sequence <= first)
        })?;
        let resumed = found.map_or(first_of_next.unwrap_or(expected), |(_, sequence)| sequence);
        if found.is_some() || first_of_next.is_some() {
            let message = format!("entry {expected} is not intact, and later ones were written");
            self.damage(window.number, end, resumed.saturating_sub(expected), message)?;
        }
        Ok(self.resume(found))
    }

    /// Resumes in the last segment, if a later frame shows that the missing ones were durable. Returns whether there are
    /// further frames.
    fn resume_or_end(&mut self, window: &mut Window<'_>) -> Result<bool> {
        let (end, expected) = (self.end.offset, self.end.next_sequence);
        let last = window.last_written(end)?;
        self.end.zero_from = last.map_or(end, |last| last + 8).min(window.end);
        if last.is_none() {
            return Ok(false);
        }
        let proof = window.find(end, |offset, header| {
            // A frame with the missing sequence follows a mark, which was durable before it.
            header.synced >= expected || (header.sequence == expected && offset > end)
        })?;
        if proof.is_none() {
            self.end.is_torn = window.find(end, |_, header| header.sequence >= expected)?.is_some();
            return Ok(false);
        }
        let found = window.find(end, |offset, header| is_later(header, offset > end, expected))?;
        let lost = found.map_or(0, |(_, sequence)| sequence - expected);
        let message = format!("entry {expected} is not intact, and was durable when later ones were written");
        self.damage(window.number, end, lost, message)?;
        Ok(self.resume(found))
    }

    fn resume(&mut self, found: Option<(u64, u64)>) -> bool {
        let Some((offset, sequence)) = found else { return false };
        (self.end.offset, self.end.next_sequence, self.synced) = (offset, sequence, None);
        true
    }

    /// Checks that the next segment exists and starts with the next entry.
    fn check_next(&mut self, index: usize) -> Result<()> {
        let Segment { number, .. } = self.segments[index];
        let expected = self.end.next_sequence;
        let Some(next) = self.segments.get(index + 1).copied() else {
            if self.is_sealed {
                let message = format!("it is missing: {} has a seal before it", segment_name(number));
                return self.damage(number + 1, 0, 0, message);
            }
            return Ok(());
        };
        let first = self.headers[index + 1].map_or(expected, |header| header.first_sequence);
        let lost = first.saturating_sub(expected);
        if next.number != number + 1 {
            let message =
                format!("it is missing between {} and {}", segment_name(number), segment_name(next.number));
            return self.damage(number + 1, 0, lost, message);
        }
        if first < expected || (self.is_sealed && first != expected) {
            let last = expected.saturating_sub(1);
            let message = format!("it starts with entry {first}, the segment before ends with {last}");
            return self.damage(next.number, 0, lost, message);
        }
        Ok(())
    }

    fn check_oldest(&mut self) -> Result<()> {
        let lowest = self.segments.first().map_or(0, |segment| segment.number);
        if lowest > self.end.oldest {
            let message = format!("it is missing: the log starts with {} now", segment_name(lowest));
            self.damage(self.end.oldest, 0, 0, message)?;
        }
        Ok(())
    }

    fn damage(&mut self, number: u64, offset: u64, entries_lost: u64, message: String) -> Result<()> {
        let file = self.files.directory().join(segment_name(number));
        (self.visit)(Found::Damage(Damage { file, offset, entries_lost, message }))
    }
}

/// Whether a frame comes after the expected one. A mark has the sequence of the next entry.
fn is_later(header: &FrameHeader, is_behind: bool, expected: u64) -> bool {
    header.sequence > expected || (header.sequence == expected && is_behind)
}
