//! Names of the files of a log, and the listing of its directory.

use super::files::Files;
use super::refusals;
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

/// A file with a number in its name, and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) bytes: u64,
}

/// The files of a directory, by what they are; numbered ones in order.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) segments: Vec<Numbered>,
    pub(super) spares: Vec<Numbered>,
    pub(super) unfinished: Vec<String>,
    /// Files that are no part of a log.
    pub(super) others: Vec<String>,
}

impl Listing {
    /// Lists a directory.
    ///
    /// # Errors
    ///
    /// `LogRefused` if a file is named almost as a segment is: it may be one that somebody renamed.
    pub(super) fn of(files: &dyn Files) -> Result<Self> {
        let mut listing = Self::default();
        let entries = files.list().map_err(|error| refusals::reading(files, "", &error))?;
        for (name, bytes) in entries {
            let number =
                |prefix, suffix| parse(&name, prefix, suffix).map(|number| Numbered { number, bytes });
            if let Some(segment) = number("segment-", ".log") {
                listing.segments.push(segment);
            } else if let Some(spare) = number("spare-", ".log") {
                listing.spares.push(spare);
            } else if number("spare-", ".new").is_some() {
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
    // Another one comes after it.
    number.filter(|&number| number < u64::MAX)
}
