//! A running worker: its status and its shutdown.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::signals::Interrupts;

/// Time after the drain timeout to end the remaining attempts by force and to report their ends. It stays below the
/// second that [`RunningWorker::drain`] documents.
const CLOSE_TIME_MAX: Duration = Duration::from_millis(900);
/// Time for attempts to end after a second signal. The process must exit within 100 ms of that signal.
const STOP_TIME_MAX: Duration = Duration::from_millis(60);

/// A handle to a running worker. Cheap to clone. The worker continues to run when all handles are dropped.
///
/// ```
/// use std::time::Duration;
///
/// use jobstream::engine::{Engine, EngineOptions};
/// use jobstream::worker::{Worker, demo};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> jobstream::error::Result<()> {
/// let engine = Engine::start(EngineOptions::default());
/// let running = demo::add_to(Worker::new()).start(&engine)?;
/// assert!(running.connected().await);
///
/// // Wait up to 10 seconds for running attempts.
/// let unfinished = running.drain(Duration::from_secs(10)).await;
/// assert_eq!(unfinished, 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RunningWorker(Arc<Shared>);

/// State shared by the handles and the sessions of a worker.
struct Shared {
    /// The sessions and the attempts.
    tasks: TaskTracker,
    /// The drain deadline; `None` unless the worker drains.
    drain: watch::Sender<Option<Instant>>,
    /// Ends every attempt by force.
    stop: CancellationToken,
    /// The first reason for the worker's end.
    end: OnceLock<WorkerEnd>,
    sessions: Mutex<Vec<WorkerStatus>>,
    /// The status of the worker, computed from the status of each session.
    status: watch::Sender<WorkerStatus>,
}

/// The status of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerStatus {
    /// At least one session of the worker is not connected to the server. Running attempts continue.
    Connecting {
        /// Why the last connection failed or ended; empty before the first one.
        why: String,
    },
    /// The worker accepts jobs.
    Connected {
        /// The worker ids that the server assigned, for ListWorkers and DrainWorker: one for each session. Empty for a
        /// worker in the server's process.
        worker_ids: Vec<String>,
        /// The server's version.
        server_version: String,
    },
    /// The worker accepts no more jobs; running attempts continue.
    Draining,
    /// The worker has ended.
    Ended,
}

/// Why a worker ended.
#[derive(Debug, Clone)]
pub enum WorkerEnd {
    /// This process called [`RunningWorker::drain`] or [`RunningWorker::stop`].
    Requested,
    /// An operator drained the worker.
    Drained,
    /// The server rejected the worker with a permanent error.
    Refused(tonic::Status),
}

