//! A stream of batches: jobs in, acknowledgements and outcomes out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::outcomes::{EndedJob, OutcomeQueue};
use super::{Batch, Engine, Pending, Submission};
use crate::error::Result;

/// Most batches whose acknowledgements wait for the log.
const ACKS_MAX: usize = 1_024;

/// One stream of a caller. It returns acknowledgements and outcomes once they are durable, each outcome after its
/// acknowledgement.
pub(crate) struct SubmitStream {
    engine: Engine,
    acks: VecDeque<Pending<Ack>>,
    outcomes: Arc<OutcomeQueue>,
}

/// A batch of a stream.
pub(crate) struct StreamBatch {
    pub(crate) number: u32,
    pub(crate) batch: Batch,
    /// Whether the stream gets the outcomes of its jobs.
    pub(crate) outcomes: bool,
}

/// The acknowledgement of a batch.
pub(crate) struct Ack {
    pub(crate) batch: u32,
    /// The result of each job, in order.
    pub(crate) results: Vec<Result<Submission>>,
}

impl SubmitStream {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, acks: VecDeque::new(), outcomes: Arc::default() }
    }

    /// Waits until another batch may be submitted: backpressure of the log.
    ///
    /// # Errors
    ///
    /// `LogFailed`.
    pub(crate) fn poll_ready(&self, context: &Context<'_>) -> Poll<Result<()>> {
        if self.acks.len() >= ACKS_MAX {
            // The first acknowledgement wakes the task.
            return Poll::Pending;
        }
        self.engine.poll_admission(context)
    }

    /// Submits batches together, so that many small ones cost little more than a large one. Returns how many outcomes of them
    /// the stream will get.
    pub(crate) fn submit(&mut self, batches: Vec<StreamBatch>) -> u32 {
        let numbers: Vec<_> = batches.iter().map(|batch| (batch.number, batch.outcomes)).collect();
        let with_queue = |StreamBatch { number, batch, outcomes }: StreamBatch| {
            (batch, outcomes.then_some((&self.outcomes, number)))
        };
        let Pending { value, position } =
            self.engine.submit_batches(batches.into_iter().map(with_queue).collect());
        let mut outcomes_expected = 0;
        for ((batch, outcomes), results) in numbers.into_iter().zip(value) {
            if outcomes {
                outcomes_expected += results.iter().filter(|result| result.is_ok()).count() as u32;
            }
            self.acks.push_back(Pending { value: Ack { batch, results }, position });
        }
        outcomes_expected
    }

    /// Whether acknowledgements wait for the log.
    pub(crate) fn awaits_acks(&self) -> bool {
        !self.acks.is_empty()
    }

    /// Adds the durable acknowledgements and ended jobs to these, or registers the waker if there are none.
    ///
    /// # Errors
    ///
    /// `LogFailed`; `LogDamaged` or `LogFailed` if an outcome cannot be loaded.
    pub(crate) fn poll_durable(
        &mut self,
        context: &Context<'_>,
        acks: &mut VecDeque<Ack>,
        ended: &mut VecDeque<EndedJob>,
    ) -> Poll<Result<()>> {
        loop {
            // Read once for both: an outcome comes after its acknowledgement.
            let durable = self.engine.durable_position();
            while self.acks.front().is_some_and(|ack| ack.position <= durable) {
                acks.extend(self.acks.pop_front().map(|ack| ack.value));
            }
            let end_awaited = self.outcomes.take(durable, ended, context);
            if !acks.is_empty() || !ended.is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.engine.check_log()?;
            if let Some(error) = self.outcomes.failure() {
                return Poll::Ready(Err(error));
            }
            let Some(awaited) = self.acks.front().map(|ack| ack.position).or(end_awaited) else {
                return Poll::Pending;
            };
            ready!(self.engine.poll_durable(awaited, context))?;
        }
    }
}
