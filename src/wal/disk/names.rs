//! Names of the files of a log, and the listing of its directory.

use super::files::Files;
use super::{Segment, refusals};
use crate::error::Result;

/// Entries that a file system creates in its root.
const LOST_AND_FOUND: &str = "lost+found";

pub(super) fn segment_name(number: u64) -> String {
    format!("segment-{number:016x}.log")
}

/// A preallocated file: all of its blocks are allocated.
pub(super) fn spare_name(number: u64) -> String {
    format!("spare-{number:016x}.log")
}

/// A spare that is not finished.
pub(super) fn unfinished_name(number: u64) -> String {
    format!("spare-{number:016x}.new")
}

/// The files of a directory, by type and in order.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) segments: Vec<Segment>,
    pub(super) spares: Vec<Segment>,
    pub(super) unfinished: Vec<String>,
    /// Files that are no part of a log.
    pub(super) others: Vec<String>,
}

impl Listing {
    /// Lists a directory.
    ///
    /// # Errors
    ///
    /// `LogRefused` if a file has almost the name of a segment: somebody may have renamed a segment.
    pub(super) fn of(files: &dyn Files) -> Result<Self> {
        let mut listing = Self::default();
        let entries = files.list().map_err(|error| refusals::reading(files, "", &error))?;
        for (name, bytes) in entries {
            if let Some(number) = parse(&name, "segment-", ".log") {
                listing.segments.push(Segment { number, bytes });
            } else if let Some(number) = parse(&name, "spare-", ".log") {
                listing.spares.push(Segment { number, bytes });
            } else if parse(&name, "spare-", ".new").is_some() {
                listing.unfinished.push(name);
            } else if name.starts_with("segment-") {
                return Err(refusals::misnamed(files, &name));
            } else if name != LOST_AND_FOUND {
                listing.others.push(name);
            }
        }
        listing.segments.sort_unstable();
        listing.spares.sort_unstable();
        listing.others.sort_unstable();
        Ok(listing)
    }
}

fn parse(name: &str, prefix: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let is_canonical = digits.len() == 16 && digits.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    let number = if is_canonical { u64::from_str_radix(digits, 16).ok() } else { None };
    // The next file has the next number.
    number.filter(|&number| number < u64::MAX)
}
