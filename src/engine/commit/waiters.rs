//! Who waits for a position of the log to be durable.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use super::super::lock::Lock;
use super::Position;
use crate::error::{Error, Result};

/// The position that is durable, and those who wait for a later one.
#[derive(Default)]
pub(super) struct Waiters {
    durable: AtomicU64,
    has_failed: AtomicBool,
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<(Position, Waker)>,
    failure: Option<Error>,
}

impl Waiters {
    /// Waits until the position is durable, or never will be.
    pub(super) fn poll(&self, position: Position, context: &Context<'_>) -> Poll<Result<()>> {
        let now = self.now(position);
        if now.is_ready() {
            return now;
        }
        let mut state = self.state.lock();
        // What came between the two looks has woken nobody.
        let now = self.now_in(&state, position);
        if now.is_pending() {
            state.waiting.push((position, context.waker().clone()));
        }
        now
    }

    /// Whether the position is durable, or never will be.
    pub(super) fn now(&self, position: Position) -> Poll<Result<()>> {
        match self.is_durable(position) {
            true => Poll::Ready(Ok(())),
            false if !self.has_failed.load(Ordering::Acquire) => Poll::Pending,
            false => self.now_in(&self.state.lock(), position),
        }
    }

    fn now_in(&self, state: &State, position: Position) -> Poll<Result<()>> {
        match &state.failure {
            _ if self.is_durable(position) => Poll::Ready(Ok(())),
            Some(failure) => Poll::Ready(Err(failure.clone())),
            None => Poll::Pending,
        }
    }

    pub(super) fn is_durable(&self, position: Position) -> bool {
        self.durable.load(Ordering::Acquire) >= position.0
    }

    /// The position is durable.
    pub(super) fn reach(&self, position: Position) {
        let reached: Vec<_> = {
            let mut state = self.state.lock();
            self.durable.store(position.0, Ordering::Release);
            state.waiting.extract_if(.., |(waiting, _)| *waiting <= position).collect()
        };
        reached.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Nothing more becomes durable.
    pub(super) fn fail(&self, failure: Error) {
        let waiting = {
            let mut state = self.state.lock();
            state.failure.get_or_insert(failure);
            self.has_failed.store(true, Ordering::Release);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}
