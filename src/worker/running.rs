//! A worker at work: how it is told to end, and how others see what it is at.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::signals::Interrupts;

/// What a draining worker gets, beyond its time, to end by force what still runs and to have the last reports taken:
/// within the second that its end may last beyond its drain.
const CLOSE_TIME_MAX: Duration = Duration::from_millis(900);
/// What attempts that a second signal ends get to let go: a process has 100 ms to be gone then.
const STOP_TIME_MAX: Duration = Duration::from_millis(60);

/// A worker at work. Cheap to clone; dropping it leaves it at work.
#[derive(Clone)]
pub struct RunningWorker(Arc<Shared>);

struct Shared {
    tasks: TaskTracker,
    signals: Signals,
    board: Arc<Board>,
}

/// What a worker is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerStatus {
    /// It has no connection to its server, or not all that it needs. Attempts that run go on.
    Connecting {
        /// Why the last connection or try ended; empty before the first.
        why: String,
    },
    /// It takes jobs.
    Connected {
        /// What the server calls it, for ListWorkers and DrainWorker: one name for each set of handlers with common
        /// slots. Empty in the server's own process.
        worker_ids: Vec<String>,
        /// The server's version.
        server_version: String,
    },
    /// It takes no new jobs and finishes those it has.
    Draining,
    /// It has ended.
    Ended,
}

/// Why a worker ended.
#[derive(Debug, Clone)]
pub enum WorkerEnd {
    /// This process told it to, by [`RunningWorker::drain`] or [`RunningWorker::stop`].
    Told,
    /// An operator drained it.
    Drained,
    /// The server refused it, and would again.
    Refused(tonic::Status),
}

impl RunningWorker {
    /// A worker of this many sessions, none of them open yet.
    pub(super) fn new(sessions: usize) -> Self {
        let tasks = TaskTracker::new();
        tasks.close();
        Self(Arc::new(Shared { tasks, signals: Signals::default(), board: Arc::new(Board::new(sessions)) }))
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    pub(super) fn signals(&self) -> &Signals {
        &self.0.signals
    }

    pub(super) fn board(&self) -> &Arc<Board> {
        &self.0.board
    }

    /// Ends every attempt by force and gives its job back; returns when the last handler is gone or this long passed.
    /// Answers how many tasks were left: handlers that hold their thread cannot be ended.
    pub async fn stop(&self, within: Duration) -> usize {
        self.tell_to_stop();
        self.left_after(within).await
    }

    /// How many of its tasks have not ended.
    pub(crate) fn left(&self) -> usize {
        self.0.tasks.len()
    }

    /// Begins to stop, without waiting for the end.
    pub(crate) fn tell_to_stop(&self) {
        self.0.signals.end(WorkerEnd::Told);
        self.0.signals.stop();
    }

    /// Takes no new jobs, lets what runs finish within this long and gives back the rest without counting the attempt:
    /// what a service does at SIGTERM. Returns at most a second later than that and answers how many tasks were left, as
    /// [`RunningWorker::stop`].
    pub async fn drain(&self, within: Duration) -> usize {
        self.0.signals.end(WorkerEnd::Told);
        self.0.signals.drain_until(Instant::now() + within);
        self.left_after(within + CLOSE_TIME_MAX).await
    }

    async fn left_after(&self, within: Duration) -> usize {
        let _ = tokio::time::timeout(within, self.0.tasks.wait()).await;
        self.0.tasks.len()
    }

    /// Waits for the worker's end and answers its reason.
    pub async fn wait(&self) -> WorkerEnd {
        self.0.tasks.wait().await;
        self.end()
    }

    fn end(&self) -> WorkerEnd {
        self.0.signals.0.end.get().cloned().unwrap_or(WorkerEnd::Told)
    }

    /// Waits for the worker's end, which signals bring about from now on: the first SIGINT or SIGTERM drains it as
    /// [`drain`](Self::drain) does, the second stops it at once: this returns within 100 ms then.
    ///
    /// # Errors
    ///
    /// When the system refuses to hand out signals.
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

    /// What the worker is at, now and from now on.
    pub fn status(&self) -> watch::Receiver<WorkerStatus> {
        self.0.board.status.subscribe()
    }

    /// How many attempts run at this moment, those of inline handlers aside.
    pub fn attempts(&self) -> usize {
        // Beside attempts there is one task for each session.
        self.0.tasks.len().saturating_sub(self.0.board.live())
    }

    /// Waits until the worker takes jobs. Answers false if it ended instead.
    pub async fn connected(&self) -> bool {
        let is_settled =
            |status: &WorkerStatus| matches!(status, WorkerStatus::Connected { .. } | WorkerStatus::Ended);
        let mut status = self.status();
        let settled = status.wait_for(is_settled).await;
        settled.is_ok_and(|status| *status != WorkerStatus::Ended)
    }
}

/// How a worker's sessions are told to end. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Signals(Arc<SignalState>);

struct SignalState {
    /// Until when what runs may finish, once draining.
    drain: watch::Sender<Option<Instant>>,
    /// The first reason given.
    end: OnceLock<WorkerEnd>,
    stop: CancellationToken,
}

impl Default for SignalState {
    fn default() -> Self {
        Self { drain: watch::Sender::new(None), end: OnceLock::new(), stop: CancellationToken::new() }
    }
}

impl Signals {
    /// Notes why the worker ends, unless it was told before.
    pub(super) fn end(&self, why: WorkerEnd) {
        let _ = self.0.end.set(why);
    }

