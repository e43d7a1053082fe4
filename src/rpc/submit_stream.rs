//! The fast lane: batches of jobs in, acknowledgements and outcomes out, coalesced into as few messages as possible.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use prost::Message;
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, Streaming};

use super::Api;
use super::events::connection_closing;
use super::malformed::named;
use crate::engine::{EndedJob, OutcomeQueue};
use crate::proto::status::to_status;
use crate::proto::{parse, render, v1};

/// How many jobs of a stream may wait for their outcome before the server stops reading.
const WINDOW_JOBS: u32 = 65_536;
/// Bytes after which an answer takes nothing more. With the largest batch of refusals or outcome on top it stays below
/// the 4 MiB that clients read by default.
const ANSWER_BYTES_MAX: usize = 32 << 10;
/// Small outcomes that fit into an answer, roughly.
const ANSWER_ENDS: usize = ANSWER_BYTES_MAX / 64;

/// Answers of one submit stream.
pub(crate) struct AckStream {
    api: Api,
    requests: Streaming<v1::SubmitStreamRequest>,
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
        requests: Streaming<v1::SubmitStreamRequest>,
        closing: Option<CancellationToken>,
    ) -> Self {
        Self {
            api,
            requests,
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

    /// Takes the batches that have arrived, while the window is open. Answers the bytes of their acknowledgements.
    fn read(&mut self, context: &mut Context<'_>, answer: &mut v1::SubmitStreamResponse) -> usize {
        let mut bytes = 0;
        while !self.is_read && self.waiting < WINDOW_JOBS && bytes < ANSWER_BYTES_MAX {
            let acknowledged = match Pin::new(&mut self.requests).poll_next(context) {
                Poll::Ready(Some(request)) => request
                    .map_err(|status| named(status, self.api.message_bytes_max))
                    .and_then(|request| self.submit(request)),
                Poll::Ready(None) => {
                    self.is_read = true;
                    break;
                }
                Poll::Pending => break,
            };
            match acknowledged {
                Ok(ack) => {
                    bytes += ack.encoded_len();
                    answer.acks.push(ack);
                }
                Err(status) => {
                    self.is_read = true;
                    self.failed = Some(status);
                }
            }
        }
        bytes
    }

    fn submit(&mut self, request: v1::SubmitStreamRequest) -> Result<v1::SubmitAck, Status> {
        let v1::SubmitStreamRequest { batch, jobs, outcomes } = request;
        parse::batch_size("jobs", jobs.len()).map_err(self.api.status())?;
        let jobs = self.api.parse_batch(jobs);
        let outcomes = outcomes.then_some((&self.outcomes, batch));
        let results = self.api.engine.submit_each(jobs, outcomes);
        if outcomes.is_some() {
            self.waiting += results.iter().filter(|result| result.is_ok()).count() as u32;
        }
        Ok(v1::SubmitAck { batch, results: self.api.submit_results(results) })
    }

    /// Adds the jobs that ended, as many as fit beside this many bytes.
    fn tell_ends(&mut self, context: &Context<'_>, mut bytes: usize, answer: &mut v1::SubmitStreamResponse) {
        if self.next_end.is_none() && self.ended.is_empty() {
            self.outcomes.take(context, &mut self.ended);
        }
        answer.outcomes.reserve(self.ended.len().min(ANSWER_ENDS));
        while let Some(end) = self.next_end.take().or_else(|| self.ended.pop_front().map(job_end)) {
            let end_bytes = end.encoded_len();
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
        let bytes = this.read(context, &mut answer);
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
        job_id: job.id.to_string(),
        batch: job.batch,
        index: job.index,
        state: render::state(job.outcome.state()).into(),
        outcome: Some(render::outcome(&job.outcome)),
    }
}
