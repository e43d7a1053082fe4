//! The builder of a job to submit. The server validates it.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Serialize;

use super::error::{Error, ErrorKind, Result, reason};
use super::{Client, Job, Submission, status};
use crate::job::{JSON, JobId, Payload, RetryPolicy, TraceContext};
use crate::proto::v1::job_spec::Start;
use crate::proto::v1::payload::Body;
use crate::proto::{render, v1};

/// A job to submit, made by [`Client::job`]. Unset fields get the server's defaults.
///
/// Its id is chosen when it is made and is the idempotency key: submitting the request or a clone of it again gives the
/// same job, never a second one.
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

    /// The input as JSON. It is sent as text, so that integers have every digit.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if the input cannot be serialized as JSON.
    pub fn json(self, input: &(impl Serialize + ?Sized)) -> Result<Self> {
        match serde_json::to_string(input) {
            Ok(text) => Ok(self.body(Body::Text(text), JSON)),
            Err(error) => {
                let message =
                    format!("the input of {} cannot be serialized as JSON: {error}", self.spec.kind);
                Err(Error::new(ErrorKind::InvalidArgument, reason::INVALID_FIELD, message))
            }
        }
    }

    /// The input as plain text.
    pub fn text(self, input: impl Into<String>) -> Self {
        self.body(Body::Text(input.into()), "")
    }

    /// The input as bytes with a MIME type; empty means `application/octet-stream`.
    pub fn data(self, input: impl Into<Bytes>, content_type: &str) -> Self {
        self.body(Body::Data(input.into()), content_type)
    }

    /// The input as a payload, for example another job's result.
    pub fn payload(mut self, input: &Payload) -> Self {
        self.spec.payload = Some(render::payload(input));
        self
    }

    fn body(mut self, body: Body, content_type: &str) -> Self {
        self.spec.payload = Some(v1::Payload { body: Some(body), content_type: content_type.to_owned() });
        self
    }

    /// Sets the id, for example one derived from the job's content, so that two processes that submit the same work submit
    /// one job.
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

    /// Start delay after acceptance.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.spec.start = Some(Start::StartDelay(render::duration(delay)));
        self
    }

    /// Earliest start, by the server's wall clock.
    pub fn start_at(mut self, time: SystemTime) -> Self {
        self.spec.start = Some(Start::StartTime(time.into()));
        self
    }

    /// Number of attempts, 1 to 100, with the back-off of the default policy. Default 1: no retry.
    pub fn max_attempts(self, attempts: u32) -> Self {
        self.retry(RetryPolicy { max_attempts: attempts, ..RetryPolicy::default() })
    }

    /// The retry policy. Default: one attempt.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.spec.retry = Some(render::retry_policy(&policy));
        self
    }

    /// Timeout of the whole job, from acceptance. Default none.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.spec.timeout = Some(render::duration(timeout));
        self
    }

    /// Timeout of one attempt. Default 1 h.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.spec.attempt_timeout = Some(render::duration(timeout));
        self
    }

    /// Retention of the finished job and its result. Default 1 h. With a short one use [`JobRequest::run`].
    pub fn retention(mut self, retention: Duration) -> Self {
        self.spec.retention = Some(render::duration(retention));
        self
    }

    /// Adds a label, which listings can filter by.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.spec.labels.insert(key.into(), value.into());
        self
    }

    /// Adds a header, which is passed to the handler.
    pub fn header(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.spec.headers.insert(key.into(), value.into());
        self
    }

    /// Sets the trace context of the job. Default: that of no trace, or with the interceptor `Spans` of the feature `otel` that of
    /// the span of the submit.
    pub fn trace_context(mut self, context: &TraceContext) -> Self {
        self.spec.trace_context = Some(render::trace_context(context));
        self
    }

    /// Submits the job; its result is read as a `T`. Once this returns, the job is stored with the durability in
    /// [`Submission::durability`].
    ///
    /// The result can be read while the finished job is retained, later it is RESULT_EXPIRED. With a short retention use
    /// [`JobRequest::run`], which waits for the result in the same call.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, `AlreadyExists` (JOB_ID_REUSED) and `ResourceExhausted` (QUEUE_FULL) mean that nothing was
    /// stored. After any other error submit this request again: it gives one job.
    pub async fn submit<T>(&self) -> Result<Job<T>> {
        let client = &self.client;
        let send = move |job| async move {
            let request = v1::SubmitRequest { job: Some(job), validate_only: false };
            submission(client, &client.rpc().submit(request).await?)
        };
        let submission = client.intercept(self.id, self.spec.clone(), send).await?;
        Ok(Job::submitted(client.clone(), self.id, submission))
    }
}

/// The response to a submit.
pub(super) fn submission(client: &Client, answer: &v1::SubmitResponse) -> Result<Submission> {
    Submission::read(answer).ok_or_else(|| status::unreadable(client.address(), "the answer to a submit"))
}

/// The handle for the response to a submit.
pub(super) fn submitted<T>(client: &Client, id: JobId, answer: &v1::SubmitResponse) -> Result<Job<T>> {
    Ok(Job::submitted(client.clone(), id, submission(client, answer)?))
}
