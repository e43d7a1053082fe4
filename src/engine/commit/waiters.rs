//! Tasks that wait for a log position to become durable.
//!
//! The writer thread wakes one task of each runtime, and that task wakes the waiters on its own runtime: a cross-thread
//! wake-up for each waiter would cost more than the response that waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;
use tokio::runtime::{self, Handle};

use super::{Position, Shared};
use crate::error::{Error, Result};

/// The durable position, and the waiters for later ones.
#[derive(Default)]
pub(super) struct Waiters {
    durable: AtomicU64,
    /// The error of every later wait, once the log failed or is closed.
    failure: OnceLock<Error>,
    groups: Mutex<Vec<Arc<Group>>>,
}

/// The waiters of one runtime.
struct Group {
    /// `None` for waiters outside of any tokio runtime; the writer thread wakes those itself.
    runtime: Option<runtime::Id>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiters: Vec<(Position, Waker)>,
    /// The task that wakes the waiters, while it sleeps.
    task: Option<Waker>,
    /// Whether the task has ended.
    is_closed: bool,
}

impl Waiters {
    /// Whether the position is durable; an error if it never will be.
    pub(super) fn poll(&self, position: Position) -> Poll<Result<()>> {
        // Read first: the position may become durable just before the log fails.
        let failure = self.failure.get();
        if self.durable() >= position {
            return Poll::Ready(Ok(()));
        }
        failure.map_or(Poll::Pending, |failure| Poll::Ready(Err(failure.clone())))
    }

    pub(super) fn durable(&self) -> Position {
        Position(self.durable.load(Ordering::Acquire))
    }

    /// # Errors
    ///
    /// The failure of the log; also once the log is closed.
    pub(super) fn check(&self) -> Result<()> {
        self.failure.get().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    /// Sets the durable position and wakes the waiters for it.
    pub(super) fn advance(&self, position: Position) {
        self.durable.store(position.0, Ordering::Release);
        self.wake();
    }

    /// Fails every wait for a later position. Only the first failure counts.
    pub(super) fn fail(&self, failure: Error) {
        let _ = self.failure.set(failure);
        self.wake();
    }

    fn wake(&self) {
        let groups = self.groups.lock().clone();
        for group in groups {
            let task = group.state.lock().task.take();
            match task {
                Some(task) => task.wake(),
                None if group.runtime.is_none() => group.wake_ready(self),
                None => {}
            }
        }
    }
}

impl Group {
    /// Wakes the waiters whose position is durable or never will be.
    fn wake_ready(&self, waiters: &Waiters) {
        let ready: Vec<_> = {
            let mut state = self.state.lock();
            let ready = state.waiters.extract_if(.., |(position, _)| waiters.poll(*position).is_ready());
            ready.map(|(_, waker)| waker).collect()
        };
        ready.into_iter().for_each(Waker::wake);
    }
}

impl Shared {
    /// Wakes the waker once the position is durable or never will be.
    pub(super) fn wake_at(self: &Arc<Self>, position: Position, waker: Waker) {
        let runtime = Handle::try_current().ok();
        let group = self.group(runtime.as_ref());
        let task = {
            let mut state = group.state.lock();
            if state.is_closed {
                drop(state);
                return waker.wake();
            }
            state.waiters.push((position, waker));
            state.task.take()
        };
        match task {
            Some(task) => task.wake(),
            // No task wakes this waiter, and the position may have become durable meanwhile.
            None if group.runtime.is_none() => group.wake_ready(&self.waiters),
            None => {}
        }
    }

    /// A waker that runs the function if the position is durable.
    pub(super) fn running(
        self: &Arc<Self>,
        position: Position,
        run: impl FnOnce() + Send + 'static,
    ) -> Waker {
        let (shared, run) = (Arc::downgrade(self), Mutex::new(Some(run)));
        Waker::from(Arc::new(DurableRun { shared, position, run }))
    }

    fn group(self: &Arc<Self>, runtime: Option<&Handle>) -> Arc<Group> {
        let id = runtime.map(Handle::id);
        let mut groups = self.waiters.groups.lock();
        if let Some(group) = groups.iter().find(|group| group.runtime == id) {
            return group.clone();
        }
        let group = Arc::new(Group { runtime: id, state: Mutex::default() });
        groups.push(group.clone());
        drop(groups);
        if let Some(runtime) = runtime {
            let task = WakeTask { shared: self.clone(), group: group.clone() };
            runtime.spawn(std::future::poll_fn(move |context| task.poll(context)));
        }
        group
    }
}

/// A function as the waiter for a position.
struct DurableRun<F> {
    shared: Weak<Shared>,
    position: Position,
    /// `None` once it has run.
    run: Mutex<Option<F>>,
}

impl<F: FnOnce() + Send> Wake for DurableRun<F> {
    fn wake(self: Arc<Self>) {
        let is_durable =
            self.shared.upgrade().is_some_and(|shared| shared.waiters.durable() >= self.position);
        if let Some(run) = self.run.lock().take().filter(|_| is_durable) {
            run();
        }
    }
}

/// The task of a group.
struct WakeTask {
    shared: Arc<Shared>,
    group: Arc<Group>,
}

impl WakeTask {
    /// Wakes the waiters whose position is durable. Ends when the log failed or is closed.
    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        // Registered before the positions are read: a later change wakes this task again.
        self.group.state.lock().task = Some(context.waker().clone());
        self.group.wake_ready(&self.shared.waiters);
        match self.shared.waiters.check() {
            Ok(()) => Poll::Pending,
            Err(_) => Poll::Ready(()),
        }
    }
}

impl Drop for WakeTask {
    /// Wakes the waiters that are left when the runtime or the log ended. Later waiters start another task.
    fn drop(&mut self) {
        self.shared.waiters.groups.lock().retain(|group| !Arc::ptr_eq(group, &self.group));
        let closed = State { is_closed: true, ..State::default() };
        let left = std::mem::replace(&mut *self.group.state.lock(), closed);
        left.waiters.into_iter().for_each(|(_, waker)| waker.wake());
    }
}
