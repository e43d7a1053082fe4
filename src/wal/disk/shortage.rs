//! Shortages of the system that pass, as of descriptors or memory: a call that met one is made again until it is over.
//!
//! Only calls that give a handle or change a name are made again. A write or sync that fails is final: after it, what is in
//! memory need not be what is on the disk.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread::park_timeout;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::files::{Files, LogFile};

/// Descriptors that are held for the log while the rest of the process may take all others.
const RESERVE: usize = 8;
/// First pause before a call is made again; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long a shortage may hold up what is written before it counts as a failure of the log.
const WRITE_PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How long it may hold up a read, whose caller waits and can ask again.
const READ_PATIENCE: Duration = Duration::from_secs(2);

/// Errors that say nothing about the disk, and that pass.
const PASSING: [Errno; 5] = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR, Errno::AGAIN];

/// Whether the error says that something of the system is short for now.
pub(super) fn is_passing(error: &io::Error) -> bool {
    PASSING.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Files whose calls outlast a shortage.
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

    /// The answer of the call, which is made again while it meets a shortage.
    fn outlast<T>(
        &self,
        name: &str,
        patience: Duration,
        mut call: impl FnMut(&F) -> io::Result<T>,
    ) -> io::Result<T> {
        let (mut pause, mut waited) = (PAUSE_MIN, Duration::ZERO);
        loop {
            let error = match call(&self.files) {
                Err(error) if is_passing(&error) && waited < patience => error,
                answer => {
                    if answer.is_ok() {
                        self.reserve.fill();
                    }
                    if answer.is_ok() && !waited.is_zero() {
                        tracing::info!(name, ?waited, "the log goes on: the shortage is over");
                    }
                    return answer;
                }
            };
            if self.reserve.release() {
                tracing::warn!(name, %error, "the log uses its reserve of descriptors");
                continue;
            }
            if waited.is_zero() {
                tracing::warn!(name, %error, "the log waits for a shortage to pass; nothing is lost");
            }
            park_timeout(pause);
            waited += pause;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

impl<F: Files> Files for RetryingFiles<F> {
    fn directory(&self) -> &Path {
        self.files.directory()
    }

    fn lock(&self, shared: bool) -> io::Result<Option<Box<dyn Send>>> {
        self.outlast("LOCK", READ_PATIENCE, |files| files.lock(shared))
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.outlast("", READ_PATIENCE, F::list)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        self.outlast(name, WRITE_PATIENCE, |files| files.create(name))
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn LogFile>> {
        let patience = if writable { WRITE_PATIENCE } else { READ_PATIENCE };
        self.outlast(name, patience, |files| files.open(name, writable))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.outlast(from, WRITE_PATIENCE, |files| files.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.outlast(name, WRITE_PATIENCE, |files| files.remove(name))
    }

    /// A sync: never made again.
    fn sync_directory(&self) -> io::Result<()> {
        self.files.sync_directory()
    }
}

/// Open descriptors of no use but that they can be closed for others.
#[derive(Default)]
struct Reserve(Mutex<Vec<File>>);

impl Reserve {
    /// Takes as many as are missing; fewer while there are no more.
    fn fill(&self) {
        let mut held = self.0.lock();
        while held.len() < RESERVE {
            match File::open("/dev/null") {
                Ok(file) => held.push(file),
                Err(_) => return,
            }
        }
    }

    /// Closes all of them; false if there were none.
    fn release(&self) -> bool {
        !std::mem::take(&mut *self.0.lock()).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{Call, Disk};
    use super::*;

    const PASSING_NAMES: [&str; 5] = ["EMFILE", "ENFILE", "ENOMEM", "EINTR", "EAGAIN"];

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
        for (errno, name) in PASSING.into_iter().zip(PASSING_NAMES) {
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
