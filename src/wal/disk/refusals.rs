//! The errors of the log. Every message names the file and what to do.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::Damage;
use super::files::Files;
use super::format::VERSION;
use super::shortage::is_transient;
use crate::error::{Error, ErrorKind};

/// When to retry a read after a shortage of descriptors or memory.
const SHORTAGE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Whether there is no space, on the disk or within a quota.
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
        format!("cannot write {path}: {error}: nothing is acknowledged any more: check the disk and restart"),
    )
}

/// There is no space for another segment.
pub(super) fn disk_full(files: &dyn Files, error: &io::Error) -> Error {
    let path = path(files, "");
    Error::new(ErrorKind::DiskFull, format!("the disk of the log {path} is full: {error}: free space on it"))
}

/// A read failed.
pub(super) fn reading(files: &dyn Files, name: &str, error: &io::Error) -> Error {
    let path = path(files, name);
    if is_transient(error) {
        let kind = ErrorKind::ResourceExhausted {
            reason: "SYSTEM_SHORTAGE",
            subject: "server".to_owned(),
            retry_after: SHORTAGE_RETRY_AFTER,
        };
        return Error::new(
            kind,
            format!("cannot read {path} now: {error}: retry, or raise the limit of the system"),
        );
    }
    let message = format!("cannot read {path}: {error}: check the disk and the permissions");
    Error::new(ErrorKind::LogFailed, message)
}

/// A write failed while the log is opened: missing permission is a setting of the operator.
pub(super) fn preparing(files: &dyn Files, name: &str, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => refused(format!(
            "cannot write in {}: {error}: grant permission, or name another directory for the log",
            files.directory().display()
        )),
        _ => writing(files, name, error),
    }
}

pub(super) fn no_directory(directory: &Path, error: &io::Error) -> Error {
    let directory = directory.display();
    refused(format!("cannot use {directory} as the directory of a log: {error}"))
}

pub(super) fn in_use(directory: &Path) -> Error {
    let directory = directory.display();
    refused(format!(
        "another process uses the log {directory}: stop it, or name another directory for this one"
    ))
}

pub(super) fn not_a_log(directory: &Path, other: &str) -> Error {
    let directory = directory.display();
    refused(format!(
        "{directory} is no log: it has a file `{other}` and no segment: name an empty or a new directory for the log"
    ))
}

pub(super) fn has_log(directory: &Path) -> Error {
    let directory = directory.display();
    refused(format!("{directory} has a log already: name a new directory"))
}

/// Warns that others than the owner have permissions on the directory.
pub(super) fn warn_of_others(directory: &Path, mode: u32) {
    let directory = directory.display();
    tracing::warn!(
        "other users may be able to read the payloads in {directory}: its mode is {mode:04o}, not 0700: chmod -R go= {directory}"
    );
}

/// One directory of a salvage is the other one, or is inside it.
pub(super) fn nested(from: &Path, to: &Path) -> Error {
    let (from, to) = (from.display(), to.display());
    refused(format!(
        "cannot salvage {from} to {to}: one is the other or is inside it: name a new directory outside of the log"
    ))
}

pub(super) fn no_log(directory: &Path) -> Error {
    let directory = directory.display();
    refused(format!("{directory} is no log: it has no segment"))
}

pub(super) fn misnamed(files: &dyn Files, name: &str) -> Error {
    let path = path(files, name);
    refused(format!(
        "{path} is not named as a segment is, `segment-` and 16 hexadecimal digits and `.log`: \
         restore its name, or move it away if it is foreign"
    ))
}

pub(super) fn foreign(files: &dyn Files, name: &str, why: &str) -> Error {
    let path = path(files, name);
    refused(format!("{path} is no segment of this log: {why}: move it away if it does not belong here"))
}

pub(super) fn newer(files: &dyn Files, name: &str, version: u32) -> Error {
    let path = path(files, name);
    refused(format!(
        "{path} has format version {version}, this program reads versions up to {VERSION}: \
         run the version of jobstream that wrote it, or a newer one"
    ))
}

/// Acknowledged entries are lost.
pub(super) fn damaged(files: &dyn Files, damage: &Damage) -> Error {
    let Damage { file, offset, message, .. } = damage;
    let (path, directory) = (file.display(), files.directory().display());
    let message = format!(
        "{path} is damaged at byte {offset}: {message}: `jobstream log verify {directory}` shows all damage, \
         `jobstream log salvage {directory} NEW` copies the intact entries"
    );
    Error::new(ErrorKind::LogDamaged { file: file.clone(), offset: *offset }, message)
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::LogRefused, message)
}

fn path(files: &dyn Files, name: &str) -> String {
    let directory = files.directory();
    if name.is_empty() { directory.display().to_string() } else { directory.join(name).display().to_string() }
}
