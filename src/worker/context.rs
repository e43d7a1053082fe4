//! The context of an attempt: its job, its reports and its cancellation.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::JobError;
use super::executor::Attempts;
use super::handler::read_json;
use super::report_sink::ReportSink;
use crate::client;
use crate::error::Result;
use crate::job::{
    Assignment, JobId, LeaseId, Log, LogLevel, LogStream, Output, Payload, Progress, TraceContext,
};

/// The context that a handler receives with each attempt. Cheap to clone.
///
/// ```
/// use jobstream::job::Payload;
/// use jobstream::testing::run_handler;
/// use jobstream::worker::{JobContext, Worker};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let worker = Worker::new().handler("sum", |context: JobContext, numbers: Vec<i64>| async move {
///     let mut sum = 0;
///     for (index, number) in numbers.iter().enumerate() {
///         context.unless_cancelled(tokio::task::yield_now()).await?;
///         sum += number;
///         context.progress_of((index + 1) as f64, numbers.len() as f64, "numbers");
///     }
///     context.log(format!("attempt {} of job {}", context.attempt(), context.job_id()));
///     Ok(sum)
/// });
/// let run = run_handler(&worker, "sum", Payload::json_text("[1, 2, 3]")).await?;
/// assert_eq!(run.result(), Some(&Payload::json_text("6")));
/// assert_eq!(run.progress().count(), 3);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct JobContext(Arc<Inner>);

struct Inner {
    assignment: Assignment,
    sink: ReportSink,
    cancel: CancellationToken,
    deadline: Instant,
    /// The attempts of the session, which have the callbacks of [`JobContext::on_settled`].
    attempts: Attempts,
}

impl JobContext {
    pub(super) fn new(
        assignment: Assignment,
        sink: ReportSink,
        cancel: CancellationToken,
        attempts: Attempts,
    ) -> Self {
        let deadline = Instant::now() + assignment.time_left;
        Self(Arc::new(Inner { assignment, sink, cancel, deadline, attempts }))
    }

    /// The job's id. Together with [`JobContext::attempt`] it identifies the attempt; use both as the idempotency key
    /// of side effects. The server never assigns the same pair to two workers.
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

    /// When the attempt times out and is ended by force.
    pub fn deadline(&self) -> Instant {
        self.0.deadline
    }

    /// The job's payload.
    pub fn payload(&self) -> &Payload {
        &self.0.assignment.payload
    }

    /// Parses the job's payload as JSON. An empty payload is read as `null`.
    ///
    /// # Errors
    ///
    /// A permanent failure that names the invalid field.
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

    /// The trace context of the job: that of its submitter. `None` if it sent none.
    pub fn trace_context(&self) -> Option<&TraceContext> {
        self.0.assignment.options.as_ref()?.trace.as_deref()
    }

    /// Reports progress as a fraction from 0 to 1. Only the newest progress is retained, so frequent calls are cheap.
    pub fn progress(&self, fraction: f64, message: impl Into<String>) {
        self.report_progress(Progress {
            fraction: Some(fraction),
            message: message.into(),
            ..Progress::default()
        });
    }

    /// Reports progress as a number of units done out of a total.
    pub fn progress_of(&self, done: f64, total: f64, unit: impl Into<String>) {
        let fraction = (total > 0.0).then_some(done / total);
        let (done, total) = (Some(done), Some(total));
        self.report_progress(Progress { fraction, done, total, unit: unit.into(), message: String::new() });
    }

    /// Reports progress with any combination of fields.
    pub fn report_progress(&self, progress: Progress) {
        self.0.sink.progress(self.lease(), progress);
    }

    /// Sends a chunk of output to watchers of the job. It is not part of the result.
    ///
    /// Waits while the connection to the server or the server's disk exerts backpressure, so a fast handler needs no
    /// more memory than a slow one.
    ///
    /// # Errors
    ///
    /// A retryable failure if the chunk exceeds the payload limit or the lease is lost.
    pub async fn output(&self, chunk: Payload) -> Result<(), JobError> {
        self.output_on("", chunk).await
    }

    /// Sends a chunk of output on a named channel, for jobs with several outputs.
    ///
    /// # Errors
    ///
    /// Those of [`JobContext::output`].
    pub async fn output_on(&self, channel: &str, chunk: Payload) -> Result<(), JobError> {
        let output = Output { payload: chunk, channel: channel.into() };
        Ok(self.0.sink.output(self.lease(), output).await?)
    }

    /// Sends a log line to watchers of the job. It never waits: under backpressure, lines are dropped and a later line
    /// reports their number.
    pub fn log(&self, text: impl AsRef<str>) {
        self.log_at(LogLevel::Info, LogStream::Log, text.as_ref());
    }

    /// Sends a log line with this level and stream.
    pub fn log_at(&self, level: LogLevel, stream: LogStream, text: &str) {
        self.0.sink.log(self.lease(), Log { level, text: text.into(), stream });
    }

