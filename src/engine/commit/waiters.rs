//! Who waits for a position of the log to be durable.

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::Position;
use crate::error::{Error, Result};

/// The position that is durable, and those who wait for a later one.
#[derive(Default)]
pub(super) struct Waiters {
    durable: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<(Position, Waker)>,
    failure: Option<Error>,
}

impl Waiters {
    pub(super) fn poll(&self, position: Position, context: &Context<'_>) -> Poll<Result<()>> {
        if self.is_durable(position) {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.state.lock();
        if self.is_durable(position) {
            return Poll::Ready(Ok(()));
        }
        if let Some(failure) = &state.failure {
            return Poll::Ready(Err(failure.clone()));
        }
        state.waiting.push((position, context.waker().clone()));
        Poll::Pending
    }

    fn is_durable(&self, position: Position) -> bool {
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
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}