    /// Has everything end by then; an earlier word stands.
    pub(super) fn drain_until(&self, deadline: Instant) {
        self.0.drain.send_modify(|until| *until = Some(until.map_or(deadline, |until| until.min(deadline))));
    }

    /// Ends every attempt by force.
    pub(super) fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Fires when every attempt is to end by force.
    pub(super) fn stop_token(&self) -> &CancellationToken {
        &self.0.stop
    }

    pub(super) fn is_draining(&self) -> bool {
        self.0.drain.borrow().is_some() || self.0.stop.is_cancelled()
    }

    /// Returns once no new jobs are to be taken.
    pub(super) async fn draining(&self) {
        let mut drain = self.0.drain.subscribe();
        tokio::select! {
            _ = drain.wait_for(Option::is_some) => {}
            () = self.0.stop.cancelled() => {}
        }
    }

    /// Returns once what still runs is to end by force.
    pub(super) async fn overdue(&self) {
        let mut drain = self.0.drain.subscribe();
        let passed = async {
            loop {
                let until = *drain.borrow_and_update();
                // The sender lives as long as `self`: waiting for it to change cannot fail.
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
}

/// What each session of a worker is at, and what that makes of the whole.
pub(super) struct Board {
    sessions: Mutex<Vec<WorkerStatus>>,
    status: watch::Sender<WorkerStatus>,
}

impl Board {
    fn new(sessions: usize) -> Self {
        let connecting = WorkerStatus::Connecting { why: String::new() };
        let status = watch::Sender::new(whole(&vec![connecting.clone(); sessions]));
        Self { sessions: Mutex::new(vec![connecting; sessions]), status }
    }

    /// How many sessions have not ended.
    fn live(&self) -> usize {
        self.sessions.lock().iter().filter(|status| **status != WorkerStatus::Ended).count()
    }

    pub(super) fn post(&self, session: usize, status: WorkerStatus) {
        let mut sessions = self.sessions.lock();
        sessions[session] = status;
        let whole = whole(&sessions);
        self.status.send_if_modified(|status| {
            let is_news = *status != whole;
            *status = whole;
            is_news
        });
    }
}

/// The worker is what the least ready of its sessions is; ended sessions do not count until all have.
fn whole(sessions: &[WorkerStatus]) -> WorkerStatus {
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