    /// Whether the attempt is cancelled: the job was cancelled, the lease was lost or the worker stops.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancel.is_cancelled()
    }

    /// Returns once the attempt is cancelled. The handler may then clean up and return [`JobError::cancelled`]. After
    /// the grace period the handler is dropped at its next await.
    pub async fn cancelled(&self) {
        self.0.cancel.cancelled().await;
    }

    /// Runs a future until it completes or the attempt is cancelled.
    ///
    /// # Errors
    ///
    /// [`JobError::cancelled`] if the attempt is cancelled first. Return it with `?`.
    pub async fn unless_cancelled<T>(&self, future: impl Future<Output = T>) -> Result<T, JobError> {
        self.0.cancel.run_until_cancelled(future).await.ok_or_else(JobError::cancelled)
    }

    /// The cancellation token of the attempt.
    pub fn cancel_token(&self) -> &CancellationToken {
        &self.0.cancel
    }

    /// Registers a function that is called once it is known whether the server has recorded the end of this attempt: to delete
    /// a temporary file or to commit an offset, for example.
    ///
    /// It is called exactly once, after the handler and its interceptors have returned. `Ok` means that the end of the
    /// attempt, a failure included, is recorded; if the server has a log, durably. An error whose
    /// [`reason`](client::Error::reason) is [`LEASE_LOST`](client::reason::LEASE_LOST) means that the server does not use the
    /// end, because the lease was lost: the job runs elsewhere or has ended otherwise. It is the error, too, of a handler that
    /// was dropped because the worker released its job at the end of a drain. Any other error, such as `Unreachable` of a worker
    /// that ended before the acknowledgement, or that reconnected after a restart of the server, means that it is not known.
    ///
    /// The functions of an attempt are called in the order of their registration, on a task of the worker: they must not
    /// block. A panic is logged and has no other effect. After the handler and its interceptors have returned, this method does
    /// nothing.
    ///
    /// ```
    /// # use jobstream::job::Payload;
    /// # use jobstream::testing::run_handler;
    /// use jobstream::worker::{JobContext, Worker};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let file = std::env::temp_dir().join(format!("on-settled-{}", std::process::id()));
    /// # let path = file.clone();
    /// let worker = Worker::new().handler("render", move |context: JobContext, text: String| {
    ///     let path = path.clone();
    ///     async move {
    ///         std::fs::write(&path, text.to_uppercase())?;
    ///         let result = std::fs::read_to_string(&path)?;
    ///         context.on_settled(move |settled| {
    ///             // A later attempt may still use the file, unless the server has the result.
    ///             if settled.is_ok() {
    ///                 let _ = std::fs::remove_file(path);
    ///             }
    ///         });
    ///         Ok(result)
    ///     }
    /// });
    /// # run_handler(&worker, "render", Payload::json_text("\"x\"")).await?;
    /// # assert!(!file.exists());
    /// # Ok(()) }
    /// ```
    pub fn on_settled(&self, callback: impl FnOnce(client::Result<()>) + Send + 'static) {
        let (job_id, attempt) = (self.job_id(), self.attempt());
        let caught = move |settled| {
            if catch_unwind(AssertUnwindSafe(|| callback(settled))).is_err() {
                tracing::warn!(job = %job_id, attempt, "a callback of on_settled panicked");
            }
        };
        if let Some(running) = self.0.attempts.lock().get_mut(&self.lease()) {
            running.settled.add(Box::new(caught));
        }
    }

    /// Waits for the end of backpressure from the in-process engine's log. A log line sent then is not dropped.
    pub(super) async fn wait_for_capacity(&self) {
        self.0.sink.wait_for_capacity().await;
    }

    /// The same attempt with another payload, for interceptors.
    pub fn with_payload(&self, payload: Payload) -> Self {
        self.changed(|assignment| assignment.payload = payload)
    }

    /// The same attempt with another trace context, for interceptors.
    pub fn with_trace_context(&self, context: TraceContext) -> Self {
        self.changed(|assignment| {
            let options = assignment.options.get_or_insert_default();
            Arc::make_mut(options).trace = Some(Arc::new(context));
        })
    }

    fn changed(&self, change: impl FnOnce(&mut Assignment)) -> Self {
        let Inner { assignment, sink, cancel, deadline, attempts } = &*self.0;
        let mut assignment = assignment.clone();
        change(&mut assignment);
        let (sink, cancel, attempts) = (sink.clone(), cancel.clone(), attempts.clone());
        Self(Arc::new(Inner { assignment, sink, cancel, deadline: *deadline, attempts }))
    }

    pub(super) fn assignment(&self) -> &Assignment {
        &self.0.assignment
    }

    fn lease(&self) -> LeaseId {
        self.0.assignment.lease
    }
}