impl RunningWorker {
    /// A worker with this many sessions, none of them connected.
    pub(super) fn new(sessions: usize) -> Self {
        let tasks = TaskTracker::new();
        tasks.close();
        let sessions = vec![WorkerStatus::Connecting { why: String::new() }; sessions];
        Self(Arc::new(Shared {
            tasks,
            drain: watch::Sender::new(None),
            stop: CancellationToken::new(),
            end: OnceLock::new(),
            status: watch::Sender::new(worker_status(&sessions)),
            sessions: Mutex::new(sessions),
        }))
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    /// Sets the status of a session.
    pub(super) fn set_status(&self, session: usize, status: WorkerStatus) {
        let mut sessions = self.0.sessions.lock();
        sessions[session] = status;
        let new = worker_status(&sessions);
        self.0.status.send_if_modified(|status| {
            let is_changed = *status != new;
            *status = new;
            is_changed
        });
    }

    /// Starts to end every attempt by force. Only the first reason for an end is recorded.
    pub(super) fn force_end(&self, why: WorkerEnd) {
        let _ = self.0.end.set(why);
        self.0.stop.cancel();
    }

    /// Starts a drain with this deadline. An earlier deadline stays in effect. Only the first reason for an end is
    /// recorded.
    pub(super) fn drain_until(&self, deadline: Instant, why: WorkerEnd) {
        let _ = self.0.end.set(why);
        self.0.drain.send_modify(|until| *until = Some(until.map_or(deadline, |until| until.min(deadline))));
    }

    pub(super) fn is_draining(&self) -> bool {
        self.0.drain.borrow().is_some() || self.0.stop.is_cancelled()
    }

    /// Returns once the worker drains or stops.
    pub(super) async fn draining(&self) {
        let mut drain = self.0.drain.subscribe();
        tokio::select! {
            _ = drain.wait_for(Option::is_some) => {}
            () = self.0.stop.cancelled() => {}
        }
    }

    /// Returns once the drain deadline has passed or the worker stops.
    pub(super) async fn drain_expired(&self) {
        let mut drain = self.0.drain.subscribe();
        let passed = async {
            loop {
                let until = *drain.borrow_and_update();
                // `changed` cannot fail: `self` owns the sender.
                match until {
                    None => drop(drain.changed().await),
                    Some(until) => tokio::select! {
                        () = tokio::time::sleep_until(until) => return,
                        _ = drain.changed() => {}
                    },
                }
            }
        };
        tokio::select! {
            () = passed => {}
            () = self.0.stop.cancelled() => {}
        }
    }

    /// Stops the worker: ends every attempt by force and releases its job. Returns when all tasks have ended, or after
    /// the timeout `within`.
    ///
    /// Returns the number of tasks that still run. A handler that blocks its thread cannot be ended.
    pub async fn stop(&self, within: Duration) -> usize {
        self.request_stop();
        self.left_after(within).await
    }

    /// The number of tasks that still run.
    pub(crate) fn left(&self) -> usize {
        self.0.tasks.len()
    }

    /// Starts to stop the worker and returns at once.
    pub(crate) fn request_stop(&self) {
        self.force_end(WorkerEnd::Requested);
    }

    /// Drains the worker, as a service does on SIGTERM: accepts no more jobs and waits for running attempts. After the
    /// timeout `within`, ends the remaining attempts by force and releases their jobs; a released attempt is not
    /// counted.
    ///
    /// Returns at most one second after the timeout. Like [`stop`](Self::stop), it returns the number of tasks that
    /// still run.
    pub async fn drain(&self, within: Duration) -> usize {
        self.drain_until(Instant::now() + within, WorkerEnd::Requested);
        self.left_after(within + CLOSE_TIME_MAX).await
    }

    async fn left_after(&self, within: Duration) -> usize {
        let _ = tokio::time::timeout(within, self.0.tasks.wait()).await;
        self.0.tasks.len()
    }

    /// Waits for the worker's end and returns its reason.
    pub async fn wait(&self) -> WorkerEnd {
        self.0.tasks.wait().await;
        self.end()
    }

    fn end(&self) -> WorkerEnd {
        self.0.end.get().cloned().unwrap_or(WorkerEnd::Requested)
    }

    /// Waits for the worker's end and handles signals: the first SIGINT, SIGTERM or SIGHUP starts a [`drain`](Self::drain) with
    /// this timeout, the second stops the worker. This method returns within 100 ms of the second signal.
    ///
    /// # Errors
    ///
    /// If the signal handlers cannot be installed.
    pub async fn until_signal(&self, drain: Duration) -> io::Result<WorkerEnd> {
        let mut interrupts = Interrupts::listen()?;
        let draining = async {
            interrupts.next().await;
            tokio::select! {
                _ = self.drain(drain) => {}
                () = interrupts.next() => {
                    self.stop(STOP_TIME_MAX).await;
                }
            }
        };
        tokio::select! {
            end = self.wait() => return Ok(end),
            () = draining => {}
        }
        Ok(self.end())
    }

    /// Subscribes to the worker's status.
    pub fn status(&self) -> watch::Receiver<WorkerStatus> {
        self.0.status.subscribe()
    }

    /// The number of running attempts, without those of inline handlers.
    pub fn attempts(&self) -> usize {
        // Each attempt is a task, and each live session is one.
        let sessions = self.0.sessions.lock();
        let live = sessions.iter().filter(|status| **status != WorkerStatus::Ended).count();
        self.0.tasks.len().saturating_sub(live)
    }

    /// Waits until the worker accepts jobs. Returns false if the worker ended first.
    pub async fn connected(&self) -> bool {
        let is_connected_or_ended =
            |status: &WorkerStatus| matches!(status, WorkerStatus::Connected { .. } | WorkerStatus::Ended);
        let mut status = self.status();
        let status = status.wait_for(is_connected_or_ended).await;
        status.is_ok_and(|status| *status != WorkerStatus::Ended)
    }
}

/// The worker has the status of its least ready session. Ended sessions are ignored unless all have ended.
fn worker_status(sessions: &[WorkerStatus]) -> WorkerStatus {
    let live = || sessions.iter().filter(|status| **status != WorkerStatus::Ended);
    let connecting = live().find(|status| matches!(status, WorkerStatus::Connecting { .. }));
    let draining = live().find(|status| **status == WorkerStatus::Draining);
    if let Some(status) = draining.or(connecting) {
        return status.clone();
    }
    let mut ids = Vec::new();
    let mut version = None;
    for status in live() {
        if let WorkerStatus::Connected { worker_ids, server_version } = status {
            ids.extend_from_slice(worker_ids);
            version = Some(server_version.clone());
        }
    }
    version.map_or(WorkerStatus::Ended, |server_version| WorkerStatus::Connected {
        worker_ids: ids,
        server_version,
    })
}
