//! The fast lane: batches of jobs in, acknowledgements and outcomes out, coalesced into as few messages as possible.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, Streaming};

use super::Api;
use super::events::connection_closing;
use super::fitting::element_bytes;
use super::malformed::named;
use crate::core::Caller;
use crate::engine::{Batch, EndedJob, StreamBatch, SubmitAck, SubmitStream};
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
    jobs: SubmitStream,
    /// Acknowledgements that did not fit the last answer.
    acks: VecDeque<SubmitAck>,
    /// The first of them, if it was rendered.
    next_ack: Option<v1::SubmitAck>,
    /// Ended jobs that did not fit the last answer.
    ended: VecDeque<EndedJob>,
    /// The first of them, if it was rendered.
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
            jobs: SubmitStream::new(api.engine.clone()),
            api,
            caller,
            requests,
            acks: VecDeque::new(),
            next_ack: None,
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
            match self.poll_batch(context) {
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

    fn poll_batch(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<v1::SubmitStreamRequest, Status>>> {
        if let Err(failed) = ready!(self.jobs.poll_ready(context)) {
            return Poll::Ready(Some(Err(self.api.status()(failed))));
        }
        Pin::new(&mut self.requests).poll_next(context).map(|request| {
            let request = request?.map_err(|status| named(status, self.api.message_bytes_max));
            Some(request.and_then(|request| {
                parse::batch_size("jobs", request.jobs.len()).map_err(self.api.status())?;
                Ok(request)
            }))
        })
    }

    fn submit(&mut self, turn: Vec<v1::SubmitStreamRequest>) {
        let batch = |v1::SubmitStreamRequest { batch, jobs, outcomes }| {
            let jobs = Batch { caller: self.caller, jobs: self.api.parse_batch(jobs) };
            StreamBatch { number: batch, batch: jobs, outcomes }
        };
        self.waiting += self.jobs.submit(turn.into_iter().map(batch).collect());
    }

    /// Adds the acknowledgements that fit, at least one; a batch of refusals may exceed the usual limit. Answers their bytes.
    fn add_acks(&mut self, answer: &mut v1::SubmitStreamResponse) -> usize {
        let mut bytes = 0;
        answer.acks.reserve(self.acks.len());
        while bytes < ANSWER_BYTES_MAX
            && let Some(ack) =
                self.next_ack.take().or_else(|| self.acks.pop_front().map(|ack| self.api.ack(ack)))
        {
            let with_ack = bytes + element_bytes(&ack);
            if bytes > 0 && with_ack > RESPONSE_BYTES_MAX {
                self.next_ack = Some(ack);
                break;
            }
            bytes = with_ack;
            answer.acks.push(ack);
        }
        bytes
    }

    /// Adds the jobs that ended, as many as fit beside this many bytes. An outcome comes behind its acknowledgement: while
    /// one is left, none is added.
    fn add_ends(&mut self, mut bytes: usize, answer: &mut v1::SubmitStreamResponse) {
        if self.next_ack.is_some() || !self.acks.is_empty() {
            return;
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
        if this.acks.is_empty() && this.next_ack.is_none() {
            this.read(context);
        }
        if this.next_end.is_none()
            && let Poll::Ready(Err(error)) = this.jobs.poll_durable(context, &mut this.acks, &mut this.ended)
        {
            this.failed = Some(this.api.status()(error));
        }
        let bytes = this.add_acks(&mut answer);
        this.add_ends(bytes, &mut answer);
        if std::mem::take(&mut this.is_first) {
            answer.window = WINDOW_JOBS;
            return Poll::Ready(Some(Ok(answer)));
        }
        if !answer.acks.is_empty() || !answer.outcomes.is_empty() {
            return Poll::Ready(Some(Ok(answer)));
        }
        if let Some(status) = this.failed.take() {
            return this.fail(status);
        }
        if this.is_read && this.waiting == 0 && !this.jobs.awaits_acks() {
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

impl Api {
    fn ack(&self, SubmitAck { batch, results }: SubmitAck) -> v1::SubmitAck {
        v1::SubmitAck { batch, results: self.submit_results(results) }
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
