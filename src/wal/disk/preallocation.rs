//! Preallocated segments: an append never grows a file, and a full disk is noticed while there is still space.

use super::files::{BLOCK_BYTES, Files, LogFile};
use super::names::{Listing, spare_name, unfinished_name};
use super::{Options, Segment, refusals};
use crate::error::Result;

/// Bytes of zeros written at a time.
const STEP_BYTES: usize = 1024 * 1024;

#[repr(align(4096))]
struct Zeros([u8; STEP_BYTES]);

static ZEROS: Zeros = Zeros([0; STEP_BYTES]);
const _: () = assert!(align_of::<Zeros>() == BLOCK_BYTES);

/// The preallocated files of a log (spares). Each has the size of a segment, is written with zeros, and holds no live data.
pub(super) struct Spares {
    ready: Vec<Segment>,
    unfinished: Option<Unfinished>,
    next_number: u64,
    /// Bytes of each spare.
    segment_bytes: u64,
    /// Bytes of the segments in use.
    segments_bytes: u64,
    /// Most bytes of segments and spares.
    bytes_max: u64,
    /// Whether the next spare may exceed `bytes_max`.
    may_exceed_bound: bool,
    is_disk_full: bool,
}

struct Unfinished {
    name: String,
    number: u64,
    file: Box<dyn LogFile>,
    filled: u64,
}

impl Spares {
    /// Finds the spares in a directory, and removes files that cannot be used as one.
    pub(super) fn find(files: &dyn Files, listing: &Listing, options: &Options) -> Result<Self> {
        let Options { segment_bytes, spares_max, bytes_max, .. } = *options;
        let next_number = listing.spares.last().map_or(1, |last| last.number + 1);
        let mut ready = Vec::new();
        let remove =
            |name: &str| files.remove(name).map_err(|error| refusals::preparing(files, name, &error));
        for name in &listing.unfinished {
            remove(name)?;
        }
        for &spare in &listing.spares {
            if spare.bytes == segment_bytes && ready.len() < spares_max {
                ready.push(spare);
            } else {
                remove(&spare_name(spare.number))?;
            }
        }
        Ok(Self {
            ready,
            unfinished: None,
            next_number,
            segment_bytes,
            segments_bytes: listing.segments.iter().map(|segment| segment.bytes).sum(),
            bytes_max: bytes_max.unwrap_or(u64::MAX),
            may_exceed_bound: false,
            is_disk_full: false,
        })
    }

    /// Bytes of the segments in use.
    pub(super) fn segments_bytes(&self) -> u64 {
        self.segments_bytes
    }

    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whether there was no space, on the disk or within the bound, for the last spare.
    pub(super) fn is_disk_full(&self) -> bool {
        self.is_disk_full
    }

    /// Lets the next step retry after a full disk, and lets the next spare exceed the bound.
    pub(super) fn retry_full_disk(&mut self, may_exceed_bound: bool) {
        self.may_exceed_bound |= may_exceed_bound;
        self.is_disk_full = false;
    }

    /// Takes a spare, which becomes a segment in use. Returns the name of its file and its bytes.
    pub(super) fn take(&mut self) -> Option<(String, u64)> {
        let taken = (!self.ready.is_empty()).then(|| self.ready.remove(0))?;
        self.segments_bytes += taken.bytes;
        Some((spare_name(taken.number), taken.bytes))
    }

    /// Takes a spare for the first segment: an existing one, or a new one of at most `bytes_max`; `None` if there is no space.
    pub(super) fn first(&mut self, files: &dyn Files, bytes_max: u64) -> Result<Option<(String, u64)>> {
        let segment_bytes = self.segment_bytes;
        self.segment_bytes = segment_bytes.min(bytes_max);
        let made = self.make(files, 1);
        self.segment_bytes = segment_bytes;
        made.map(|_| self.take())
    }

    /// Counts a trimmed segment whose file is removed.
    pub(super) fn remove_segment(&mut self, bytes: u64) {
        self.segments_bytes -= bytes;
        (self.may_exceed_bound, self.is_disk_full) = (false, false);
    }

    /// Counts a trimmed segment whose file becomes a spare with the returned name.
    pub(super) fn recycle(&mut self) -> String {
        let number = self.next_number;
        self.next_number += 1;
        self.ready.push(Segment { number, bytes: self.segment_bytes });
        self.segments_bytes -= self.segment_bytes;
        self.is_disk_full = false;
        spare_name(number)
    }

    /// Creates spares until there are `count`; false if there is no space.
    pub(super) fn make(&mut self, files: &dyn Files, count: usize) -> Result<bool> {
        while self.ready.len() < count {
            if self.is_disk_full {
                return Ok(false);
            }
            self.step(files)?;
        }
        Ok(true)
    }

    /// How many of the first `bytes` of the next spare are missing; 0 if a step cannot write them.
    pub(super) fn missing_of(&self, bytes: u64) -> u64 {
        if !self.ready.is_empty() || self.is_disk_full {
            return 0;
        }
        let filled = self.unfinished.as_ref().map_or(0, |unfinished| unfinished.filled);
        bytes.min(self.segment_bytes).saturating_sub(filled)
    }

    /// Writes a part of a spare. A full disk is not an error: `is_disk_full` is set, and the unfinished file is removed.
    pub(super) fn step(&mut self, files: &dyn Files) -> Result<()> {
        let unfinished = match self.unfinished.take() {
            Some(unfinished) => unfinished,
            None => match self.create(files)? {
                Some(unfinished) => unfinished,
                None => return Ok(()),
            },
        };
        let Unfinished { name, number, file, filled: start } = unfinished;
        let filled = self.segment_bytes.min(start + STEP_BYTES as u64);
        let is_ready = filled == self.segment_bytes;
        let written = file.write_at(&ZEROS.0[..(filled - start) as usize], start);
        if let Err(error) = written.and_then(|()| if is_ready { file.sync() } else { Ok(()) }) {
            if !refusals::is_full(&error) {
                return Err(refusals::preparing(files, &name, &error));
            }
            self.is_disk_full = true;
            drop(file);
            return files.remove(&name).map_err(|error| refusals::preparing(files, &name, &error));
        }
        if !is_ready {
            self.unfinished = Some(Unfinished { name, number, file, filled });
            return Ok(());
        }
        let ready = spare_name(number);
        files.rename(&name, &ready).map_err(|error| refusals::preparing(files, &name, &error))?;
        self.ready.push(Segment { number, bytes: filled });
        Ok(())
    }

    /// Creates the file of the next spare; `None` if there is no space.
    fn create(&mut self, files: &dyn Files) -> Result<Option<Unfinished>> {
        let spares_bytes = (self.ready.len() as u64 + 1) * self.segment_bytes;
        let is_beyond = self.segments_bytes + spares_bytes > self.bytes_max;
        if is_beyond && !std::mem::take(&mut self.may_exceed_bound) {
            self.is_disk_full = true;
            return Ok(None);
        }
        let number = self.next_number;
        let name = unfinished_name(number);
        match files.create(&name) {
            Ok(file) => {
                self.next_number += 1;
                Ok(Some(Unfinished { name, number, file, filled: 0 }))
            }
            Err(error) if refusals::is_full(&error) => {
                self.is_disk_full = true;
                Ok(None)
            }
            Err(error) => Err(refusals::preparing(files, &name, &error)),
        }
    }
}
