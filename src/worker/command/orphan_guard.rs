//! A guard process that kills the process groups of programs when this process ends, so that even `kill -9` leaves no
//! orphans. Contains the handle and the code that runs in the guard.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;

/// Longest line of the guard protocol that is read: a sign, a process id and a newline need less.
const LINE_BYTES_MAX: u64 = 32;

/// A handle to the guard process. Registers the live process groups with it. Cheap to clone; never blocks.
///
/// The guard kills the registered groups when the last handle is closed. The kernel closes it however this process
/// ends. If the guard dies or stops reading, jobs continue: the failure is logged once, and programs are no longer
/// guarded.
#[derive(Debug, Clone)]
pub struct OrphanGuard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pipe: File,
    /// `None` once the guard has failed.
    process: Mutex<Option<Child>>,
    broken: AtomicBool,
}

impl OrphanGuard {
    /// Starts the guard. `program args...` must call [`run_orphan_guard`] on its stdin and print nothing on
    /// stdout.
    ///
    /// The guard runs in its own process group, in `/`, with an empty environment. It inherits stderr.
    ///
    /// # Errors
    ///
    /// If the process cannot be started.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn spawn(program: &Path, args: &[&str]) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(args).env_clear().current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let mut process = command.spawn()?;
        let stdin = process.stdin.take().expect("stdin is piped");
        let pipe = stdin.into_owned_fd()?;
        rustix::io::ioctl_fionbio(&pipe, true)?;
        let (process, broken) = (Mutex::new(Some(process)), AtomicBool::new(false));
        Ok(Self { inner: Arc::new(Inner { pipe: pipe.into(), process, broken }) })
    }

    /// The guard's process id, or `None` if the guard has failed.
    pub fn process_id(&self) -> Option<u32> {
        self.inner.process.lock().as_ref().and_then(Child::id)
    }

    /// Registers a group, which the guard will kill.
    pub(super) fn register(&self, group: Pid) {
        self.send('+', group);
    }

    /// Unregisters a group that was killed. Must be called before its leader is reaped.
    pub(super) fn unregister(&self, group: Pid) {
        self.send('-', group);
    }

    fn send(&self, sign: char, group: Pid) {
        if self.inner.broken.load(Ordering::Relaxed) {
            return;
        }
        let line = format!("{sign}{}\n", group.as_raw_pid());
        // A write of this size to a pipe is atomic, so lines of several threads do not interleave.
        if let Err(error) = (&self.inner.pipe).write_all(line.as_bytes()) {
            self.disable(&error);
        }
    }

    /// Kills the guard after a failed write. A guard that missed a line could later kill an unrelated process group.
    fn disable(&self, error: &io::Error) {
        if self.inner.broken.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(mut process) = self.inner.process.lock().take() {
            // An error means that the guard is already dead. The runtime reaps it.
            let _ = process.start_kill();
        }
        warn!(%error, "orphan guard failed: until a restart, a kill -9 of this process would leave orphans");
    }
}

/// Runs the guard process: reads registrations from `input` until its end, then kills the registered groups. Returns
/// the number of killed groups.
///
/// From this call on, the process ignores TERM, INT, HUP and QUIT. It ends with its input.
///
/// # Errors
///
/// If the signal handlers cannot be installed. A read error is treated as the end of the input.
pub fn run_orphan_guard(mut input: impl BufRead) -> io::Result<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    {
        let _context = runtime.enter();
        // Subscribing to a signal disables its default action until the process ends, even after the drop.
        for kind in
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()]
        {
            let _ = signal(kind)?;
        }
    }
    let groups = read_groups(&mut input);
    for group in &groups {
        // An error means that the group has already ended.
        let _ = kill_process_group(*group, Signal::KILL);
    }
    Ok(groups.len())
}

fn read_groups(input: &mut impl BufRead) -> HashSet<Pid> {
    let mut groups = HashSet::new();
    let mut line = String::new();
    loop {
        line.clear();
        match io::Read::take(&mut *input, LINE_BYTES_MAX).read_line(&mut line) {
            Ok(0) => return groups,
            Ok(_) => apply(&mut groups, line.trim_end()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return groups,
        }
    }
}

fn apply(groups: &mut HashSet<Pid>, line: &str) {
    let group = |id: &str| id.parse().ok().filter(|id| *id > 1).and_then(Pid::from_raw);
    // Group 1 is ignored, because a signal to it would reach every process. Invalid lines are ignored too.
    if let Some(group) = line.strip_prefix('+').and_then(group) {
        groups.insert(group);
    } else if let Some(group) = line.strip_prefix('-').and_then(group) {
        groups.remove(&group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(mut input: &[u8]) -> Vec<i32> {
        let mut groups: Vec<_> = read_groups(&mut input).into_iter().map(Pid::as_raw_pid).collect();
        groups.sort_unstable();
        groups
    }

    #[test]
    fn groups_are_registered_and_unregistered() {
        assert_eq!(groups(b"+10\n+20\n-10\n+30\n"), [20, 30]);
        assert!(groups(b"+10\n-10\n-10\n").is_empty());
    }

    #[test]
    fn invalid_lines_are_ignored() {
        assert!(groups(b"+1\n+0\n+-5\n5\n\n++\n+99999999999\n+ 7\n+7x\n").is_empty());
        assert!(groups(&[b'+'; 1000]).is_empty());
    }
}
