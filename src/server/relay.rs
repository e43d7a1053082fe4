//! The answers of one edge that wait for the disk. The log's writer is asked once for all of them and wakes one task here,
//! which wakes the rest on its own thread: a word from thread to thread for each answer would cost more than the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::engine::{Engine, Position};
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
    waiting: Vec<(Position, Waker)>,
    /// The task, while it has nothing to do.
    task: Option<Waker>,
    /// The position at which the log's writer wakes the task.
    awaited: Option<Position>,
}

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
            let task = {
                let mut state = self.0.state.lock();
                state.waiting.push((position, context.waker().clone()));
                state.task.take()
            };
            match task {
                Some(task) => task.wake(),
                None => self.start(),
            }
        }
        durable
    }

    /// Starts the task that wakes, if it does not run yet.
    fn start(&self) {
        if !self.0.is_running.swap(true, Ordering::Relaxed) {
            let relay = self.clone();
            tokio::spawn(std::future::poll_fn(move |context| relay.poll_run(context)));
        }
    }

    fn poll_run(&self, context: &Context<'_>) -> Poll<()> {
        loop {
            let Some((first, last)) = self.wake_kept(context.waker()) else { return Poll::Pending };
            let awaited = self.0.state.lock().awaited.replace(first);
            if awaited == Some(first) {
                // Its waker is still there.
                self.0.engine.ask_durable(last);
                return Poll::Pending;
            }
            if self.0.engine.poll_durable_until(first, last, context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Wakes those whose position is on disk; answers the first and the last of the others' positions, where the first is
    /// the one awaited before if that is still to come.
    fn wake_kept(&self, task: &Waker) -> Option<(Position, Position)> {
        let is_over = |position: Position| self.0.engine.durable_now(position).is_ready();
        let mut state = self.0.state.lock();
        state.task = Some(task.clone());
        let kept: Vec<_> = state.waiting.extract_if(.., |(position, _)| is_over(*position)).collect();
        let awaited = state.awaited.filter(|position| !is_over(*position));
        let positions = state.waiting.iter().map(|(position, _)| *position);
        let bounds = awaited.or(positions.clone().min()).zip(positions.max());
        drop(state);
        kept.into_iter().for_each(|(_, waker)| waker.wake());
        bounds
    }
}
