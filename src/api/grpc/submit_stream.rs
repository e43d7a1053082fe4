//! The stream of SubmitStream: it submits batches of jobs, and sends acknowledgements and outcomes in few messages.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio_stream::Stream;
use tonic::{Status, Streaming};

use super::Api;
use super::access::Access;
use super::bounded_list::element_bytes;
use super::call_log::LoggedCaller;
use super::call_trace::CallTrace;
use super::early_end::{EarlyEnd, StreamLimits};
use super::error_details::add_details;
use super::quota_use::OpenPermit;
use crate::core::Caller;
use crate::engine::{Batch, EndedJob, StreamBatch, SubmitAck, SubmitStream};
use crate::proto::status::to_status;
use crate::proto::{RESPONSE_BYTES_MAX, parse, render, v1};

const SUBMIT_STREAM: &str = "jobstream.v1.JobService/SubmitStream";

/// Most jobs of a stream without an outcome; above it, the server stops reading the stream.
const WINDOW_JOBS: u32 = 65_536;
/// Jobs that are collected for one submit. The last batch may exceed it.
const SUBMIT_JOBS: usize = 256;
/// Size after which nothing more is added to a response, in bytes. The last acknowledgement may exceed it.
const RESPONSE_FILL_BYTES: usize = 32 << 10;
/// Approximate number of small outcomes in a full response.
const RESPONSE_ENDS: usize = RESPONSE_FILL_BYTES / 64;

/// The responses of one submit stream.
pub(crate) struct AckStream {
    api: Api,
    caller: Caller,
    access: Access,
    /// The caller of refused jobs in the log.
    logged: LoggedCaller,
    /// The trace context of the call, for jobs without one.
    trace: CallTrace,
    requests: Streaming<v1::SubmitStreamRequest>,
    jobs: SubmitStream,
    /// Acknowledgements that did not fit the last response.
    acks: VecDeque<SubmitAck>,
    /// The first of them, if it is already converted.
    next_ack: Option<v1::SubmitAck>,
    /// Ended jobs that did not fit the last response.
    ended: VecDeque<EndedJob>,
    /// The first of them, if it is already converted.
    next_end: Option<v1::JobEnd>,
    /// Jobs whose outcome is not sent yet.
    waiting: u32,
    early_end: EarlyEnd,
    /// Whether the next response is the first, which has the window size.
    is_first: bool,
    /// Whether the caller closed its side, or the server stopped reading after an error.
    is_input_closed: bool,
    /// The error that ends the stream after all accepted jobs are acknowledged.
    failed: Option<Status>,
    done: bool,
    /// Counts the stream against the quota of its principal.
    _permit: Option<OpenPermit>,
}

impl AckStream {
    pub(super) fn new(
        api: Api,
        (caller, access): (Caller, Access),
        requests: Streaming<v1::SubmitStreamRequest>,
        limits: StreamLimits,
    ) -> Self {
        Self {
            jobs: SubmitStream::new(api.engine.clone()),
            api,
            caller,
            access,
            logged: LoggedCaller::default(),
            trace: CallTrace::default(),
            requests,
            acks: VecDeque::new(),
            next_ack: None,
            ended: VecDeque::new(),
            next_end: None,
            waiting: 0,
            early_end: EarlyEnd::new(limits),
            is_first: true,
            is_input_closed: false,
            failed: None,
            done: false,
            _permit: None,
        }
    }

    /// Sets the caller of refused jobs in the log.
    pub(super) fn logged_as(self, logged: LoggedCaller) -> Self {
        Self { logged, ..self }
    }

    /// Sets the trace context of the call.
    pub(super) fn in_trace(self, trace: CallTrace) -> Self {
        Self { trace, ..self }
    }

    /// Holds the permit of the stream until the stream ends.
    pub(super) fn counted_by(mut self, permit: Option<OpenPermit>) -> Self {
        self._permit = permit;
        self
    }

