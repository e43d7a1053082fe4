//! The fast lane: batches of jobs in, acknowledgements and outcomes out, coalesced into as few messages as possible.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, Streaming};

use super::Api;
use super::events::connection_closing;
use crate::engine::{EndedJob, OutcomeQueue};
use crate::job::Outcome;
use crate::proto::status::to_status;
use crate::proto::{parse, render, v1};

/// How many jobs of a stream may wait for their outcome before the server stops reading.
const WINDOW_JOBS: u32 = 65_536;
/// Most batches and outcomes in one answer, so that it stays below the 4 MiB that clients read by default.
const ANSWER_BATCHES_MAX: usize = 16;
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Answers of one submit stream.
pub(super) struct AckStream {
    api: Api,
    requests: Streaming<v1::SubmitStreamRequest>,
    outcomes: Arc<OutcomeQueue>,
    /// Ended jobs that did not fit the last answer.
    ended: std::vec::IntoIter<EndedJob>,
    /// Jobs whose outcome was not sent yet.
    waiting: u32,
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// The first answer tells the window.
    is_first: bool,
    /// The caller closed its side.
    is_read: bool,
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
            ended: Vec::new().into_iter(),
            waiting: 0,
            closing: closing.map(|closing| Box::pin(closing.cancelled_owned())),
            is_first: true,
            is_read: false,
            done: false,
        }
    }

    /// Takes the batches that have arrived, while the window is open.
    fn read(
        &mut self,
        context: &mut Context<'_>,
        answer: &mut v1::SubmitStreamResponse,
    ) -> Result<(), Status> {
        while !self.is_read && self.waiting < WINDOW_JOBS && answer.acks.len() < ANSWER_BATCHES_MAX {
            match Pin::new(&mut self.requests).poll_next(context) {
                Poll::Ready(Some(request)) => answer.acks.push(self.submit(request?)?),
                Poll::Ready(None) => self.is_read = true,
                Poll::Pending => break,
            }
        }
        Ok(())
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

    /// Adds the jobs that ended, as many as fit.
    fn tell_ends(&mut self, context: &Context<'_>, answer: &mut v1::SubmitStreamResponse) {
        let mut bytes = 0;
        if self.ended.as_slice().is_empty() {
            self.ended = self.outcomes.take(context).into_iter();
        }
        while bytes < ANSWER_BYTES_MAX
            && let Some(job) = self.ended.next()
        {
            bytes += outcome_bytes(&job.outcome);
            answer.outcomes.push(v1::JobEnd {
                job_id: job.id.to_string(),
                batch: job.batch,
                index: job.index,
                state: render::state(job.outcome.state()).into(),
                outcome: Some(render::outcome(&job.outcome)),
            });
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
        if let Err(status) = this.read(context, &mut answer) {
            return this.fail(status);
        }
        this.tell_ends(context, &mut answer);
        if std::mem::take(&mut this.is_first) {
            answer.window = WINDOW_JOBS;
            return Poll::Ready(Some(Ok(answer)));
        }
        if !answer.acks.is_empty() || !answer.outcomes.is_empty() {
            return Poll::Ready(Some(Ok(answer)));
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

fn outcome_bytes(outcome: &Outcome) -> usize {
    const ENVELOPE_BYTES: usize = 64;
    ENVELOPE_BYTES
        + match outcome {
            Outcome::Result(result) => result.bytes.len(),
            Outcome::Failure(failure) => failure.message.len(),
            Outcome::Cancellation(cancellation) => cancellation.reason.len(),
        }
}
