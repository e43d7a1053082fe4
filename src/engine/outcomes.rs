//! Outcomes of the jobs of a submit stream: one queue a stream, bounded by the stream's window.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Waker};

use parking_lot::Mutex;

use super::Position;
use crate::error::{Error, Result};
use crate::job::{JobId, JobState, Outcome};

/// Most jobs for which an empty queue retains its memory.
const CAPACITY_MAX: usize = 8_192;

/// A job that ended.
#[derive(Debug, Clone)]
pub(crate) struct EndedJob {
    pub(crate) id: JobId,
    pub(crate) batch: u32,
    pub(crate) index: u32,
    pub(crate) state: JobState,
    /// `None` if the job was removed before the stream asked for it.
    pub(crate) outcome: Option<Outcome>,
    /// The log position of its end.
    position: Position,
}

/// Ended jobs of one stream.
#[derive(Default)]
pub(super) struct OutcomeQueue(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    ended: VecDeque<EndedJob>,
    /// The error of the first outcome that could not be loaded.
    failure: Option<Error>,
    waker: Option<Waker>,
}

/// One job of a stream, until the job ends.
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

    /// Moves the jobs whose end is durable to the back of `ended`, and registers the waker for the next ones. Returns the
    /// position that the first of the rest waits for.
    pub(super) fn take(
        &self,
        durable: Position,
        ended: &mut VecDeque<EndedJob>,
        context: &Context<'_>,
    ) -> Option<Position> {
        let mut queue = self.0.lock();
        match &mut queue.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => queue.waker = Some(context.waker().clone()),
        }
        let count = queue.ended.partition_point(|job| job.position <= durable);
        if count == queue.ended.len() && ended.is_empty() {
            // The two buffers are swapped. After a burst their memory is freed.
            ended.shrink_to(CAPACITY_MAX);
            std::mem::swap(&mut queue.ended, ended);
        } else {
            ended.extend(queue.ended.drain(..count));
        }
        queue.ended.front().map(|job| job.position)
    }

    /// The error of the first outcome that could not be loaded.
    pub(super) fn failure(&self) -> Option<Error> {
        self.0.lock().failure.clone()
    }

    /// Takes the stream's waker, if the stream waits.
    pub(super) fn take_waker(&self) -> Option<Waker> {
        self.0.lock().waker.take()
    }
}

impl OutcomeWaiter {
    /// Adds the outcome, which is durable once `position` is.
    pub(super) fn end(self, outcome: Outcome, position: Position) -> Arc<OutcomeQueue> {
        self.push(outcome.state(), Some(outcome), position)
    }

    /// Adds a job that ended in this state and was removed with its outcome.
    pub(super) fn end_removed(self, state: JobState, position: Position) {
        self.push(state, None, position);
    }

    /// Takes the stream's waker, if the stream waits.
    pub(super) fn take_waker(&self) -> Option<Waker> {
        self.queue.take_waker()
    }

    fn push(self, state: JobState, outcome: Option<Outcome>, position: Position) -> Arc<OutcomeQueue> {
        let Self { queue, id, batch, index } = self;
        {
            let ended = &mut queue.0.lock().ended;
            // Positions never decrease, also after an outcome that took long to load.
            let position = ended.back().map_or(position, |last| last.position.max(position));
            ended.push_back(EndedJob { id, batch, index, state, outcome, position });
        }
        queue
    }

    /// Adds an outcome that was loaded from the log, or the error of the load.
    pub(super) fn end_loaded(self, outcome: Result<Outcome>, position: Position) {
        let queue = match outcome {
            Ok(outcome) => self.end(outcome, position),
            Err(error) => {
                self.queue.0.lock().failure.get_or_insert(error);
                self.queue
            }
        };
        if let Some(waker) = queue.take_waker() {
            waker.wake();
        }
    }
}
