//! The fast lane: batches of jobs in, acknowledgements and outcomes out, coalesced into as few messages as possible.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, Streaming};

use super::Api;
use super::events::connection_closing;
use super::fitting::element_bytes;
use super::malformed::named;
use crate::core::Caller;
use crate::engine::{Batch, EndedJob, OutcomeQueue};
use crate::proto::status::to_status;
use crate::proto::{RESPONSE_BYTES_MAX, parse, render, v1};

/// How many jobs of a stream may wait for their outcome before the server stops reading.
const WINDOW_JOBS: u32 = 65_536;
/// How many jobs are read before they are submitted together, but for the rest of the last batch.
const TURN_JOBS: usize = 256;
/// Bytes after which an answer takes nothing more, but for a last acknowledgement: a batch of refusals may be larger.
const ANSWER_BYTES_MAX: usize = 32 << 10;
/// Small outcomes that fit into an answer, roughly.
const ANSWER_ENDS: usize = ANSWER_BYTES_MAX / 64;

/// Answers of one submit stream.
pub(crate) struct AckStream {
    api: Api,
    caller: Caller,
    requests: Streaming<v1::SubmitStreamRequest>,
    /// Acknowledgements that did not fit the last answer.
    acks: VecDeque<v1::SubmitAck>,
    outcomes: Arc<OutcomeQueue>,
    /// Ended jobs that did not fit the last answer.
    ended: VecDeque<EndedJob>,
    /// The first of them, if it was looked at.
    next_end: Option<v1::JobEnd>,
    /// Jobs whose outcome was not sent yet.
    waiting: u32,
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// The first answer tells the window.
    is_first: bool,
    /// The caller closed its side, or is not listened to any more.
    is_read: bool,
    /// How the stream ends once what was accepted before is acknowledged.
    failed: Option<Status>,
    done: bool,
}

impl AckStream {
    pub(super) fn new(
        api: Api,
        caller: Caller,
        requests: Streaming<v1::SubmitStreamRequest>,
        closing: Option<CancellationToken>,
    ) -> Self {
        Self {
            api,
            caller,
            requests,
            acks: VecDeque::new(),
            outcomes: Arc::default(),
            ended: VecDeque::new(),
            next_end: None,
            waiting: 0,
            closing: closing.map(|closing| Box::pin(closing.cancelled_owned())),
            is_first: true,
            is_read: false,
            failed: None,
            done: false,
        }
    }

    /// Submits the batches that have arrived, while the window is open: together, so that many small ones cost little more
    /// than a large one.
    fn read(&mut self, context: &mut Context<'_>) {
        let mut turn = Vec::new();
        let mut jobs = 0;
        while jobs < TURN_JOBS && !self.is_read && self.waiting + (jobs as u32) < WINDOW_JOBS {
            match self.next_batch(context) {
                Poll::Ready(Some(Ok(request))) => {
                    jobs += request.jobs.len();
                    turn.push(request);
                }
                Poll::Ready(ended) => {
                    self.is_read = true;
                    self.failed = ended.and_then(Result::err);
                }
                Poll::Pending => break,
            }
        }
        if !turn.is_empty() {
            self.submit(turn);
        }
    }

