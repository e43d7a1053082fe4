//! Tasks that wait for a log position to become durable.
//!
//! The writer thread wakes one task of each runtime, and that task wakes the waiters on its own runtime: a cross-thread
//! wake-up for each waiter would cost more than the answer that waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::runtime::{self, Handle};

use super::super::lock::Lock;
use super::{Position, Shared};
use crate::error::{Error, Result};

/// The durable position, and the waiters for later ones.
#[derive(Default)]
pub(super) struct Waiters {
    durable: AtomicU64,
    has_failed: AtomicBool,
    failure: Lock<Option<Error>>,
    groups: Lock<Vec<Arc<Group>>>,
}

/// The waiters of one runtime.
struct Group {
    /// `None` for waiters outside of any tokio runtime; the writer thread wakes those itself.
    runtime: Option<runtime::Id>,
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<(Position, Waker)>,
    /// The task that wakes them, while it sleeps.
    task: Option<Waker>,
    /// The task has ended.
    is_closed: bool,
}

impl Waiters {
    /// Whether the position is durable; an error if it never will be.
    pub(super) fn now(&self, position: Position) -> Poll<Result<()>> {
        if self.is_durable(position) {
            return Poll::Ready(Ok(()));
        }
        match self.check() {
            Ok(()) => Poll::Pending,
            // The position may have become durable between the two checks.
            Err(_) if self.is_durable(position) => Poll::Ready(Ok(())),
            Err(failure) => Poll::Ready(Err(failure)),
        }
    }

    pub(super) fn is_durable(&self, position: Position) -> bool {
        self.durable() >= position
    }

    pub(super) fn durable(&self) -> Position {
        Position(self.durable.load(Ordering::Acquire))
    }

    /// # Errors
    ///
    /// What the log failed with; also once it is closed.
    pub(super) fn check(&self) -> Result<()> {
        if !self.has_failed.load(Ordering::Acquire) {
            return Ok(());
        }
        self.failure.lock().clone().map_or(Ok(()), Err)
    }

    /// The position is durable.
    pub(super) fn reach(&self, position: Position) {
        self.durable.store(position.0, Ordering::Release);
        self.wake();
    }

    /// Nothing more becomes durable.
    pub(super) fn fail(&self, failure: Error) {
        self.failure.lock().get_or_insert(failure);
        self.has_failed.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        let groups = self.groups.lock().clone();
        for group in groups {
            let task = group.state.lock().task.take();
            match task {
                Some(task) => task.wake(),
                None if group.runtime.is_none() => group.wake_reached(self),
                None => {}
            }
        }
    }
}

impl Group {
    /// Wakes the waiters whose position is durable or never will be.
    fn wake_reached(&self, waiters: &Waiters) {
        let reached: Vec<_> = {
            let mut state = self.state.lock();
            let is_over = |position: Position| waiters.now(position).is_ready();
            let reached = state.waiting.extract_if(.., |(position, _)| is_over(*position));
            reached.map(|(_, waker)| waker).collect()
        };
        reached.into_iter().for_each(Waker::wake);
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
            state.waiting.push((position, waker));
            state.task.take()
        };
        match task {
            Some(task) => task.wake(),
            // The task runs at the moment, or the writer thread wakes: the position may have been reached meanwhile.
            None if group.runtime.is_none() => {
                group.wake_reached(&self.waiters);
            }
            None => {}
        }
    }

    fn group(self: &Arc<Self>, runtime: Option<&Handle>) -> Arc<Group> {
        let id = runtime.map(Handle::id);
        let mut groups = self.waiters.groups.lock();
        if let Some(group) = groups.iter().find(|group| group.runtime == id) {
            return group.clone();
        }
        let group = Arc::new(Group { runtime: id, state: Lock::default() });
        groups.push(group.clone());
        drop(groups);
        if let Some(runtime) = runtime {
            let waking = Waking { shared: self.clone(), group: group.clone() };
            runtime.spawn(std::future::poll_fn(move |context| waking.poll(context)));
        }
        group
    }
}

/// The task of a group.
struct Waking {
    shared: Arc<Shared>,
    group: Arc<Group>,
}

impl Waking {
    /// Wakes the waiters whose position is reached; ends after the log did.
    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        // Before the look at the positions: what is reached after it wakes this task again.
        self.group.state.lock().task = Some(context.waker().clone());
        self.group.wake_reached(&self.shared.waiters);
        match self.shared.waiters.check() {
            Ok(()) => Poll::Pending,
            Err(_) => Poll::Ready(()),
        }
    }
}

impl Drop for Waking {
    /// Its runtime ends, or the log did: later waiters start another task.
    fn drop(&mut self) {
        self.shared.waiters.groups.lock().retain(|group| !Arc::ptr_eq(group, &self.group));
        let closed = State { is_closed: true, ..State::default() };
        let left = std::mem::replace(&mut *self.group.state.lock(), closed);
        left.waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}
