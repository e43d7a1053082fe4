//! What the log refuses and why, in words: every message names the file and the way out.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::Damage;
use super::files::Files;
use super::format::VERSION;
use super::shortage::is_passing;
use crate::error::{Error, ErrorKind};

/// When to come back to what could not be read for want of a descriptor or of memory.
const SHORTAGE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Whether an error says that there is no room, by the disk or by a quota.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A write, sync, rename or removal failed.
pub(super) fn writing(files: &dyn Files, name: &str, error: &io::Error) -> Error {
    let path = path(files, name);
    if is_full(error) {
        return disk_full(files, error);
    }
    Error::new(
        ErrorKind::LogFailed,
        format!(
            "cannot write {path}: {error}: nothing is acknowledged from here on; look at the disk, then restart"
        ),
    )
}

/// There is no room for what would have to be written.
pub(super) fn disk_full(files: &dyn Files, error: &io::Error) -> Error {
    let path = path(files, "");
    Error::new(ErrorKind::DiskFull, format!("the disk of the log {path} is full: {error}: make room on it"))
}

/// Something could not be read.
pub(super) fn reading(files: &dyn Files, name: &str, error: &io::Error) -> Error {
    let path = path(files, name);
    if is_passing(error) {
        let kind = ErrorKind::ResourceExhausted {
            reason: "SYSTEM_SHORTAGE",
            subject: "server".to_owned(),
            retry_after: SHORTAGE_RETRY_AFTER,
        };
        return Error::new(
            kind,
            format!("cannot read {path} now: {error}: try again, or raise that limit of the system"),
        );
    }
    let message = format!("cannot read {path}: {error}: look at the disk and at who may read it");
    Error::new(ErrorKind::LogFailed, message)
}

/// While a log is opened, not being allowed to write is a setting that somebody can change.
pub(super) fn preparing(files: &dyn Files, name: &str, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            read_only(files.directory(), error)
        }
        _ => writing(files, name, error),
    }
}

pub(super) fn read_only(directory: &Path, error: &io::Error) -> Error {
    let directory = directory.display();
    let message = format!(
        "cannot write in {directory}: {error}: let this user write there, or name another directory for the log"
    );
    Error::new(ErrorKind::LogRefused, message)
}

pub(super) fn no_directory(directory: &Path, error: &io::Error) -> Error {
    let directory = directory.display();
    Error::new(ErrorKind::LogRefused, format!("cannot use {directory} as the directory of a log: {error}"))
}

pub(super) fn in_use(directory: &Path) -> Error {
    let directory = directory.display();
    let message =
        format!("another process uses the log {directory}: stop it, or name another directory for this one");
    Error::new(ErrorKind::LogRefused, message)
}

pub(super) fn not_a_log(directory: &Path, other: &str) -> Error {
    let directory = directory.display();
    let message = format!(
        "{directory} is no log: it holds `{other}` and no segment: name an empty or a new directory for the log"
    );
    Error::new(ErrorKind::LogRefused, message)
}

pub(super) fn has_log(directory: &Path) -> Error {
    let directory = directory.display();
    Error::new(ErrorKind::LogRefused, format!("{directory} has a log already: name a new directory"))
}

/// The directory lets others than its owner in.
pub(super) fn warn_of_others(directory: &Path, mode: u32) {
    let directory = directory.display();
    tracing::warn!(
        "other users may be able to read the payloads in {directory}: its mode is {mode:04o}, not 0700: chmod -R go= {directory}"
    );
}

/// One directory of a salvage is the other one or is in it.
pub(super) fn nested(from: &Path, to: &Path) -> Error {
    let (from, to) = (from.display(), to.display());
    let message = format!(
        "cannot salvage {from} to {to}: one is the other or is in it: name a new directory outside of the log"
    );
    Error::new(ErrorKind::LogRefused, message)
}

pub(super) fn no_log(directory: &Path) -> Error {
    let directory = directory.display();
    Error::new(ErrorKind::LogRefused, format!("{directory} holds no log: there is no segment in it"))
}

pub(super) fn misnamed(files: &dyn Files, name: &str) -> Error {
    let path = path(files, name);
    let message = format!(
        "{path} is not named as a segment is, `segment-` and 16 hexadecimal digits and `.log`: \
         give it back its name, or move it away if it is foreign"
    );
    Error::new(ErrorKind::LogRefused, message)
}

pub(super) fn foreign(files: &dyn Files, name: &str, why: &str) -> Error {
    let path = path(files, name);
    let message = format!("{path} is no segment of this log: {why}: move it away if it does not belong here");
    Error::new(ErrorKind::LogRefused, message)
}

pub(super) fn newer(files: &dyn Files, name: &str, version: u32) -> Error {
    let path = path(files, name);
    let message = format!(
        "{path} has format version {version}, this program reads versions up to {VERSION}: \
         run the version of jobstream that wrote it, or a newer one"
    );
    Error::new(ErrorKind::LogRefused, message)
}

/// The log lost what it had acknowledged.
pub(super) fn damaged(files: &dyn Files, damage: &Damage) -> Error {
    let Damage { file, offset, message, .. } = damage;
    let (path, directory) = (file.display(), files.directory().display());
    let message = format!(
        "{path} is damaged at byte {offset}: {message}: `jobstream log verify {directory}` shows all of it, \
         `jobstream log salvage {directory} NEW` saves what is whole"
    );
    Error::new(ErrorKind::LogDamaged { file: file.clone(), offset: *offset }, message)
}

fn path(files: &dyn Files, name: &str) -> String {
    let directory = files.directory();
    if name.is_empty() { directory.display().to_string() } else { directory.join(name).display().to_string() }
}
