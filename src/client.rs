//! The typed client: submit a job, await its result, follow it live, across lost connections.
//!
//! ```no_run
//! use jobstream::client::Client;
//!
//! #[derive(serde::Serialize)]
//! struct Resize { width: u32 }
//! #[derive(serde::Deserialize)]
//! struct Thumb { url: String }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("http://127.0.0.1:7070").await?;
//! let job = client.job("resize").json(&Resize { width: 64 })?.submit::<Thumb>().await?;
//! println!("{} is accepted", job.id());
//! let thumb = job.await?;
//! println!("{}", thumb.url);
//!
//! // Submit and wait in one call: the result is not lost, even with a short retention.
//! let thumb: Thumb = client.job("resize").json(&Resize { width: 64 })?.run().await?;
//! println!("{}", thumb.url);
//! # Ok(())
//! # }
//! ```
//!
//! A failed call returns an [`Error`] with a kind and a [`reason`] to match on. A failed or cancelled job is a
//! [`ResultError`]. Every request has its job id before it is sent: after any error, submitting the same request again
//! gives one job.

mod access;
mod admin;
pub(crate) mod backoff;
mod batch;
mod channel;
pub(crate) mod connection;
mod credentials;
mod error;
mod feed;
mod health;
mod interceptor;
mod job;
mod list;
mod options;
mod request;
mod restart;
mod result;
mod rpc;
mod run;
#[cfg(feature = "otel")]
pub(crate) mod spans;
pub(crate) mod status;
#[cfg(feature = "tls")]
pub(crate) mod tls;
mod tries;
mod watch;

pub use crate::job::WatchItem;
pub use channel::Channel;
pub use credentials::{BearerToken, CallMetadata};
pub use error::{Error, ErrorKind, Result, ResultError, reason};
pub use feed::{Feed, FeedItem};
pub use health::{Health, Probe};
pub use interceptor::{BoxFuture, NextSubmit, SubmitInterceptor};
pub use job::{Durability, Job, Submission};
pub use list::Jobs;
pub use options::{ClientOptions, FeedOptions, RetryOptions, WatchOptions};
pub use request::JobRequest;
pub use rpc::Rpc;
#[cfg(feature = "otel")]
pub use spans::{Sampling, Spans};
#[cfg(feature = "tls")]
pub use tls::{ClientIdentity, ClientTls};
pub use tries::Retrying;
pub use watch::Watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::{Receiver, Sender};

use crate::job::{ChangeFilter, JobFilter, JobId, JobState, JobView};
use crate::proto::v1::job_service_client::JobServiceClient;
use crate::proto::{read, render, v1};
use connection::Connection;
use interceptor::Interceptors;
use tries::Tries;

/// Largest response to read, in bytes: a page of jobs with their payloads.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A client of one server. Cheap to clone; all clones share its connections.
///
/// It reconnects by itself, and opens more connections when many waits and watches are open at a time. Calls are retried
/// within `call_timeout` and [`RetryOptions`], unless a method documents otherwise: a call that arrives twice has the effect of
/// one.
///
/// ```no_run
/// use jobstream::client::Client;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect("http://127.0.0.1:7070").await?;
/// let number: i64 = client.job("double").json(&21)?.run().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>, Interceptors);

#[derive(Debug)]
struct Inner {
    connection: Connection,
    options: ClientOptions,
    retrying: Sender<Option<Retrying>>,
}

impl Client {
    /// Connects to a server, with every option at its default. The address is `http://host:port`, `host:port`, or with the
    /// feature `tls` `https://host:port`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if the address is invalid; `Unreachable` if no server listens there.
    pub async fn connect(address: &str) -> Result<Self> {
        Self::connect_with(address, ClientOptions::default()).await
    }

    /// Connects to a server.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`], and `InvalidArgument` if the name or the token in the options cannot be sent, or the token not
    /// to this address (INSECURE_TOKEN).
    pub async fn connect_with(address: &str, options: ClientOptions) -> Result<Self> {
        let connection = Connection::open(address, &options).await?;
        Ok(Self::new(connection, options))
    }

    /// A client that connects with its first call. It does not check that a server listens at the address.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if the address is invalid, the name or the token in the options cannot be sent, or the token not to
    /// this address (INSECURE_TOKEN).
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn lazy(address: &str, options: ClientOptions) -> Result<Self> {
        let connection = Connection::lazy(address, &options)?;
        Ok(Self::new(connection, options))
    }

    fn new(connection: Connection, options: ClientOptions) -> Self {
        Self(Arc::new(Inner { connection, options, retrying: Sender::new(None) }), Interceptors::default())
    }

    /// The address of the server, as error messages show it.
    pub fn address(&self) -> &str {
        self.0.connection.address()
    }

    /// A channel to the server, for the generated stubs in [`proto::v1`](crate::proto::v1).
    pub fn channel(&self) -> Channel {
        self.0.connection.for_short_calls()
    }

