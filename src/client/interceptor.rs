//! Interceptors of submits: what a team adds around every submit of a client.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::error::Result;
use super::{Client, Submission};
use crate::job::{JobId, TraceContext};
use crate::proto::v1;

/// A boxed future, as interceptors return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs around each submit of a client: it may change the job before it is sent, and sees the response.
///
/// It runs once for each job of [`JobRequest::submit`](super::JobRequest::submit), of the `run` methods and of
/// [`Client::submit_all`], around all tries of a call. [`Client::rpc`] and [`Client::retry`] have no interceptors. The id of a
/// job cannot be changed: it is the idempotency key, so an interceptor should make the same job of the same request.
///
/// ```no_run
/// use jobstream::client::{BoxFuture, Client, NextSubmit, Result, Submission, SubmitInterceptor};
/// use jobstream::proto::v1::JobSpec;
///
/// /// Labels every job with its tenant.
/// struct Tenant(String);
///
/// impl SubmitInterceptor for Tenant {
///     fn submit<'a>(&'a self, mut job: JobSpec, next: NextSubmit<'a>) -> BoxFuture<'a, Result<Submission>> {
///         job.labels.insert("tenant".to_owned(), self.0.clone());
///         Box::pin(async move {
///             let submission = next.submit(job).await?;
///             println!("submitted, new: {}", submission.is_new);
///             Ok(submission)
///         })
///     }
/// }
///
/// # async fn run() -> Result<()> {
/// let client = Client::connect("http://127.0.0.1:7070").await?.interceptor(Tenant("acme".to_owned()));
/// client.job("resize").submit::<()>().await?;
/// # Ok(()) }
/// ```
pub trait SubmitInterceptor: Send + Sync + 'static {
    /// Submits the job with `next`, or fails, for example with [`Error::of_interceptor`](super::Error::of_interceptor).
    fn submit<'a>(&'a self, job: v1::JobSpec, next: NextSubmit<'a>) -> BoxFuture<'a, Result<Submission>>;

    /// The trace context of the caller of [`Client::retry`]; the new job gets it. By default there is none.
    fn trace_context(&self) -> Option<TraceContext> {
        None
    }
}

type SendJob<'a> = Box<dyn FnOnce(v1::JobSpec) -> BoxFuture<'a, Result<Submission>> + Send + 'a>;

/// The interceptors after this one, and the submit.
pub struct NextSubmit<'a> {
    rest: &'a [Arc<dyn SubmitInterceptor>],
    send: SendJob<'a>,
}

impl<'a> NextSubmit<'a> {
    /// Submits the job.
    pub fn submit(self, job: v1::JobSpec) -> BoxFuture<'a, Result<Submission>> {
        match self.rest.split_first() {
            Some((first, rest)) => first.submit(job, NextSubmit { rest, send: self.send }),
            None => (self.send)(job),
        }
    }
}

/// The interceptors of a client, outermost first.
#[derive(Clone, Default)]
pub(super) struct Interceptors(Arc<[Arc<dyn SubmitInterceptor>]>);

impl Interceptors {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Interceptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} interceptors", self.0.len())
    }
}

impl Client {
    /// A client with one more interceptor, on the same connections. The first one added is the outermost. Clones made before
    /// do not have it.
    pub fn interceptor(mut self, interceptor: impl SubmitInterceptor) -> Self {
        let added: Arc<dyn SubmitInterceptor> = Arc::new(interceptor);
        self.1 = Interceptors(self.1.0.iter().cloned().chain([added]).collect());
        self
    }

    pub(super) fn interceptors(&self) -> &Interceptors {
        &self.1
    }

    /// The trace context of the first interceptor that has one.
    pub(super) fn trace_context(&self) -> Option<TraceContext> {
        self.1.0.iter().find_map(|interceptor| interceptor.trace_context())
    }

    /// Runs the interceptors around `send`, which submits the job.
    pub(super) async fn intercept<'a, F, Fut>(
        &'a self,
        id: JobId,
        job: v1::JobSpec,
        send: F,
    ) -> Result<Submission>
    where
        F: FnOnce(v1::JobSpec) -> Fut + Send + 'a,
        Fut: Future<Output = Result<Submission>> + Send + 'a,
    {
        if self.1.is_empty() {
            return send(job).await;
        }
        let with_id =
            move |job| Box::pin(send(v1::JobSpec { job_id: id.to_string(), ..job })) as BoxFuture<'a, _>;
        NextSubmit { rest: &self.1.0, send: Box::new(with_id) }.submit(job).await
    }
}
