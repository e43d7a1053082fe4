//! The answers of one edge that wait for the disk. The log's writer is asked once for all of them and wakes one task here,
//! which wakes the rest on its own thread: a word from thread to thread for each answer would cost more than the answer. The
//! inline attempts that the edge dispatched run by the same wake-up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::engine::{Engine, Position, Turn, TurnTaker, take_turns_here};
use crate::error::Result;

/// Made for each edge; clones share it.
#[derive(Clone)]
pub(super) struct Relay(Arc<Shared>);

struct Shared {
    engine: Engine,
    is_running: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<(Position, Waiting)>,
    /// What may run.
    due: Vec<Turn>,
    /// The task, while it has nothing to do.
    task: Option<Waker>,
    /// The position at which the log's writer wakes the task.
    awaited: Option<Position>,
}

/// What waits for a position.
enum Waiting {
    Answer(Waker),
    Turn(Turn),
}

/// The task, which leaves nothing behind.
struct Running(Relay);

impl Relay {
    pub(super) fn new(engine: Engine) -> Self {
        Self(Arc::new(Shared { engine, is_running: AtomicBool::new(false), state: Mutex::default() }))
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Waits until the position is on disk. To be called on the edge's own runtime.
    ///
    /// # Errors
    ///
    /// `LogFailed`: it never will be.
    pub(super) fn poll_durable(&self, position: Position, context: &Context<'_>) -> Poll<Result<()>> {
        let durable = self.0.engine.durable_now(position);
        if durable.is_pending() {
            self.add(position, Waiting::Answer(context.waker().clone()));
        }
        durable
    }

    fn add(&self, position: Position, waiting: Waiting) {
        let task = {
            let mut state = self.0.state.lock();
            state.waiting.push((position, waiting));
            state.task.take()
        };
        match task {
            Some(task) => task.wake(),
            None => self.start(),
        }
    }

    /// Starts the task that wakes, if it does not run yet.
    fn start(&self) {
        if !self.0.is_running.swap(true, Ordering::Relaxed) {
            let taker: Arc<dyn TurnTaker> = self.0.clone();
            take_turns_here(Arc::downgrade(&taker));
            let running = Running(self.clone());
            tokio::spawn(std::future::poll_fn(move |context| running.0.poll_run(context)));
        }
    }

    fn poll_run(&self, context: &Context<'_>) -> Poll<()> {
        self.run_due();
        while let Some((first, last)) = self.wake_kept(context.waker()) {
            let awaited = self.0.state.lock().awaited.replace(first);
            if awaited == Some(first) {
                // Its waker is still there.
                self.0.engine.ask_durable(last);
                break;
            }
            if self.0.engine.poll_durable_until(first, last, context).is_pending() {
                break;
            }
        }
        Poll::Pending
    }

    fn run_due(&self) {
        let due = std::mem::take(&mut self.0.state.lock().due);
        for (position, rest) in due.into_iter().filter_map(|turn| turn.run(&self.0.engine)) {
            self.0.state.lock().waiting.push((position, Waiting::Turn(rest)));
        }
    }

    /// Wakes those whose position is on disk; answers the first and the last of the others' positions, where the first is
    /// the one awaited before if that is still to come.
    fn wake_kept(&self, task: &Waker) -> Option<(Position, Position)> {
        let is_over = |position: Position| self.0.engine.durable_now(position).is_ready();
        let mut state = self.0.state.lock();
        state.task = Some(task.clone());
        let mut answers = Vec::new();
        let State { waiting, due, .. } = &mut *state;
        for (_, kept) in waiting.extract_if(.., |(position, _)| is_over(*position)) {
            match kept {
                Waiting::Answer(answer) => answers.push(answer),
                Waiting::Turn(turn) => due.push(turn),
            }
        }
        let has_due = !due.is_empty();
        let awaited = state.awaited.filter(|position| !is_over(*position));
        let positions = state.waiting.iter().map(|(position, _)| *position);
        let bounds = awaited.or(positions.clone().min()).zip(positions.max());
        drop(state);
        answers.into_iter().for_each(Waker::wake);
        if has_due {
            // Behind the answers.
            task.wake_by_ref();
        }
        bounds
    }
}

impl TurnTaker for Shared {
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn take(self: Arc<Self>, position: Position, turn: Turn) {
        if Handle::try_current().is_ok() {
            Relay(self).add(position, Waiting::Turn(turn));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let shared = &self.0.0;
        shared.is_running.store(false, Ordering::Relaxed);
        let left = std::mem::take(&mut *shared.state.lock());
        // Without the lock: what is dropped wakes others.
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::path::PathBuf;
    use std::time::Duration;

    use tokio::runtime::{self, Runtime};

    use super::*;
    use crate::core::Caller;
    use crate::engine::{EngineOptions, Session};
    use crate::job::{Assignment, AttemptEnd, JobState, Kind, NewJob, Payload, SessionSpec};

    /// An engine with a log, removed in the end.
    struct Logged {
        engine: Engine,
        directory: PathBuf,
    }

    impl Logged {
        /// With a worker.
        fn new(name: &str) -> (Self, Session) {
            let directory =
                std::env::temp_dir().join(format!("jobstream-relay-{name}-{}", std::process::id()));
            // Nothing is there the first time.
            let _ = std::fs::remove_dir_all(&directory);
            let engine = Engine::open(EngineOptions::default(), &directory).expect("a new log");
            let spec = SessionSpec { name: "w".to_owned(), kinds: vec![kind()], queues: None, slots: 8 };
            let handler = |assignment: Assignment| AttemptEnd::Success(assignment.payload);
            let session = engine.open_session(&spec, Some(Arc::new(handler)));
            (Self { engine, directory }, session)
        }

        fn submit(&self) -> crate::job::JobId {
            let job = NewJob::new(kind(), Payload::text("x"));
            self.engine.submit_now(Caller::NOBODY, job).expect("it is accepted").id
        }
    }

    impl Drop for Logged {
        fn drop(&mut self) {
            self.engine.close().expect("the log ends");
            std::fs::remove_dir_all(&self.directory).expect("it is ours");
        }
    }

    fn kind() -> Kind {
        Kind::parse("kind", "k").expect("a kind")
    }

    fn edge() -> Runtime {
        runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    #[test]
    fn what_an_edge_dispatches_runs_there() {
        edge().block_on(async {
            let (logged, _session) = Logged::new("there");
            let relay = Relay::new(logged.engine.clone());
            relay.start();
            for _ in 0..10 {
                let job = logged.submit();
                let position = logged.engine.position();
                poll_fn(|context| relay.poll_durable(position, context)).await.expect("it is on disk");
                let until = tokio::time::Instant::now() + Duration::from_secs(10);
                let result = logged.engine.result(job, Some(until)).await.expect("it is known");
                assert_eq!(result.state, JobState::Succeeded, "though its worker was never polled");
            }
        });
    }

    #[test]
    fn what_an_edge_leaves_behind_its_worker_runs() {
        let workers = edge();
        let (logged, mut session) = workers.block_on(async { Logged::new("behind") });
        let gone = edge();
        let relay = Relay::new(logged.engine.clone());
        workers.spawn(async move { session.orders().await });
        workers.block_on(tokio::task::yield_now());
        let job = gone.block_on(async {
            relay.start();
            logged.submit()
        });
        drop(gone);
        let until = tokio::time::Instant::now() + Duration::from_secs(10);
        let result =
            workers.block_on(async { logged.engine.result(job, Some(until)).await }).expect("it is known");
        assert_eq!(result.state, JobState::Succeeded);
        drop(workers);
    }
}
