//! What a handler can see and do while its attempt runs.

use std::future::Future;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::JobError;
use super::handler::read_json;
use super::link::Link;
use crate::error::Result;
use crate::job::{Assignment, JobId, LeaseId, Log, LogLevel, LogStream, Output, Payload, Progress};

/// One attempt of a job, as its handler sees it. Cheap to clone.
#[derive(Clone)]
pub struct JobContext(Arc<Inner>);

struct Inner {
    assignment: Assignment,
    link: Link,
    cancel: CancellationToken,
    deadline: Instant,
}

impl JobContext {
    pub(super) fn new(assignment: Assignment, link: Link, cancel: CancellationToken) -> Self {
        let deadline = Instant::now() + assignment.time_left;
        Self(Arc::new(Inner { assignment, link, cancel, deadline }))
    }

    /// The job's id. With [`JobContext::attempt`] it names this try: use both as the key of side effects. No
    /// two workers are ever sent the same pair.
    pub fn job_id(&self) -> JobId {
        self.0.assignment.job_id
    }

    /// Number of the attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.0.assignment.attempt
    }

    /// The job's kind.
    pub fn kind(&self) -> &str {
        &self.0.assignment.kind
    }

    /// The queue the job waited in.
    pub fn queue(&self) -> &str {
        &self.0.assignment.queue
    }

    /// When the attempt is ended by force.
    pub fn deadline(&self) -> Instant {
        self.0.deadline
    }

    /// The job's input as it came.
    pub fn payload(&self) -> &Payload {
        &self.0.assignment.payload
    }

    /// The job's input read as JSON; an empty payload reads as `null`.
    ///
    /// # Errors
    ///
    /// A failure that ends the job, naming what does not fit.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, JobError> {
        read_json(self.payload())
    }

    /// A header the job was submitted with.
    pub fn header(&self, name: &str) -> Option<&str> {
        let options = self.0.assignment.options.as_ref()?;
        options.headers.get(name).map(String::as_str)
    }

    /// The headers the job was submitted with, in the order of their names.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let options = self.0.assignment.options.as_ref();
        options
            .into_iter()
            .flat_map(|options| &options.headers)
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Tells how far the attempt is, 0 to 1. Only the newest is kept: calling it often is fine.
    pub fn progress(&self, fraction: f64, message: impl Into<String>) {
        self.report_progress(Progress {
            fraction: Some(fraction),
            message: message.into(),
            ..Progress::default()
        });
    }

    /// Tells how many units of how many are done.
    pub fn progress_of(&self, done: f64, total: f64, unit: impl Into<String>) {
        let fraction = (total > 0.0).then_some(done / total);
        let (done, total) = (Some(done), Some(total));
        self.report_progress(Progress { fraction, done, total, unit: unit.into(), message: String::new() });
    }

    /// Tells how far the attempt is, in any of the ways there are.
    pub fn report_progress(&self, progress: Progress) {
        self.0.link.progress(self.lease(), progress);
    }

    /// Emits a chunk of output, for those who watch. It does not become part of the result.
    ///
    /// Where the server is in this process this returns at once. Elsewhere it waits while more is on its way than the
    /// connection carries, so that a fast handler needs no more memory than a slow one.
    ///
    /// # Errors
    ///
    /// A retryable failure if the chunk is larger than a payload may be, or the attempt no longer stands.
    pub async fn output(&self, chunk: Payload) -> Result<(), JobError> {
        self.output_on("", chunk).await
    }

    /// Emits a chunk of one of several outputs.
    ///
    /// # Errors
    ///
    /// As [`JobContext::output`].
    pub async fn output_on(&self, channel: &str, chunk: Payload) -> Result<(), JobError> {
        let output = Output { payload: chunk, channel: channel.into() };
        Ok(self.0.link.output(self.lease(), output).await?)
    }

    /// Writes a log line, for those who watch. It never waits: if more come than the disk or connection takes, a later
    /// line tells how many are missing.
    pub fn log(&self, text: impl AsRef<str>) {
        self.log_at(LogLevel::Info, LogStream::Log, text.as_ref());
    }

    /// Writes a log line of this level and stream.
    pub fn log_at(&self, level: LogLevel, stream: LogStream, text: &str) {
        self.0.link.log(self.lease(), Log { level, text: text.into(), stream });
    }

    /// Whether the handler was told to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancel.is_cancelled()
    }

    /// Returns once the handler is told to stop. It may then clean up and return [`JobError::cancelled`]; when the
    /// grace is over it is dropped at its next await.
    pub async fn cancelled(&self) {
        self.0.cancel.cancelled().await;
    }

    /// Runs a future unless the handler is told to stop first.
    ///
    /// # Errors
    ///
    /// [`JobError::cancelled`], to be passed on with `?`.
    pub async fn unless_cancelled<T>(&self, future: impl Future<Output = T>) -> Result<T, JobError> {
        self.0.cancel.run_until_cancelled(future).await.ok_or_else(JobError::cancelled)
    }

    /// The token that fires when the handler is told to stop, for code that takes one.
    pub fn cancel_token(&self) -> &CancellationToken {
        &self.0.cancel
    }

    /// Waits until a log line is kept for certain, as far as that can be waited for.
    pub(super) async fn room(&self) {
        self.0.link.room().await;
    }

    pub(super) fn assignment(&self) -> &Assignment {
        &self.0.assignment
    }

    fn lease(&self) -> LeaseId {
        self.0.assignment.lease
    }
}
