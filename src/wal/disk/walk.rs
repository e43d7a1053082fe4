//! One way through the entries of a log, for recovery and for those who only look: where it ends, and what is damaged.
//!
//! An entry that is not whole is either the torn end of what was never acknowledged, or damage. It is damage if anything
//! written later says that it had been on disk: a frame whose `synced` reaches it, or the segment that follows.

use std::collections::HashMap;

use super::files::{Files, LogFile};
use super::format::{
    FrameHeader, FrameKind, HEADER_BYTES, HEADER_FIELDS, HeaderFault, SegmentHeader, VERSION, u64_at,
};
use super::names::{Numbered, segment_name};
use super::window::Window;
use super::{Damage, Position, refusals};
use crate::error::Result;

/// Who is told what a walk finds, in order; an error of either ends the walk.
pub(super) trait Visitor {
    fn entry(&mut self, position: Position, sequence: u64, entry: &[u8]) -> Result<()>;

    fn damage(&mut self, damage: Damage) -> Result<()>;
}

/// A segment that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// Bytes of its file.
    pub(super) bytes: u64,
    /// `None` if it cannot be read.
    pub(super) header: Option<SegmentHeader>,
}

/// How a log ends.
#[derive(Debug)]
pub(super) struct End {
    pub(super) log_id: u64,
    pub(super) segments: Vec<Segment>,
    /// The sequence of the entry that comes next.
    pub(super) next_sequence: u64,
    /// The oldest segment that is needed; older ones may be left from a trim that a crash cut short.
    pub(super) oldest: u64,
    /// Where the last whole frame of the last segment ends.
    pub(super) offset: u64,
    /// From here on, whole frames may be in memory of the operating system only.
    pub(super) unsure_from: u64,
    /// Where the file holds nothing but zeros from.
    pub(super) zero_from: u64,
    /// Whether the last frame is a mark: the log was closed, or recovered and not written since.
    pub(super) is_marked: bool,
    /// Whether the header of a frame stands behind the end: a batch was cut short.
    pub(super) is_torn: bool,
}

/// Walks through all entries of `found`, which is not empty and in order.
///
/// # Errors
///
/// Those of the visitor; `LogFailed` if a file cannot be read; `LogRefused` if one is foreign or of a newer version.
pub(super) fn walk(files: &dyn Files, found: &[Numbered], visitor: &mut dyn Visitor) -> Result<End> {
    let segments = headers(files, found)?;
    let log_id = log_id(files, &segments)?;
    let first = segments.first().and_then(|segment| segment.header);
    let mut walker = Walker {
        files,
        visitor,
        window: Window::default(),
        end: End {
            log_id,
            segments,
            next_sequence: first.map_or(0, |header| header.first_sequence),
            oldest: 0,
            offset: HEADER_BYTES,
            unsure_from: HEADER_BYTES,
            zero_from: HEADER_BYTES,
            is_marked: false,
            is_torn: false,
        },
        synced: None,
        is_sealed: false,
    };
    walker.check_headers()?;
    for index in 0..walker.end.segments.len() {
        walker.segment(index)?;
    }
    walker.check_oldest()?;
    Ok(walker.end)
}

/// Reads every header: `None` where it is damaged.
fn headers(files: &dyn Files, found: &[Numbered]) -> Result<Vec<Segment>> {
    let mut segments = Vec::with_capacity(found.len());
    let mut foreign = None;
    for &Numbered { number, bytes } in found {
        let name = segment_name(number);
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
        segments.push(Segment { number, bytes, header });
    }
    match foreign {
        // Among segments that can be read, it is one that lost its header.
        Some(name) if segments.iter().all(|segment| segment.header.is_none()) => {
            Err(refusals::foreign(files, &name, "it does not begin as one"))
        }
        _ => Ok(segments),
    }
}

