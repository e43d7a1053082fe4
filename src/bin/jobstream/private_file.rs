//! Private files that commands write: each write is atomic, and other users cannot read them.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Read and write access of the owner only.
const PRIVATE: u32 = 0o600;
const PRIVATE_DIRECTORY: u32 = 0o700;
/// The access of other users in a mode.
const OTHERS: u32 = 0o077;

/// The access to a file that is replaced. A new file is always private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Of its owner only.
    Private,
    /// As it was, with the same owner: another user's server may read it.
    Kept,
}

/// Whether other users may read or write the file.
///
/// # Errors
///
/// If it cannot be examined.
pub(crate) fn is_open_to_others(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.mode() & OTHERS != 0)
}

/// Creates a private directory, and the ones above it.
///
/// # Errors
///
/// If it cannot be created.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(path)
}

/// Waits until no other process changes files of the directory in this way. The lock ends when it is dropped.
///
/// # Errors
///
/// If the directory cannot be opened or locked.
pub(crate) fn lock(directory: &Path) -> io::Result<File> {
    let directory = File::open(directory)?;
    directory.lock()?;
    Ok(directory)
}

/// The directory of a file.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Replaces a file, or creates it. A reader sees the former content or the new one, also after a crash.
///
/// # Errors
///
/// If it cannot be written; the file stays as it was then.
pub(crate) fn replace(path: &Path, content: &str, access: Access) -> io::Result<()> {
    // A symbolic link stays one.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = directory_of(&path);
    let temporary = temporary_beside(&path);
    let written = write(&temporary, &path, content, access);
    if written.is_err() {
        // The first error is reported.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(directory)?.sync_all()
}

fn temporary_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    directory_of(path).join(format!(".{name}.{}", std::process::id()))
}

fn write(temporary: &Path, path: &Path, content: &str, access: Access) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(temporary)?;
    file.write_all(content.as_bytes())?;
    if let (Access::Kept, Ok(former)) = (access, fs::metadata(path)) {
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (former.uid(), former.gid()) {
            fchown(&file, Some(former.uid()), Some(former.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(former.mode()))?;
    }
    file.sync_all()?;
    fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").mode() & 0o777
    }

    #[test]
    fn a_new_file_is_private_and_a_former_one_keeps_its_access_if_asked() {
        let directory = std::env::temp_dir().join(format!("jobstream-private-{}", std::process::id()));
        create_directory(&directory).expect("a directory");
        assert_eq!(mode(&directory), 0o700);
        let path = directory.join("tokens.toml");
        replace(&path, "a", Access::Kept).expect("written");
        assert_eq!((mode(&path), is_open_to_others(&path).expect("a file")), (0o600, false));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("changed");
        replace(&path, "b", Access::Kept).expect("written");
        assert_eq!((mode(&path), is_open_to_others(&path).expect("a file")), (0o644, true));
        replace(&path, "c", Access::Private).expect("written");
        assert_eq!((mode(&path), fs::read_to_string(&path).expect("text").as_str()), (0o600, "c"));
        let link = directory.join("link.toml");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        replace(&link, "d", Access::Private).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("text"), "d");
        assert_eq!(fs::read_dir(&directory).expect("a directory").count(), 2, "no temporary file is left");
        fs::remove_dir_all(&directory).expect("removed");
    }
}
