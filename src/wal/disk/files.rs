//! The file operations of a log, behind a trait: tests use a simulated disk.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The lock file of a directory.
const LOCK: &str = "LOCK";

/// The modes of a new directory and its files: only the owner may read payloads. A umask can only remove permissions.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// The permissions of the group and of all others.
const OTHERS_MODE: u32 = 0o077;

/// Bytes of a block of the disk and of a page of the page cache.
pub(super) const BLOCK_BYTES: usize = 4096;

/// The operations on a directory.
pub(super) trait Files: Send + Sync {
    /// Its path, for messages.
    fn directory(&self) -> &Path;

    /// Locks the directory until the guard is dropped, exclusively or shared; `None` if another process has the lock.
    fn lock(&self, shared: bool) -> io::Result<Option<Box<dyn Send>>>;

    /// The names and sizes of its files.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Creates an empty file. It is written in whole blocks of [`BLOCK_BYTES`], from memory that is aligned to blocks.
    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>>;

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn LogFile>>;

    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes earlier calls of `create`, `rename` and `remove` durable.
    fn sync_directory(&self) -> io::Result<()>;
}

/// An open file.
pub(super) trait LogFile: Send {
    /// Fills the buffer; fewer bytes are read only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes earlier writes durable.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of the operating system.
pub(super) struct Directory {
    path: PathBuf,
    /// Open, so that a sync needs no new descriptor.
    handle: File,
}

impl Directory {
    /// Opens an existing directory.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        std::fs::read_dir(path)?;
        Ok(Self { path: path.to_owned(), handle: File::open(path)? })
    }

    /// Creates the directory and its parents durably, unless they exist, and opens it.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let missing: Vec<_> =
            path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
            Err(_) if path.is_dir() => {}
            created => created?,
        }
        for created in missing {
            let parent = created.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Self::open(path)
    }

    /// The mode of the directory, if others than its owner have permissions. It is not changed: an operator may have set it.
    pub(super) fn mode_for_others(&self) -> io::Result<Option<u32>> {
        let mode = std::fs::metadata(&self.path)?.mode() & 0o7777;
        Ok(Some(mode).filter(|mode| mode & OTHERS_MODE != 0))
    }
}

impl Files for Directory {
    fn directory(&self) -> &Path {
        &self.path
    }

    fn lock(&self, shared: bool) -> io::Result<Option<Box<dyn Send>>> {
        let path = self.path.join(LOCK);
        let file = if shared {
            match File::open(path) {
                // A copy of a log may have no lock file: no process has locked it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Box::new(()))),
                file => file?,
            }
        } else {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).read(true).write(true).mode(FILE_MODE).open(path)?
        };
        match if shared { file.try_lock_shared() } else { file.try_lock() } {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != LOCK {
                files.push((name, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let path = self.path.join(name);
        let mut options = OpenOptions::new();
        let cached = options.create_new(true).read(true).write(true).mode(FILE_MODE).open(&path)?;
        // Removed on an error: after a shortage the create is retried with the same name.
        let direct = open_direct(&path).inspect_err(|_| {
            let _ = std::fs::remove_file(&path);
        })?;
        Ok(Box::new(NewFile { cached, direct }))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn LogFile>> {
        let file = OpenOptions::new().read(true).write(writable).open(self.path.join(name))?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

/// A file that is written past the page cache, with direct I/O.
struct NewFile {
    cached: File,
    /// `None` on a file system without direct I/O.
    direct: Option<File>,
}

#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> io::Result<Option<File>> {
    let flags = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    match OpenOptions::new().write(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        opened => opened.map(Some),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_path: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

impl LogFile for NewFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        LogFile::read_at(&self.cached, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Some(direct) = &self.direct {
            match direct.write_at(bytes, offset) {
                // The file system has larger blocks, or no direct I/O.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                done => return done,
            }
        }
        self.cached.write_at(bytes, offset)?;
        // Not all at once at the end: other syncs wait for the same disk.
        self.cached.sync()
    }

    fn sync(&self) -> io::Result<()> {
        self.cached.sync()
    }
}

impl LogFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match std::os::unix::fs::FileExt::read_at(self, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
