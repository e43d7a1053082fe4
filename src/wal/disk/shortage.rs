//! Retries of calls that fail because the system is short of descriptors or memory.
//!
//! Only calls that open a file or change a name are retried. A write or sync that fails is final: after it, the page cache may
//! differ from the disk.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread::park_timeout;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::files::{Files, LogFile};

/// Descriptors that are reserved for the log.
const RESERVE: usize = 8;
/// The first back-off; it doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_millis(500);
/// How long a call of the writer is retried before the log fails.
const WRITE_RETRY_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// How long a read is retried: its caller waits, and can retry.
const READ_RETRY_TIMEOUT: Duration = Duration::from_secs(2);

/// Transient errors, which are not errors of the disk.
const TRANSIENT: [Errno; 5] = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR, Errno::AGAIN];

/// Whether the error is a shortage of the system that passes.
pub(super) fn is_transient(error: &io::Error) -> bool {
    TRANSIENT.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Files whose calls are retried during a shortage.
pub(super) struct RetryingFiles<F> {
    files: F,
    reserve: Reserve,
}

impl<F: Files> RetryingFiles<F> {
    pub(super) fn new(files: F) -> Self {
        let reserve = Reserve::default();
        reserve.fill();
        Self { files, reserve }
    }

    /// Calls and retries with back-off until the shortage is over or the timeout is reached.
    fn retry<T>(
        &self,
        name: &str,
        timeout: Duration,
        mut call: impl FnMut(&F) -> io::Result<T>,
    ) -> io::Result<T> {
        let (mut backoff, mut waited) = (BACKOFF_MIN, Duration::ZERO);
        loop {
            let error = match call(&self.files) {
                Err(error) if is_transient(&error) && waited < timeout => error,
                result => {
                    if result.is_ok() {
                        self.reserve.fill();
                    }
                    if result.is_ok() && !waited.is_zero() {
                        tracing::info!(
                            name,
                            ?waited,
                            "the shortage of the system is over: the log continues"
                        );
                    }
                    return result;
                }
            };
            if self.reserve.release() {
                tracing::warn!(name, %error, "the log uses its reserved descriptors");
                continue;
            }
            if waited.is_zero() {
                tracing::warn!(name, %error, "the system is short of a resource: the log retries");
            }
            park_timeout(backoff);
            waited += backoff;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }
}

impl<F: Files> Files for RetryingFiles<F> {
    fn directory(&self) -> &Path {
        self.files.directory()
    }

    fn lock(&self, shared: bool) -> io::Result<Option<Box<dyn Send>>> {
        self.retry("LOCK", READ_RETRY_TIMEOUT, |files| files.lock(shared))
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.retry("", READ_RETRY_TIMEOUT, F::list)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        self.retry(name, WRITE_RETRY_TIMEOUT, |files| files.create(name))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn LogFile>> {
        let timeout = if writable { WRITE_RETRY_TIMEOUT } else { READ_RETRY_TIMEOUT };
        self.retry(name, timeout, |files| files.open(name, writable))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.retry(from, WRITE_RETRY_TIMEOUT, |files| files.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.retry(name, WRITE_RETRY_TIMEOUT, |files| files.remove(name))
    }

    /// Never retried, as any sync.
    fn sync_directory(&self) -> io::Result<()> {
        self.files.sync_directory()
    }
}

/// Open descriptors that are closed when the log needs others.
#[derive(Default)]
struct Reserve(Mutex<Vec<File>>);

impl Reserve {
    /// Opens the missing descriptors, as far as the system has any.
    fn fill(&self) {
        let mut files = self.0.lock();
        while files.len() < RESERVE {
            match File::open("/dev/null") {
                Ok(file) => files.push(file),
                Err(_) => return,
            }
        }
    }

    /// Closes all descriptors. Returns whether there were any.
    fn release(&self) -> bool {
        !std::mem::take(&mut *self.0.lock()).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Call, Disk};
    use super::*;

    const TRANSIENT_NAMES: [&str; 5] = ["EMFILE", "ENFILE", "ENOMEM", "EINTR", "EAGAIN"];

    /// The calls of the disk that a call of the log became, of which the first failed.
    fn calls(errno: Errno, call: impl FnOnce(&RetryingFiles<Disk>) -> io::Result<()>) -> (bool, Vec<Call>) {
        let disk = Disk::default();
        disk.put("a", Vec::new());
        let patient = RetryingFiles::new(disk.clone());
        disk.fail_at(0, errno.raw_os_error());
        let is_ok = call(&patient).is_ok();
        (is_ok, disk.calls())
    }

    #[test]
    fn a_shortage_that_passes_fails_nothing() {
        for (errno, name) in TRANSIENT.into_iter().zip(TRANSIENT_NAMES) {
            assert_eq!(
                calls(errno, |files| files.create("b").map(drop)),
                (true, vec![Call::Create; 2]),
                "{name}"
            );
            assert_eq!(
                calls(errno, |files| files.open("a", true).map(drop)),
                (true, vec![Call::Open; 2]),
                "{name}"
            );
            assert_eq!(
                calls(errno, |files| files.open("a", false).map(drop)),
                (true, vec![Call::Open; 2]),
                "{name}"
            );
            assert_eq!(calls(errno, |files| files.rename("a", "b")), (true, vec![Call::Rename; 2]), "{name}");
            assert_eq!(calls(errno, |files| files.remove("a")), (true, vec![Call::Remove; 2]), "{name}");
            assert_eq!(calls(errno, |files| files.list().map(drop)), (true, vec![Call::List; 2]), "{name}");
        }
    }

    #[test]
    fn an_error_of_the_disk_is_final_and_a_sync_is_never_made_again() {
        for errno in [Errno::IO, Errno::ROFS, Errno::NOSPC] {
            assert_eq!(calls(errno, |files| files.create("b").map(drop)), (false, vec![Call::Create]));
            assert_eq!(calls(errno, |files| files.rename("a", "b")), (false, vec![Call::Rename]));
        }
        for errno in [Errno::IO, Errno::INTR, Errno::NOMEM] {
            assert_eq!(calls(errno, |files| files.sync_directory()), (false, vec![Call::SyncDirectory]));
        }
    }

    #[test]
    fn a_reserve_is_closed_once_and_taken_again() {
        let reserve = Reserve::default();
        assert!(!reserve.release());
        reserve.fill();
        assert_eq!(reserve.0.lock().len(), RESERVE);
        assert!(reserve.release() && !reserve.release());
    }
}
