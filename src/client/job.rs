//! A handle on a submitted job: its result, its events, its end.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::error::{Result, ResultError};
use super::{Client, Watch, WatchOptions, restart, result};
use crate::job::{JobId, JobState, Outcome, Payload, WaitReason};
use crate::proto::{read, v1};

/// What an accepted job survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Crashes of clients and workers, not the end of the server process.
    Memory,
    /// Also a crash of the server or its machine.
    Disk,
    /// Also the loss of a machine.
    Replicated,
}

/// The response to a submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submission {
    /// Whether this submit created the job; otherwise a job with its id and spec existed.
    pub is_new: bool,
    /// The job's state when it was submitted.
    pub state: JobState,
    /// What the job survives.
    pub durability: Durability,
    /// Sequence of its newest event then.
    pub sequence: u32,
    /// Why the job waited then: [`WaitReason::NoWorker`] if no connected worker served its kind in its queue.
    pub wait_reason: Option<WaitReason>,
}

impl Submission {
    pub(super) fn read(answer: &v1::SubmitResponse) -> Option<Self> {
        let durability = match answer.durability() {
            // An unknown durability is taken as the weakest one.
            v1::Durability::Unspecified | v1::Durability::Memory => Durability::Memory,
            v1::Durability::Disk => Durability::Disk,
            v1::Durability::Replicated => Durability::Replicated,
        };
        let is_new = answer.disposition() == v1::Disposition::Created;
        let state = read::state(answer.state())?;
        let wait_reason = read::wait_reason(answer.wait_reason());
        Some(Self { is_new, state, durability, sequence: answer.sequence, wait_reason })
    }
}

/// A handle on a job whose result is read as a `T`. Cheap to clone; dropping it does not affect the job.
///
/// Awaiting it gives what [`Job::result`] gives.
pub struct Job<T> {
    client: Client,
    id: JobId,
    submission: Option<Submission>,
    /// When the server last had the job.
    seen: Option<Instant>,
    result: PhantomData<fn() -> T>,
}

impl<T> Job<T> {
    pub(super) fn attached(client: Client, id: JobId) -> Self {
        Self { client, id, submission: None, seen: None, result: PhantomData }
    }

    pub(super) fn submitted(client: Client, id: JobId, submission: Submission) -> Self {
        let seen = Some(Instant::now());
        Self { client, id, submission: Some(submission), seen, result: PhantomData }
    }

    /// The job's id.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// The response to the submit; `None` for a handle made by [`Client::attach`].
    pub fn submission(&self) -> Option<&Submission> {
        self.submission.as_ref()
    }

    /// How the job ended. Waits for the end without a limit and across lost connections, and gives up only when the server
    /// is unavailable for longer than `patience`.
    ///
    /// # Errors
    ///
    /// `NotFound` with JOB_NOT_FOUND, RESULT_EXPIRED or SERVER_RESTARTED; the error of the last try if the server stays
    /// unavailable.
    pub async fn outcome(&self) -> Result<Outcome> {
        result::outcome(&self.client, self.id, self.seen).await
    }

    /// The result as a payload. Waits like [`Job::outcome`].
    ///
    /// # Errors
    ///
    /// `Failed` or `Cancelled` if the job ended so; `Call` with the errors of [`Job::outcome`].
    pub async fn payload(&self) -> Result<Payload, ResultError> {
        self.result_of(self.outcome().await?)
    }

    fn result_of(&self, outcome: Outcome) -> Result<Payload, ResultError> {
        let job_id = self.id;
        match outcome {
            Outcome::Result(payload) => Ok(payload),
            Outcome::Failure(failure) => Err(ResultError::Failed { job_id, failure }),
            Outcome::Cancellation(cancellation) => Err(ResultError::Cancelled { job_id, cancellation }),
        }
    }

    /// Where the job is now.
    ///
    /// # Errors
    ///
    /// As [`Job::outcome`].
    pub async fn state(&self) -> Result<JobState> {
        Ok(self.explained(self.client.get(self.id).await).await?.state)
    }

    /// The same result, with SERVER_RESTARTED instead of JOB_NOT_FOUND if a restart lost the job.
    async fn explained<R>(&self, result: Result<R>) -> Result<R> {
        match result {
            Ok(answer) => Ok(answer),
            Err(error) => Err(restart::explain(&self.client, self.id, self.seen, error).await),
        }
    }

    /// Watches the job's events, from the first one to the one that ends it.
    pub fn watch(&self) -> Watch {
        self.watch_with(WatchOptions::default())
    }

    /// Watches the job's events with these options.
    pub fn watch_with(&self, options: WatchOptions) -> Watch {
        Watch::new(self.client.clone(), self.id, options, self.seen, None)
    }

    /// Cancels the job, like [`Client::cancel`].
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` (ILLEGAL_STATE) if the job ended otherwise.
    pub async fn cancel(&self, reason: impl Into<String>) -> Result<JobState> {
        self.explained(self.client.cancel(self.id, reason).await).await
    }

    /// Cancels the job with another time for the handler to stop, like [`Client::cancel_within`].
    ///
    /// # Errors
    ///
    /// As [`Job::cancel`], and `InvalidArgument` if the grace is too long.
    pub async fn cancel_within(&self, reason: impl Into<String>, grace: Duration) -> Result<JobState> {
        self.explained(self.client.cancel_within(self.id, reason, grace).await).await
    }
}

impl<T: DeserializeOwned> Job<T> {
    /// The result as a `T`. Waits like [`Job::outcome`]. A text result is read as text if `T` is a string type; every other
    /// result is parsed as JSON, an empty one as `null`. `serde_json::Value` rounds numbers that do not fit 64 bits.
    ///
    /// # Errors
    ///
    /// `Mismatch` if the result is not a `T`; otherwise as [`Job::payload`].
    pub async fn result(&self) -> Result<T, ResultError> {
        let outcome = self.outcome().await?;
        self.read(outcome)
    }

    /// The result that an outcome holds.
    pub(super) fn read(&self, outcome: Outcome) -> Result<T, ResultError> {
        let payload = self.result_of(outcome)?;
        result::typed(&payload).map_err(|error| ResultError::Mismatch {
            job_id: self.id,
            message: format!("{error} (content type {})", payload.content_type()),
        })
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for Job<T> {
    type Output = Result<T, ResultError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.result().await })
    }
}

impl<T> Clone for Job<T> {
    fn clone(&self) -> Self {
        let Self { client, id, submission, seen, result } = self;
        Self { client: client.clone(), id: *id, submission: *submission, seen: *seen, result: *result }
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("submission", &self.submission)
            .finish_non_exhaustive()
    }
}
