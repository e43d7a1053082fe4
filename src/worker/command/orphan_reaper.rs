//! Reaps orphans: processes whose parent ended, and which the system made children of this process. Never reaps a process
//! that this process started, whose exit status is still needed.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, waitid};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// Orphans are reaped at most this long after their end.
const REAP_INTERVAL: Duration = Duration::from_millis(500);

/// A handle to the processes that this process started, which are not orphans. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct OrphanReaper {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Write-locked while orphans are reaped: a process that is being started is not yet in `started`.
    starting: RwLock<()>,
    /// Processes that are not reaped yet. A count, because the id of a reaped process may be reused before its entry is
    /// removed.
    started: Mutex<HashMap<Pid, u32>>,
}

impl OrphanReaper {
    /// Whether the system makes orphans children of this process: its id is 1, as in a container, or it is a child
    /// subreaper.
    pub fn is_needed() -> bool {
        getpid() == Pid::INIT || is_subreaper()
    }

    /// Excludes a process that was started elsewhere.
    pub fn exclude(&self, id: Pid) {
        *self.inner.started.lock().entry(id).or_default() += 1;
    }

    /// Reaps orphans within half a second after their end. Never returns, unless the signal handler cannot be installed.
    ///
    /// Every process that this process starts must be excluded before it runs, and every program needs this reaper in its
    /// [`CommandControl`](super::CommandControl). Orphans are found in `/proc`.
    ///
    /// # Errors
    ///
    /// If the handler for SIGCHLD cannot be installed.
    pub async fn run(&self) -> io::Result<()> {
        let mut exits = signal(SignalKind::child())?;
        loop {
            sleep(REAP_INTERVAL).await;
            self.reap();
            exits.recv().await;
        }
    }

    /// Starts a process, which is not an orphan.
    pub(super) fn start(&self, command: &mut Command) -> io::Result<(Child, Pid)> {
        let _starting = self.inner.starting.read();
        let child = command.spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let id = id.expect("a child that is not reaped has an id");
        self.exclude(id);
        Ok((child, id))
    }

    /// Removes a process that was reaped.
    pub(super) fn remove(&self, id: Pid) {
        let mut started = self.inner.started.lock();
        match started.get_mut(&id) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(started.remove(&id)),
        }
    }

    fn reap(&self) {
        let _starting = self.inner.starting.write();
        let started = self.inner.started.lock();
        for orphan in ended_children().filter(|id| !started.contains_key(id)) {
            // An error means that something else has reaped it.
            let _ = waitid(WaitId::Pid(orphan), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
            tracing::debug!(process = orphan.as_raw_pid(), "reaped an orphan");
        }
    }
}

#[cfg(target_os = "linux")]
fn is_subreaper() -> bool {
    rustix::process::child_subreaper().is_ok_and(|subreaper| subreaper.is_some())
}

#[cfg(not(target_os = "linux"))]
fn is_subreaper() -> bool {
    false
}

/// The children of this process that have ended and are not reaped.
fn ended_children() -> impl Iterator<Item = Pid> {
    let parent = getpid();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let id = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        is_ended_child(&stat, parent).then_some(id)
    })
}

/// Whether a line of `/proc/ID/stat` describes a zombie of this parent.
fn is_ended_child(stat: &str, parent: Pid) -> bool {
    // The name in parentheses may contain any character.
    let Some((_, fields)) = stat.rsplit_once(')') else { return false };
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next();
    state == Some("Z") && fields.next().and_then(|id| id.parse().ok()) == Some(parent.as_raw_pid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zombies_of_the_parent_are_found_whatever_their_name() {
        let parent = Pid::from_raw(7).expect("an id");
        assert!(is_ended_child("12 (sh) Z 7 12 1 0 -1", parent));
        assert!(is_ended_child("12 (a) R 9 (b) Z 7 12 1", parent));
        assert!(!is_ended_child("12 (sh) S 7 12 1", parent));
        assert!(!is_ended_child("12 (sh) Z 77 12 1", parent));
        assert!(!is_ended_child("", parent));
    }

    #[test]
    fn reused_id_stays_excluded_when_its_former_process_is_removed() {
        let (reaper, id) = (OrphanReaper::default(), Pid::from_raw(7).expect("an id"));
        reaper.exclude(id);
        reaper.exclude(id);
        reaper.remove(id);
        assert!(reaper.inner.started.lock().contains_key(&id));
        reaper.remove(id);
        assert!(reaper.inner.started.lock().is_empty());
    }
}
