//! The files of a log, as far as it needs them: a seam, so that tests can take a disk that fails and forgets.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file that a process locks while it uses the directory.
const LOCK: &str = "LOCK";

/// Who may use the directory and each file that a log makes: its owner alone. Payloads are in them. A umask can only take
/// away from it.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// The bits of a mode that let the group and all others in.
const OTHERS_MODE: u32 = 0o077;

/// Bytes of a block: what disks and the system's cache are written in.
pub(super) const BLOCK_BYTES: usize = 4096;

/// A directory and what can be done in it.
pub(super) trait Files: Send + Sync {
    /// Its path, to name it to a person.
    fn directory(&self) -> &Path;

    /// Locks it until the guard is dropped, for this process alone or together with others that share it; `None` if
    /// another process has it.
    fn lock(&self, shared: bool) -> io::Result<Option<Box<dyn Send>>>;

    /// Names and sizes of its files.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Makes a new, empty file. It is written in whole blocks of [`BLOCK_BYTES`], from memory aligned to as many.
    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>>;

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn LogFile>>;

    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes durable what `create`, `rename` and `remove` did.
    fn sync_directory(&self) -> io::Result<()>;
}

/// An open file.
pub(super) trait LogFile: Send {
    /// Reads up to the length of `buffer`, less only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes durable what was written.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of the operating system.
pub(super) struct Directory {
    path: PathBuf,
    /// Open, so that making names durable needs no descriptor.
    handle: File,
}

impl Directory {
    /// A directory that exists.
    pub(super) fn existing(path: &Path) -> io::Result<Self> {
        std::fs::read_dir(path)?;
        Ok(Self { path: path.to_owned(), handle: File::open(path)? })
    }

    /// Makes the directory and those above it, durably, unless they exist.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        let missing: Vec<_> =
            path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
            Err(_) if path.is_dir() => {}
            made => made?,
        }
        for made in missing {
            let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Self::existing(path)
    }

    /// The mode of the directory, if it lets others than its owner in. It is not changed: somebody chose it.
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
                // A copy of a log may lack it; nobody can have locked it then.
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
        // All or nothing: after a shortage the same name is made again.
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

/// A file that is filled once and seldom read: past the system's cache, where it would be copied and take the room of what
/// is read again.
struct NewFile {
    cached: File,
    /// Not every file system has it.
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
                // Its blocks are larger than ours, or it only looked as if it could.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                done => return done,
            }
        }
        self.cached.write_at(bytes, offset)?;
        // Not all at once in the end: others wait for the same disk.
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