    /// The connections, for calls that stay open.
    pub(crate) fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// The newest retry of this client's calls, watches and waits, for a program that shows them; `None` before the
    /// first one. A receiver that reads late misses the earlier ones.
    pub fn retries(&self) -> Receiver<Option<Retrying>> {
        self.0.retrying.subscribe()
    }

    fn options(&self) -> &ClientOptions {
        &self.0.options
    }

    /// A request for a new job of this kind, with a new id.
    pub fn job(&self, kind: impl Into<String>) -> JobRequest {
        JobRequest::new(self.clone(), kind.into())
    }

    /// A handle on a job that was submitted before, by any client. It sends nothing: an unknown job is reported by the
    /// first call on the handle.
    pub fn attach<T>(&self, job_id: JobId) -> Job<T> {
        Job::attached(self.clone(), job_id)
    }

    /// The whole job as it is now.
    ///
    /// # Errors
    ///
    /// `NotFound` (JOB_NOT_FOUND, RESULT_EXPIRED).
    pub async fn get(&self, job_id: JobId) -> Result<JobView> {
        let request = v1::GetJobRequest { job_id: job_id.to_string() };
        let answer = self.rpc().get_job(request).await?;
        let job = answer.job.and_then(read::job);
        job.ok_or_else(|| status::unreadable(self.address(), "a job"))
    }

    /// The jobs that match a filter, newest first, without payloads. Pages are fetched as the jobs are read.
    pub fn list(&self, filter: &JobFilter) -> Jobs {
        Jobs::new(self.clone(), filter)
    }

    /// Follows the state changes of all jobs that match a filter, from now on.
    pub fn watch_jobs(&self, filter: &ChangeFilter) -> Feed {
        self.watch_jobs_with(filter, FeedOptions::default())
    }

    /// [`Client::watch_jobs`], with options: after a cursor.
    pub fn watch_jobs_with(&self, filter: &ChangeFilter, options: FeedOptions) -> Feed {
        Feed::new(self.clone(), filter, options)
    }

    /// Cancels a job. A waiting job ends at once. A running handler is cancelled and is ended by force after 10 s.
    /// Returns `Cancelled`, or `Running` while the handler stops. Cancelling a cancelled job changes nothing.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` (ILLEGAL_STATE) if the job ended otherwise.
    pub async fn cancel(&self, job_id: JobId, reason: impl Into<String>) -> Result<JobState> {
        self.cancel_job(job_id, reason.into(), None).await
    }

    /// [`Client::cancel`] with another time for the handler to stop, at most 1 h.
    ///
    /// # Errors
    ///
    /// As [`Client::cancel`], and `InvalidArgument` if the grace is too long.
    pub async fn cancel_within(
        &self,
        job_id: JobId,
        reason: impl Into<String>,
        grace: Duration,
    ) -> Result<JobState> {
        self.cancel_job(job_id, reason.into(), Some(grace)).await
    }

    async fn cancel_job(&self, job_id: JobId, reason: String, grace: Option<Duration>) -> Result<JobState> {
        let grace = grace.map(render::duration);
        let request = v1::CancelRequest { job_id: job_id.to_string(), reason, grace };
        let answer = self.rpc().cancel(request).await?;
        read::state(answer.state()).ok_or_else(|| status::unreadable(self.address(), "a state"))
    }

    /// Submits a finished job once more, as a new job. The finished one never changes.
    ///
    /// The client chooses the id of the new job once for all tries, so they create one job.
    ///
    /// # Errors
    ///
    /// As [`JobRequest::submit`]; `NotFound`; `FailedPrecondition` (ILLEGAL_STATE) while the job has not ended.
    pub async fn retry<T>(&self, job_id: JobId) -> Result<Job<T>> {
        let new_id = JobId::mint();
        let request = v1::RetryRequest {
            job_id: job_id.to_string(),
            new_job_id: new_id.to_string(),
            ..v1::RetryRequest::default()
        };
        let v1::RetryResponse { job_id, disposition, state, durability, sequence, wait_reason } =
            self.rpc().retry(request).await?;
        let answer = v1::SubmitResponse { job_id, disposition, state, durability, sequence, wait_reason };
        request::submitted(self, new_id, &answer)
    }

    /// Removes a finished job and its result now.
    ///
    /// If the response of a first try was lost and the next try finds no job, the first one removed it: this is success.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` (ILLEGAL_STATE) while the job has not ended.
    pub async fn delete(&self, job_id: JobId) -> Result<()> {
        let request = v1::DeleteRequest { job_id: job_id.to_string() };
        let send = |channel, request| async move { jobs(channel).delete(request).await };
        let mut tries = Tries::within(self, self.options().call_timeout);
        let mut is_answer_lost = false;
        loop {
            match tries.once(self.channel(), request.clone(), send).await {
                Ok(v1::DeleteResponse {}) => return Ok(()),
                Err(error) if is_answer_lost && error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => {
                    is_answer_lost |= error.kind() == ErrorKind::Unreachable;
                    tries.pause(error).await?;
                }
            }
        }
    }
}

fn jobs(channel: Channel) -> JobServiceClient<Channel> {
    JobServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}