    /// Submits the batches that have arrived, within the window. They share one submit, so that many small batches cost
    /// little more than a large one.
    fn read(&mut self, context: &mut Context<'_>) {
        let mut batches = Vec::new();
        let mut jobs = 0;
        while jobs < SUBMIT_JOBS && !self.is_input_closed && self.waiting + (jobs as u32) < WINDOW_JOBS {
            match self.poll_batch(context) {
                Poll::Ready(Some(Ok(request))) => {
                    jobs += request.jobs.len();
                    batches.push(request);
                }
                Poll::Ready(ended) => {
                    self.is_input_closed = true;
                    self.failed = ended.and_then(Result::err);
                }
                Poll::Pending => break,
            }
        }
        if !batches.is_empty() {
            self.submit(batches);
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
            let request = request?.map_err(|status| add_details(status, self.api.message_bytes_max));
            Some(request.and_then(|request| {
                parse::batch_size("jobs", request.jobs.len()).map_err(self.api.status())?;
                Ok(request)
            }))
        })
    }

    fn submit(&mut self, batches: Vec<v1::SubmitStreamRequest>) {
        let batch = |v1::SubmitStreamRequest { batch, jobs, outcomes }| {
            let mut jobs = self.api.parse_batch(&self.access, &self.trace, jobs, outcomes);
            self.api.count_each(&self.caller, &mut jobs);
            let jobs = Batch { caller: self.caller.clone(), jobs };
            StreamBatch { number: batch, batch: jobs, outcomes }
        };
        self.waiting += self.jobs.submit(batches.into_iter().map(batch).collect());
    }

    /// Adds the acknowledgements that fit, at least one; a batch of refusals may exceed the usual limit. Returns their bytes.
    fn add_acks(&mut self, response: &mut v1::SubmitStreamResponse) -> usize {
        let mut bytes = 0;
        response.acks.reserve(self.acks.len());
        while bytes < RESPONSE_FILL_BYTES
            && let Some(ack) = self
                .next_ack
                .take()
                .or_else(|| self.acks.pop_front().map(|ack| self.api.ack(&self.logged, ack)))
        {
            let with_ack = bytes + element_bytes(&ack);
            if bytes > 0 && with_ack > RESPONSE_BYTES_MAX {
                self.next_ack = Some(ack);
                break;
            }
            bytes = with_ack;
            response.acks.push(ack);
        }
        bytes
    }

    /// Adds the jobs that ended, as many as fit besides `bytes`. An outcome follows its acknowledgement, so
    /// none is added while acknowledgements are left.
    fn add_ends(&mut self, mut bytes: usize, response: &mut v1::SubmitStreamResponse) {
        if self.next_ack.is_some() || !self.acks.is_empty() {
            return;
        }
        response.outcomes.reserve(self.ended.len().min(RESPONSE_ENDS));
        while let Some(end) = self.next_end.take().or_else(|| self.ended.pop_front().map(job_end)) {
            let end_bytes = element_bytes(&end);
            if bytes > 0 && bytes + end_bytes > RESPONSE_FILL_BYTES {
                self.next_end = Some(end);
                break;
            }
            bytes += end_bytes;
            response.outcomes.push(end);
        }
        self.waiting -= response.outcomes.len() as u32;
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
        if let Some(error) = this.early_end.expired() {
            let status = to_status(&error, &this.api.boot_id);
            return this.fail(status);
        }
        let mut response = v1::SubmitStreamResponse::default();
        if this.acks.is_empty() && this.next_ack.is_none() {
            this.read(context);
        }
        let durable = match this.next_end {
            None => this.jobs.poll_durable(context, &mut this.acks, &mut this.ended),
            Some(_) => Poll::Pending,
        };
        let bytes = this.add_acks(&mut response);
        this.add_ends(bytes, &mut response);
        if std::mem::take(&mut this.is_first) {
            response.window = WINDOW_JOBS;
            return Poll::Ready(Some(Ok(response)));
        }
        if !response.acks.is_empty() || !response.outcomes.is_empty() {
            return Poll::Ready(Some(Ok(response)));
        }
        if let Poll::Ready(Err(error)) = durable {
            let status = to_status(&error, &this.api.boot_id);
            return this.fail(status);
        }
        if !this.jobs.awaits_acks()
            && let Some(status) = this.failed.take()
        {
            return this.fail(status);
        }
        if this.is_input_closed && this.waiting == 0 && this.failed.is_none() && !this.jobs.awaits_acks() {
            this.done = true;
            return Poll::Ready(None);
        }
        if let Some(error) = this.early_end.poll_error(context) {
            let status = to_status(&error, &this.api.boot_id);
            return this.fail(status);
        }
        Poll::Pending
    }
}

impl Api {
    fn ack(&self, caller: &LoggedCaller, SubmitAck { batch, results }: SubmitAck) -> v1::SubmitAck {
        v1::SubmitAck { batch, results: self.submit_results(SUBMIT_STREAM, caller, results) }
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::timeout;
    use tonic::Code;

    use crate::api::grpc::{Api, ConnectionLimits, services};
    use crate::engine::{Engine, EngineOptions, OpenLog};
    use crate::proto::v1;
    use crate::proto::v1::job_service_client::JobServiceClient;
    use crate::wal::memory::MemoryLog;

    const TIME_MAX: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_bad_batch_ends_a_stream_after_the_acknowledgement_of_the_batch_before() {
        let log = MemoryLog::default();
        let open = OpenLog { log: Arc::new(log.clone()), next_sequence: 1 };
        let engine = Engine::open_by(EngineOptions::default(), Path::new("held"), |_| Ok(open)).unwrap();
        log.change(|state| state.is_held = true);
        let (jobs, _) = services(&Api::new(engine.clone(), 4 << 20, ConnectionLimits::default()));
        let job = v1::JobSpec { kind: "k".to_owned(), ..v1::JobSpec::default() };
        let good = v1::SubmitStreamRequest { batch: 1, jobs: vec![job], outcomes: false };
        let bad = v1::SubmitStreamRequest { batch: 2, ..v1::SubmitStreamRequest::default() };
        let mut stream = JobServiceClient::new(jobs)
            .submit_stream(tokio_stream::iter([good, bad]))
            .await
            .unwrap()
            .into_inner();
        let window = timeout(TIME_MAX, stream.message()).await.unwrap().unwrap().unwrap();
        assert_eq!(window.acks, [], "the log is held");
        let held = timeout(Duration::from_millis(20), stream.message()).await;
        assert!(held.is_err(), "{held:?}");
        log.change(|state| state.is_held = false);
        let acknowledged = timeout(TIME_MAX, stream.message()).await.unwrap().unwrap().unwrap();
        assert_eq!(acknowledged.acks[0].batch, 1);
        let error = timeout(TIME_MAX, stream.message()).await.unwrap().unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
}
