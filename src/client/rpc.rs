//! The calls of JobService with the generated messages, for programs that need every field of them.

use std::time::Duration;

use tonic::Request;

use super::error::Result;
use super::{Client, Jobs, Watch, WatchOptions, jobs, result, run};
use crate::job::{JobId, TraceContext};
use crate::proto::v1;

/// The calls of JobService with the messages of [`proto::v1`](crate::proto::v1), made by [`Client::rpc`].
///
/// Deadlines, retries, lost connections and errors are handled as by the client's other calls.
#[derive(Debug, Clone, Copy)]
pub struct Rpc<'a>(&'a Client);

impl Client {
    /// The calls about jobs with the generated messages, for fields that the typed calls do not have.
    ///
    /// ```no_run
    /// # async fn run(client: jobstream::client::Client) -> jobstream::client::Result<()> {
    /// use jobstream::proto::v1;
    ///
    /// let request = v1::ListJobsRequest { include_payloads: true, ..Default::default() };
    /// for job in client.rpc().list_jobs(request).await?.jobs {
    ///     println!("{} {:?}", job.job_id, job.spec);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn rpc(&self) -> Rpc<'_> {
        Rpc(self)
    }
}

impl Rpc<'_> {
    /// Submits a job. A job without an id gets one, so that all tries make one job.
    ///
    /// # Errors
    ///
    /// As [`JobRequest::submit`](super::JobRequest::submit).
    pub async fn submit(self, mut request: v1::SubmitRequest) -> Result<v1::SubmitResponse> {
        request.job.as_mut().into_iter().for_each(set_id);
        self.0.call(request, |channel, request| async move { jobs(channel).submit(request).await }).await
    }

    /// Submits a job and watches it, in one call. A job without an id gets one.
    ///
    /// # Errors
    ///
    /// As [`JobRequest::run_and_watch`](super::JobRequest::run_and_watch).
    pub async fn run(
        self,
        mut job: v1::JobSpec,
        options: WatchOptions,
    ) -> Result<(v1::SubmitResponse, Watch)> {
        set_id(&mut job);
        run::run_and_watch(self.0, &job, options).await
    }

    /// Where a job is now, and how it ended if it has.
    ///
    /// # Errors
    ///
    /// `NotFound` (JOB_NOT_FOUND, RESULT_EXPIRED).
    pub async fn get_result(self, job_id: JobId) -> Result<v1::GetResultResponse> {
        let request = v1::GetResultRequest { job_id: job_id.to_string(), wait: None };
        self.0.call(request, |channel, request| async move { jobs(channel).get_result(request).await }).await
    }

    /// Where a job is once it has ended or `limit` has passed. Waits across lost connections, for `patience`.
    ///
    /// # Errors
    ///
    /// As [`Job::outcome`](super::Job::outcome).
    pub async fn wait_result(self, job_id: JobId, limit: Option<Duration>) -> Result<v1::GetResultResponse> {
        result::wait(self.0, job_id, limit, None).await
    }

    /// The whole job as it is now.
    ///
    /// # Errors
    ///
    /// `NotFound` (JOB_NOT_FOUND, RESULT_EXPIRED).
    pub async fn get_job(self, request: v1::GetJobRequest) -> Result<v1::GetJobResponse> {
        self.0.call(request, |channel, request| async move { jobs(channel).get_job(request).await }).await
    }

    /// One page of the jobs that match, newest first. A short or empty page is not the last one: the last one has no
    /// `next_page_token`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a filter that breaks a rule.
    pub async fn list_jobs(self, request: v1::ListJobsRequest) -> Result<v1::ListJobsResponse> {
        self.0.call(request, |channel, request| async move { jobs(channel).list_jobs(request).await }).await
    }

    /// The jobs of all pages from this one on, newest first. A page has at most `page_size` jobs.
    ///
    /// # Errors
    ///
    /// Each job that is read may be an error, as of [`Rpc::list_jobs`].
    pub fn jobs(self, request: v1::ListJobsRequest) -> Jobs<v1::Job> {
        Jobs::messages(self.0.clone(), request)
    }

    /// Cancels a job.
    ///
    /// # Errors
    ///
    /// As [`Client::cancel`].
    pub async fn cancel(self, request: v1::CancelRequest) -> Result<v1::CancelResponse> {
        self.0.call(request, |channel, request| async move { jobs(channel).cancel(request).await }).await
    }

    /// Submits a finished job once more, as a new job. Without a `new_job_id` it gets one. Its submitter is
    /// the trace context of the client's interceptors, such as the current span of `Spans`.
    ///
    /// # Errors
    ///
    /// As [`Client::retry`].
    pub async fn retry(self, mut request: v1::RetryRequest) -> Result<v1::RetryResponse> {
        if request.new_job_id.is_empty() {
            request.new_job_id = JobId::mint().to_string();
        }
        let trace = self.0.trace_context();
        let send = |channel, mut request: Request<v1::RetryRequest>| {
            // A retry has no field for it.
            for (name, text) in trace.iter().flat_map(TraceContext::headers) {
                // It is printable ASCII.
                if let Ok(value) = text.parse() {
                    request.metadata_mut().insert(name, value);
                }
            }
            async move { jobs(channel).retry(request).await }
        };
        self.0.call(request, send).await
    }
}

fn set_id(job: &mut v1::JobSpec) {
    if job.job_id.is_empty() {
        job.job_id = JobId::mint().to_string();
    }
}