    fn next_batch(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<v1::SubmitStreamRequest, Status>>> {
        Pin::new(&mut self.requests).poll_next(context).map(|request| {
            let request = request?.map_err(|status| named(status, self.api.message_bytes_max));
            Some(request.and_then(|request| {
                parse::batch_size("jobs", request.jobs.len()).map_err(self.api.status())?;
                Ok(request)
            }))
        })
    }

    fn submit(&mut self, turn: Vec<v1::SubmitStreamRequest>) {
        let mut numbers = Vec::with_capacity(turn.len());
        let batches: Vec<_> = turn
            .into_iter()
            .map(|v1::SubmitStreamRequest { batch, jobs, outcomes }| {
                numbers.push((batch, outcomes));
                let outcomes = outcomes.then_some((&self.outcomes, batch));
                Batch { caller: self.caller, jobs: self.api.parse_batch(jobs), outcomes }
            })
            .collect();
        let results = self.api.engine.submit_batches(batches);
        for ((batch, outcomes), results) in numbers.into_iter().zip(results) {
            if outcomes {
                self.waiting += results.iter().filter(|result| result.is_ok()).count() as u32;
            }
            self.acks.push_back(v1::SubmitAck { batch, results: self.api.submit_results(results) });
        }
    }

    /// Adds the acknowledgements that fit, at least one; a batch of refusals may exceed what others stop at. Answers their
    /// bytes.
    fn tell_acks(&mut self, answer: &mut v1::SubmitStreamResponse) -> usize {
        let mut bytes = 0;
        answer.acks.reserve(self.acks.len());
        while bytes < ANSWER_BYTES_MAX
            && let Some(ack) = self.acks.front()
        {
            let with_ack = bytes + element_bytes(ack);
            if bytes > 0 && with_ack > RESPONSE_BYTES_MAX {
                break;
            }
            bytes = with_ack;
            answer.acks.extend(self.acks.pop_front());
        }
        bytes
    }

    /// Adds the jobs that ended, as many as fit beside this many bytes.
    fn tell_ends(&mut self, context: &Context<'_>, mut bytes: usize, answer: &mut v1::SubmitStreamResponse) {
        if self.next_end.is_none() && self.ended.is_empty() {
            self.outcomes.take(context, &mut self.ended);
        }
        answer.outcomes.reserve(self.ended.len().min(ANSWER_ENDS));
        while let Some(end) = self.next_end.take().or_else(|| self.ended.pop_front().map(job_end)) {
            let end_bytes = element_bytes(&end);
            if bytes > 0 && bytes + end_bytes > ANSWER_BYTES_MAX {
                self.next_end = Some(end);
                break;
            }
            bytes += end_bytes;
            answer.outcomes.push(end);
        }
        self.waiting -= answer.outcomes.len() as u32;
    }

    fn is_closing(&mut self, context: &mut Context<'_>) -> bool {
        self.closing.as_mut().is_some_and(|closing| closing.as_mut().poll(context).is_ready())
    }

    fn fail(&mut self, status: Status) -> Poll<Option<Result<v1::SubmitStreamResponse, Status>>> {
        self.done = true;
        Poll::Ready(Some(Err(status)))
    }
}

impl Stream for AckStream {
    type Item = Result<v1::SubmitStreamResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.done {
            return Poll::Ready(None);
        }
        let mut answer = v1::SubmitStreamResponse::default();
        if this.acks.is_empty() {
            this.read(context);
        }
        let bytes = this.tell_acks(&mut answer);
        // No end overtakes its acknowledgement: where one had no room, nothing has.
        this.tell_ends(context, bytes, &mut answer);
        if std::mem::take(&mut this.is_first) {
            answer.window = WINDOW_JOBS;
            return Poll::Ready(Some(Ok(answer)));
        }
        if !answer.acks.is_empty() || !answer.outcomes.is_empty() {
            return Poll::Ready(Some(Ok(answer)));
        }
        if let Some(error) = this.outcomes.failure() {
            return this.fail(to_status(&error, &this.api.boot_id));
        }
        if let Some(status) = this.failed.take() {
            return this.fail(status);
        }
        if this.is_read && this.waiting == 0 {
            this.done = true;
            return Poll::Ready(None);
        }
        if this.is_closing(context) {
            let status = to_status(&connection_closing(), &this.api.boot_id);
            return this.fail(status);
        }
        Poll::Pending
    }
}

fn job_end(job: EndedJob) -> v1::JobEnd {
    v1::JobEnd {
        job_id: job.id.into(),
        batch: job.batch,
        index: job.index,
        state: render::state(job.state).into(),
        outcome: job.outcome.as_ref().map(render::outcome),
    }
}
