//! Inspects a log without writing it: verify, dump, and salvage of intact entries.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::files::Files;
use super::names::Listing;
use super::recovery::open_for_reading;
use super::walk::{End, Found, walk};
use super::{Damage, DiskLog, EachEntry, Options, Position, Segment, refusals};
use crate::error::Result;

/// Bytes of entries that a salvage appends at a time.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// The result of an inspection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its segments, oldest first.
    pub segments: Vec<Segment>,
    /// Intact entries.
    pub entries: u64,
    /// Bytes of the intact entries, without their frames.
    pub entry_bytes: u64,
    /// The sequence of the next entry.
    pub next_sequence: u64,
    /// Whether the log was closed. If not, damage at its end cannot be distinguished from an unfinished batch.
    pub is_closed: bool,
    /// Whether it ends in an unfinished batch, as after a crash.
    pub is_torn: bool,
    /// Where acknowledged entries are damaged or missing; empty if the log is intact.
    pub damages: Vec<Damage>,
}

/// The result of a salvage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvage {
    /// The inspection of the damaged log.
    pub report: Report,
    /// Entries in the new log.
    pub entries: u64,
}

/// Reads all of a log and reports damage.
///
/// # Errors
///
/// `LogRefused` if the directory has no log, is in use, or if a file is foreign or of a newer format; `LogFailed` if one
/// cannot be read; `LogDamaged` if no segment can be.
pub fn verify(directory: &Path) -> Result<Report> {
    dump(directory, |_, _, _| Ok(()))
}

/// Passes every intact entry of a log to `entry`, with its position and sequence, and reports damage. Entries after damage are
/// passed as well: a gap in the sequences shows it.
///
/// # Errors
///
/// Those of `verify`, and those of `entry`.
pub fn dump(directory: &Path, mut entry: impl FnMut(Position, u64, &[u8]) -> Result<()>) -> Result<Report> {
    let (files, _lock) = open_for_reading(directory)?;
    survey(&*files, &mut entry)
}

/// Copies every intact entry of the log `from`, also those after damage, to a new log in `to`.
///
/// # Errors
///
/// As [`verify`] for `from`; `LogFailed` or `DiskFull` if `to` cannot be written; `LogRefused` if `to` has a log already, or if
/// one of the two directories is the other or is in it.
pub fn salvage(from: &Path, to: &Path, options: &Options) -> Result<Salvage> {
    let (files, _lock) = open_for_reading(from)?;
    let real = |path: &Path| real_path(path).map_err(|error| refusals::no_directory(path, &error));
    let (real_from, real_to) = (real(from)?, real(to)?);
    if real_to.starts_with(&real_from) || real_from.starts_with(&real_to) {
        return Err(refusals::nested(from, to));
    }
    let has_log = |_: Position, _: u64, _: &[u8]| Err(refusals::has_log(to));
    let mut log = DiskLog::open(to, options, has_log)?;
    let salvage = copy(&*files, &mut log)?;
    log.close()?;
    Ok(salvage)
}

/// The canonical path of the part that exists, with the rest appended.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut missing: Vec<OsString> = Vec::new();
    let mut existing = path.as_path();
    let mut real = loop {
        match existing.canonicalize() {
            Ok(real) => break real,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(error) => {
                let last = existing.components().next_back().ok_or(error)?;
                missing.push(last.as_os_str().to_owned());
                existing = existing.parent().unwrap_or(Path::new("/"));
            }
        }
    };
    for part in missing.into_iter().rev() {
        if part == ".." {
            real.pop();
        } else {
            real.push(part);
        }
    }
    Ok(real)
}

fn copy(files: &dyn Files, log: &mut DiskLog) -> Result<Salvage> {
    let (mut batch, mut bytes, mut entries) = (Vec::new(), 0, 0);
    let report = survey(files, &mut |_, _, entry| {
        batch.push(entry.to_vec());
        bytes += entry.len();
        entries += 1;
        if bytes >= BATCH_BYTES {
            log.append(&batch)?;
            batch.clear();
            bytes = 0;
        }
        Ok(())
    })?;
    log.append(&batch)?;
    Ok(Salvage { report, entries })
}

/// Reads all of a log: passes on its entries, and reports its damage.
pub(super) fn survey(files: &dyn Files, entry: &mut EachEntry<'_>) -> Result<Report> {
    let Listing { segments, .. } = Listing::of(files)?;
    if segments.is_empty() {
        return Err(refusals::no_log(files.directory()));
    }
    let (mut entries, mut entry_bytes, mut damages) = (0, 0, Vec::new());
    let end = walk(files, &segments, &mut |found| match found {
        Found::Entry(position, sequence, bytes) => {
            entries += 1;
            entry_bytes += bytes.len() as u64;
            entry(position, sequence, bytes)
        }
        Found::Damage(damage) => {
            damages.push(damage);
            Ok(())
        }
    })?;
    let End { next_sequence, is_marked: is_closed, is_torn, .. } = end;
    Ok(Report { segments, entries, entry_bytes, next_sequence, is_closed, is_torn, damages })
}
