//! Outcomes on their way to a submit stream: one queue a stream, bounded by the stream's window.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Waker};

use super::lock::Lock;
use crate::error::{Error, Result};
use crate::job::{JobId, JobState, Outcome};

/// Jobs for which a stream keeps the memory while none ends.
const KEPT_JOBS_MAX: usize = 8_192;

/// The end of a job that a stream waits for.
#[derive(Debug, Clone)]
pub(crate) struct EndedJob {
    pub(crate) id: JobId,
    pub(crate) batch: u32,
    pub(crate) index: u32,
    pub(crate) state: JobState,
    /// `None` if the job was removed before the stream asked for it.
    pub(crate) outcome: Option<Outcome>,
}

/// Ended jobs of one stream. The stream takes them all at once.
#[derive(Default)]
pub(crate) struct OutcomeQueue(Lock<Queue>);

#[derive(Default)]
struct Queue {
    ended: VecDeque<EndedJob>,
    /// Why an outcome cannot be told, if one cannot.
    failure: Option<Error>,
    waker: Option<Waker>,
}

/// One job's place in a stream's queue, until the job ends.
pub(super) struct OutcomeWaiter {
    queue: Arc<OutcomeQueue>,
    id: JobId,
    batch: u32,
    index: u32,
}

impl OutcomeQueue {
    pub(super) fn waiter(self: &Arc<Self>, id: JobId, batch: u32, index: u32) -> OutcomeWaiter {
        OutcomeWaiter { queue: self.clone(), id, batch, index }
    }

    /// Puts everything that ended since the last call where nothing is left; keeps the waker for what ends later.
    pub(crate) fn take(&self, context: &Context<'_>, ended: &mut VecDeque<EndedJob>) {
        let mut queue = self.0.lock();
        match &mut queue.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => queue.waker = Some(context.waker().clone()),
        }
        // What a burst took is given back, the rest is used again.
        ended.shrink_to(KEPT_JOBS_MAX);
        std::mem::swap(&mut queue.ended, ended);
    }

    /// Why an outcome cannot be told, if one cannot.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.0.lock().failure.clone()
    }

    /// Wakes the stream.
    pub(super) fn announce(&self) {
        let waker = self.0.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl OutcomeWaiter {
    pub(super) fn tell(self, outcome: Outcome) -> Arc<OutcomeQueue> {
        self.put(outcome.state(), Some(outcome))
    }

    /// Tells that the job ended in this state and was removed: its outcome is gone.
    pub(super) fn tell_removed(self, state: JobState) {
        self.put(state, None);
    }

    fn put(self, state: JobState, outcome: Option<Outcome>) -> Arc<OutcomeQueue> {
        let Self { queue, id, batch, index } = self;
        queue.0.lock().ended.push_back(EndedJob { id, batch, index, state, outcome });
        queue
    }

    /// Tells an outcome that had to be read, or why it cannot be.
    pub(super) fn tell_read(self, outcome: Result<Outcome>) {
        let queue = match outcome {
            Ok(outcome) => self.tell(outcome),
            Err(error) => {
                self.queue.0.lock().failure.get_or_insert(error);
                self.queue
            }
        };
        queue.announce();
    }
}