/// The number that the segments have in common.
fn log_id(files: &dyn Files, segments: &[Segment]) -> Result<u64> {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    let mut headers = segments.iter().filter_map(|segment| segment.header);
    headers.clone().for_each(|header| *counts.entry(header.log_id).or_default() += 1);
    let common = counts.into_iter().max_by_key(|&(id, count)| (count, id)).map(|(id, _)| id);
    let Some(common) = common else {
        let name = segment_name(segments.first().map_or(0, |segment| segment.number));
        let message = "no header of a segment can be read, so neither can what follows".to_owned();
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

/// Whether a frame comes after the one that was expected; a mark has the sequence of the entry behind it.
fn is_later(header: &FrameHeader, is_behind: bool, expected: u64) -> bool {
    header.sequence > expected || (header.sequence == expected && is_behind)
}

struct Walker<'a> {
    files: &'a dyn Files,
    visitor: &'a mut dyn Visitor,
    window: Window,
    end: End,
    /// What the newest frame said of those before it: the frames of a batch say the same.
    synced: Option<u64>,
    is_sealed: bool,
}

impl Walker<'_> {
    fn check_headers(&mut self) -> Result<()> {
        for index in 0..self.end.segments.len() {
            let Segment { number, bytes, header } = self.end.segments[index];
            let Some(header) = header else {
                self.damage(number, 0, 0, "its header is damaged".to_owned())?;
                continue;
            };
            // None says of itself that it is not needed.
            self.end.oldest = self.end.oldest.max(header.oldest.min(number));
            if header.number != number {
                let name = segment_name(header.number);
                self.damage(number, 0, 0, format!("its header says that it is {name}"))?;
            }
            if header.bytes != bytes {
                let message = format!("it has {bytes} bytes, and {} when it was made", header.bytes);
                self.damage(number, bytes.min(header.bytes), 0, message)?;
            }
        }
        Ok(())
    }

    fn segment(&mut self, index: usize) -> Result<()> {
        let Segment { number, header, bytes } = self.end.segments[index];
        let name = segment_name(number);
        let failed = |error| refusals::reading(self.files, &name, &error);
        let file = self.files.open(&name, false).map_err(failed)?;
        self.window.reset();
        (self.synced, self.is_sealed, self.end.is_marked) = (None, false, false);
        (self.end.offset, self.end.unsure_from) = (HEADER_BYTES, HEADER_BYTES);
        match header {
            Some(header) => self.end.next_sequence = header.first_sequence,
            None if index == 0 => {
                let first = self.find(&*file, number, bytes, |_, _| true)?;
                self.end.next_sequence = first.map_or(0, |(_, sequence)| sequence);
            }
            None => {}
        }
        loop {
            self.frames(&*file, number, bytes)?;
            let next = self.end.segments.get(index + 1).copied();
            let resumed = match next {
                _ if self.is_sealed => break,
                Some(next) => self.resume_before(&*file, number, bytes, next)?,
                None => self.resume_or_end(&*file, number, bytes)?,
            };
            if !resumed {
                break;
            }
        }
        self.check_next(index)
    }

    /// Hands out whole frames that follow each other, up to where there is none.
    fn frames(&mut self, file: &dyn LogFile, number: u64, bytes: u64) -> Result<()> {
        let end = &mut self.end;
        loop {
            let found = self.window.frame_at(file, end.log_id, end.offset, bytes);
            let found =
                found.map_err(|error| refusals::reading(self.files, &segment_name(number), &error))?;
            let Some((header, payload)) = found else { return Ok(()) };
            let is_next = header.sequence == end.next_sequence && header.sequence < u64::MAX;
            if header.segment != number || !is_next {
                return Ok(());
            }
            let offset = end.offset;
            end.offset += header.frame_bytes();
            end.is_marked = header.kind != FrameKind::Entry;
            if end.is_marked {
                if payload.len() == 8 {
                    end.oldest = end.oldest.max(u64_at(payload, 0).min(number));
                }
                // A mark is written alone.
                (end.unsure_from, self.synced) = (offset, None);
                self.is_sealed = header.kind == FrameKind::Seal;
                if self.is_sealed {
                    return Ok(());
                }
                continue;
            }
            if self.synced != Some(header.synced) {
                (end.unsure_from, self.synced) = (offset, Some(header.synced));
            }
            end.next_sequence += 1;
            let position = Position { segment: number, offset, length: header.length };
            self.visitor.entry(position, header.sequence, payload)?;
        }
    }

    /// In a segment that another follows: that one says where this one ends.
    fn resume_before(&mut self, file: &dyn LogFile, number: u64, bytes: u64, next: Segment) -> Result<bool> {
        let (at, expected) = (self.end.offset, self.end.next_sequence);
        let follows = next.number == number + 1;
        let first_of_next = next.header.filter(|_| follows).map(|header| header.first_sequence);
        if first_of_next.is_some_and(|first| first <= expected) {
            return Ok(false);
        }
        let found = self.find(file, number, bytes, |place, header| {
            is_later(header, place > at, expected)
                && first_of_next.is_none_or(|first| header.sequence <= first)
        })?;
        let resumed = found.map_or(first_of_next.unwrap_or(expected), |(_, sequence)| sequence);
        if found.is_some() || first_of_next.is_some() {
            let message = format!("entry {expected} is not whole, and later ones were written");
            self.damage(number, at, resumed.saturating_sub(expected), message)?;
        }
        Ok(self.resume(found))
    }

    /// In the last segment: the end, unless a later frame says that what is missing had been on disk.
    fn resume_or_end(&mut self, file: &dyn LogFile, number: u64, bytes: u64) -> Result<bool> {
        let (at, expected) = (self.end.offset, self.end.next_sequence);
        let failed = |error| refusals::reading(self.files, &segment_name(number), &error);
        let last = self.window.last_written(file, at, bytes).map_err(failed)?;
        self.end.zero_from = last.map_or(at, |last| last + 8).min(bytes);
        if last.is_none() {
            return Ok(false);
        }
        let proof = self.find(file, number, bytes, |place, header| {
            // What takes the sequence that is missing here follows a mark, which was on disk before it.
            header.synced >= expected || (header.sequence == expected && place > at)
        })?;
        if proof.is_none() {
            let traces = self.find(file, number, bytes, |_, header| header.sequence >= expected)?;
            self.end.is_torn = traces.is_some();
            return Ok(false);
        }
        let found = self.find(file, number, bytes, |place, header| is_later(header, place > at, expected))?;
        let lost = found.map_or(0, |(_, sequence)| sequence - expected);
        self.damage(
            number,
            at,
            lost,
            format!("entry {expected} is not whole, and was on disk when later ones were written"),
        )?;
        Ok(self.resume(found))
    }

    /// The first header of a frame of this segment, from where its whole frames end, that is wanted.
    fn find(
        &mut self,
        file: &dyn LogFile,
        number: u64,
        bytes: u64,
        wanted: impl Fn(u64, &FrameHeader) -> bool,
    ) -> Result<Option<(u64, u64)>> {
        let failed = |error| refusals::reading(self.files, &segment_name(number), &error);
        let id = (self.end.log_id, number);
        let found = self.window.find(file, id, self.end.offset, bytes, wanted).map_err(failed)?;
        Ok(found.map(|(place, header)| (place, header.sequence)))
    }

    fn resume(&mut self, found: Option<(u64, u64)>) -> bool {
        let Some((offset, sequence)) = found else { return false };
        (self.end.offset, self.end.next_sequence, self.synced) = (offset, sequence, None);
        true
    }

    /// Whether the next segment is there and begins where this one ended.
    fn check_next(&mut self, index: usize) -> Result<()> {
        let Segment { number, .. } = self.end.segments[index];
        let expected = self.end.next_sequence;
        let Some(next) = self.end.segments.get(index + 1).copied() else {
            if self.is_sealed {
                let message =
                    format!("it is missing: {} says that the log goes on in it", segment_name(number));
                return self.damage(number + 1, 0, 0, message);
            }
            return Ok(());
        };
        let first = next.header.map_or(expected, |header| header.first_sequence);
        let lost = first.saturating_sub(expected);
        if next.number != number + 1 {
            let message =
                format!("it is missing between {} and {}", segment_name(number), segment_name(next.number));
            return self.damage(number + 1, 0, lost, message);
        }
        if first < expected || (self.is_sealed && first != expected) {
            let message = format!(
                "it begins with entry {first}, the one before ends with {}",
                expected.saturating_sub(1)
            );
            return self.damage(next.number, 0, lost, message);
        }
        Ok(())
    }

    fn check_oldest(&mut self) -> Result<()> {
        let lowest = self.end.segments.first().map_or(0, |segment| segment.number);
        if lowest > self.end.oldest {
            let message = format!("it is missing: the log begins with {} now", segment_name(lowest));
            self.damage(self.end.oldest, 0, 0, message)?;
        }
        Ok(())
    }

    fn damage(&mut self, number: u64, offset: u64, entries_lost: u64, message: String) -> Result<()> {
        let file = self.files.directory().join(segment_name(number));
        self.visitor.damage(Damage { file, offset, entries_lost, message })
    }
}
