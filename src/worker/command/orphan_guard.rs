//! A small process that outlives ours only to kill the process groups we leave behind, so that even `kill -9`
//! leaves no orphans. Holds both sides: the handle and what runs in the guard.

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

/// The most that is read of one line: a sign, a process id and a newline, with room to spare.
const LINE_BYTES_MAX: u64 = 32;

/// Tells the guard process which process groups are alive. Cheap to clone; never blocks.
///
/// The guard kills them when the last handle is gone, which the kernel sees to however this process ends. A
/// guard that dies or stops reading fails no job: that is logged once, and from then on nothing is guarded.
#[derive(Debug, Clone)]
pub struct OrphanGuard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pipe: File,
    /// `None` once given up.
    process: Mutex<Option<Child>>,
    broken: AtomicBool,
}

impl OrphanGuard {
    /// Starts the guard: `program args...` must call [`run_orphan_guard`] on its stdin and print nothing on
    /// stdout.
    ///
    /// It runs in a process group of its own, in `/`, without environment. It writes to our stderr.
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
        let stdin = process.stdin.take().expect("stdin was asked to be a pipe");
        let pipe = stdin.into_owned_fd()?;
        rustix::io::ioctl_fionbio(&pipe, true)?;
        let (process, broken) = (Mutex::new(Some(process)), AtomicBool::new(false));
        Ok(Self { inner: Arc::new(Inner { pipe: pipe.into(), process, broken }) })
    }

    /// The guard's process id, or `None` if it has been given up.
    pub fn process_id(&self) -> Option<u32> {
        self.inner.process.lock().as_ref().and_then(Child::id)
    }

    /// From now on the guard will kill this group.
    pub(super) fn register(&self, group: Pid) {
        self.tell('+', group);
    }

    /// The group has been killed. Must be called before its leader is reaped.
    pub(super) fn unregister(&self, group: Pid) {
        self.tell('-', group);
    }

    fn tell(&self, sign: char, group: Pid) {
        if self.inner.broken.load(Ordering::Relaxed) {
            return;
        }
        let line = format!("{sign}{}\n", group.as_raw_pid());
        // One write this short is all or nothing, so lines of several threads do not mix.
        if let Err(error) = (&self.inner.pipe).write_all(line.as_bytes()) {
            self.give_up(&error);
        }
    }

    /// A guard that missed a line could kill a stranger later, so it is killed first, which makes it kill
    /// nothing.
    fn give_up(&self, error: &io::Error) {
        if self.inner.broken.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(mut process) = self.inner.process.lock().take() {
            // An error means that it is dead already. The runtime reaps it.
            let _ = process.start_kill();
        }
        warn!(%error, "orphan guard is gone: until a restart, a kill -9 of this process would leave orphans");
    }
}

/// What the guard process does: remembers the groups it is told of on `input` and, when that ends, kills
/// those that are left. Returns how many that were.
///
/// The signals with which people stop programs (TERM, INT, HUP, QUIT) do nothing to this process from here
/// on: it ends with its input.
///
/// # Errors
///
/// If signals cannot be caught. An input that fails counts as ended.
pub fn run_orphan_guard(mut input: impl BufRead) -> io::Result<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    {
        let _context = runtime.enter();
        // A signal once asked for loses its default effect for the life of the process, listened to or not.
        for kind in
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()]
        {
            let _ = signal(kind)?;
        }
    }
    let groups = read_groups(&mut input);
    for group in &groups {
        // An error means that it is gone already.
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
    // To signal group 1 is to signal everything, so that and nonsense are ignored.
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
    fn groups_come_and_go() {
        assert_eq!(groups(b"+10\n+20\n-10\n+30\n"), [20, 30]);
        assert!(groups(b"+10\n-10\n-10\n").is_empty());
    }

    #[test]
    fn nonsense_is_never_a_group() {
        assert!(groups(b"+1\n+0\n+-5\n5\n\n++\n+99999999999\n+ 7\n+7x\n").is_empty());
        assert!(groups(&[b'+'; 1000]).is_empty());
    }
}
