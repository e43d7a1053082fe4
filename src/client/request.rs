//! A job to be submitted, built step by step. Its rules are checked by the server alone.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Serialize;

use super::error::{Error, ErrorKind, Result, reason};
use super::{Client, Job, Submission, status};
use crate::job::{JSON, JobId, Payload, RetryPolicy};
use crate::proto::v1::job_spec::Start;
use crate::proto::v1::payload::Body;
use crate::proto::{render, v1};

/// A job to be submitted, made by [`Client::job`]. What is not set is left to the server's defaults.
///
/// It has its id from the start, and the id is its idempotency key: submitting the same request again, or a clone of it,
/// gives the same job and never a second one.
#[derive(Debug, Clone)]
#[must_use = "a request does nothing until it is submitted"]
pub struct JobRequest {
    client: Client,
    id: JobId,
    spec: v1::JobSpec,
}

impl JobRequest {
    pub(super) fn new(client: Client, kind: String) -> Self {
        let id = JobId::mint();
        Self { client, id, spec: v1::JobSpec { job_id: id.to_string(), kind, ..Default::default() } }
    }

    /// The id that the job has or will have.
    pub fn job_id(&self) -> JobId {
        self.id
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn spec(&self) -> &v1::JobSpec {
        &self.spec
    }

    pub(super) fn into_spec(self) -> (JobId, v1::JobSpec) {
        (self.id, self.spec)
    }

    /// Typed input, sent as JSON text, so that integers stay exact.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if the input has no form in JSON.
    pub fn json(self, input: &(impl Serialize + ?Sized)) -> Result<Self> {
        match serde_json::to_string(input) {
            Ok(text) => Ok(self.body(Body::Text(text), JSON)),
            Err(error) => {
                let message = format!("the input of {} cannot be written as JSON: {error}", self.spec.kind);
                Err(Error::new(ErrorKind::InvalidArgument, reason::INVALID_FIELD, message))
            }
        }
    }

    /// Input of plain text.
    pub fn text(self, input: impl Into<String>) -> Self {
        self.body(Body::Text(input.into()), "")
    }

    /// Input of any bytes, with their MIME type; empty means `application/octet-stream`.
    pub fn data(self, input: impl Into<Bytes>, content_type: &str) -> Self {
        self.body(Body::Data(input.into()), content_type)
    }

    /// Input that is a payload already, for example another job's result.
    pub fn payload(mut self, input: &Payload) -> Self {
        self.spec.payload = Some(render::payload(input));
        self
    }

    fn body(mut self, body: Body, content_type: &str) -> Self {
        self.spec.payload = Some(v1::Payload { body: Some(body), content_type: content_type.to_owned() });
        self
    }

    /// Another id than the one minted, for example derived from what the job is about, so that two processes that
    /// submit the same work submit one job.
    pub fn id(mut self, id: JobId) -> Self {
        self.id = id;
        self.spec.job_id = id.to_string();
        self
    }

    /// Where the job waits. Default `default`.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.spec.queue = queue.into();
        self
    }

    /// -100 to 100; larger starts first. Default 0.
    pub fn priority(mut self, priority: i32) -> Self {
        self.spec.priority = priority;
        self
    }

    /// Not before this long after acceptance.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.spec.start = Some(Start::StartDelay(render::duration(delay)));
        self
    }

    /// Not before this time of the server's wall clock.
    pub fn start_at(mut self, time: SystemTime) -> Self {
        self.spec.start = Some(Start::StartTime(time.into()));
        self
    }

    /// What happens after a failed attempt. Default: one attempt.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.spec.retry = Some(render::retry_policy(&policy));
        self
    }

    /// Longest life of the whole job, from acceptance. Default none.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.spec.timeout = Some(render::duration(timeout));
        self
    }

    /// Longest time of one attempt. Default 1 h.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.spec.attempt_timeout = Some(render::duration(timeout));
        self
    }

    /// How long the finished job and its result are kept. Default 1 h. With a short one use [`JobRequest::run`].
    pub fn retention(mut self, retention: Duration) -> Self {
        self.spec.retention = Some(render::duration(retention));
        self
    }

    /// A label, for finding the job again.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.spec.labels.insert(key.into(), value.into());
        self
    }

    /// A header, handed to the handler.
    pub fn header(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.spec.headers.insert(key.into(), value.into());
        self
    }

    /// Submits the job, whose result is to be read as a `T`. Once this returns, the job is kept as durably as
    /// [`Submission::durability`] says.
    ///
    /// The result can be read while the finished job is retained. Where the retention is shorter than the way to
    /// [`Job::result`], it is gone by then (RESULT_EXPIRED): [`JobRequest::run`] waits for it in the same call.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, `AlreadyExists` (JOB_ID_REUSED) and `ResourceExhausted` (QUEUE_FULL) mean that nothing was
    /// kept. After any other error submit this request again: there will be one job.
    pub async fn submit<T>(&self) -> Result<Job<T>> {
        let request = v1::SubmitRequest { job: Some(self.spec.clone()), validate_only: false };
        let answer = self.client.rpc().submit(request).await?;
        submitted(&self.client, self.id, &answer)
    }
}

/// The job that a submit answered with.
pub(super) fn submitted<T>(client: &Client, id: JobId, answer: &v1::SubmitResponse) -> Result<Job<T>> {
    match Submission::read(answer) {
        Some(submission) => Ok(Job::submitted(client.clone(), id, submission)),
        None => Err(status::unreadable(client.address(), "the answer to a submit")),
    }
}
