//! The methods of JobService.

use tonic::{Request, Response, Status, Streaming};

use super::bounded_list::BoundedList;
use super::call::caller;
use super::events::EventStream;
use super::page_token;
use super::submit_stream::AckStream;
use super::{Api, ConnectionInfo, disposition, respond_by};
use crate::core::Caller;
use crate::engine::{Batch, PageBounds, Submission};
use crate::error::{Error, Result as JobResult};
use crate::job::{JobId, JobView, NewJob};
use crate::proto::parse::{self, PayloadSource};
use crate::proto::status::to_rpc_status;
use crate::proto::v1::job_service_server::JobService;
use crate::proto::v1::submit_result::Result as Submit;
use crate::proto::{render, v1};

/// Most bytes of a page of jobs. Clients read messages of 4 MiB by default.
const PAGE_BYTES_MAX: usize = 3 << 20;

const BATCH_SUBMIT: &str = "jobstream.v1.JobService/BatchSubmit";

#[tonic::async_trait]
impl JobService for Api {
    type SubmitStreamStream = AckStream;
    type RunStream = EventStream<v1::RunResponse>;
    type WatchResultStream = EventStream<v1::WatchResultResponse>;

    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        let caller = caller(request.extensions());
        let v1::SubmitRequest { job, validate_only } = request.into_inner();
        let job = self.parse_job(job).map_err(self.status())?;
        if validate_only {
            return self.validated(caller, &job).await.map(Response::new).map_err(self.status());
        }
        let submission = self.engine.submit_as(caller, job).await.map_err(self.status())?;
        Ok(Response::new(self.submit_response(&submission)))
    }

    async fn batch_submit(
        &self,
        request: Request<v1::BatchSubmitRequest>,
    ) -> Result<Response<v1::BatchSubmitResponse>, Status> {
        let caller = caller(request.extensions());
        let v1::BatchSubmitRequest { jobs, atomic } = request.into_inner();
        parse::batch_size("jobs", jobs.len()).map_err(self.status())?;
        let jobs = self.parse_batch(jobs);
        let results = match atomic {
            true => self.submit_all(caller, jobs).await.map_err(self.status())?,
            false => {
                let batch = Batch { caller, jobs };
                let results = self.engine.submit_each(batch).await.map_err(self.status())?;
                self.submit_results(BATCH_SUBMIT, results)
            }
        };
        Ok(Response::new(v1::BatchSubmitResponse { results }))
    }

    async fn submit_stream(
        &self,
        request: Request<Streaming<v1::SubmitStreamRequest>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        let (caller, closing) = (caller(request.extensions()), closing(&request));
        Ok(Response::new(AckStream::new(self.clone(), caller, request.into_inner(), closing)))
    }

    async fn run(&self, request: Request<v1::RunRequest>) -> Result<Response<Self::RunStream>, Status> {
        let (caller, closing) = (caller(request.extensions()), closing(&request));
        let run = parse::run(request.into_inner(), self.payload_bytes_max).map_err(self.status())?;
        let (submission, watch) =
            self.engine.run_as(caller, run.job, run.types).await.map_err(self.status())?;
        let first = v1::run_response::Message::Submitted(self.submit_response(&submission));
        let first = v1::RunResponse { message: Some(first) };
        let mut stream =
            EventStream::new(watch, run.heartbeat, closing, self.boot_id.clone()).with_first(first);
        if run.cancel_on_disconnect {
            stream = stream.cancelling_on_disconnect(self.engine.clone());
        }
        Ok(Response::new(stream))
    }

    async fn get_result(
        &self,
        request: Request<v1::GetResultRequest>,
    ) -> Result<Response<v1::GetResultResponse>, Status> {
        let parse::GetResult { job_id, wait } =
            parse::get_result(request.get_ref()).map_err(self.status())?;
        let until = (!wait.is_zero()).then(|| respond_by(wait, request.extensions().get()));
        let view = self.engine.result(job_id, until).await.map_err(self.status())?;
        Ok(Response::new(v1::GetResultResponse {
            state: render::state(view.state).into(),
            outcome: view.outcome.as_ref().map(render::outcome),
            wait_reason: render::wait_reason(view.wait_reason).into(),
            sequence: view.sequence,
            expire_time: view.expire_time.map(render::timestamp),
        }))
    }

    async fn watch_result(
        &self,
        request: Request<v1::WatchResultRequest>,
    ) -> Result<Response<Self::WatchResultStream>, Status> {
        let closing = closing(&request);
        let parse::WatchResult { job_id, after_sequence, types, heartbeat } =
            parse::watch_result(request.get_ref()).map_err(self.status())?;
        let watch = self.engine.watch(job_id, after_sequence, types).await.map_err(self.status())?;
        Ok(Response::new(EventStream::new(watch, heartbeat, closing, self.boot_id.clone())))
    }

    async fn get_job(
        &self,
        request: Request<v1::GetJobRequest>,
    ) -> Result<Response<v1::GetJobResponse>, Status> {
        let job_id = JobId::parse("job_id", &request.get_ref().job_id).map_err(self.status())?;
        let view = self.engine.job(job_id).await.map_err(self.status())?;
        Ok(Response::new(v1::GetJobResponse { job: Some(render::bounded_job(&view, true, &self.defaults)) }))
    }

    async fn list_jobs(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        let parse::ListJobs { filter, page_size, page_token, include_payloads } =
            parse::list_jobs(request.into_inner()).map_err(self.status())?;
        let before = page_token::read(&page_token, &filter, &self.boot_id).map_err(self.status())?;
        let bounds = PageBounds { jobs: page_size, bytes: PAGE_BYTES_MAX, with_payloads: include_payloads };
        let page = self.engine.jobs(&filter, before, bounds).await.map_err(self.status())?;
        let mut bounded = BoundedList::default();
        let fits = |job: &&JobView| bounded.push(render::bounded_job(job, include_payloads, &self.defaults));
        let listed = page.jobs.iter().take_while(fits).count();
        let jobs = bounded.elements;
        // The engine estimates the encoded size. The first job that does not fit begins the next page.
        let next = page.jobs[listed..].iter().find_map(|job| self.engine.page_starting_with(job.id));
        let next = next.or(page.next);
        let next_page_token =
            next.map(|next| page_token::write(next, &filter, &self.boot_id)).unwrap_or_default();
        Ok(Response::new(v1::ListJobsResponse { jobs, next_page_token }))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelResponse>, Status> {
        let parse::Cancel { job_id, reason, grace } =
            parse::cancel(request.into_inner()).map_err(self.status())?;
        let (state, sequence) = self.engine.cancel(job_id, &reason, grace).await.map_err(self.status())?;
        Ok(Response::new(v1::CancelResponse { state: render::state(state).into(), sequence }))
    }

    async fn retry(&self, request: Request<v1::RetryRequest>) -> Result<Response<v1::RetryResponse>, Status> {
        let caller = caller(request.extensions());
        let parse::Retry { job_id, new_job_id, payload, kind } =
            parse::retry(request.into_inner(), self.payload_bytes_max).map_err(self.status())?;
        let change = |job: &mut NewJob| {
            job.id = new_job_id;
            job.payload = payload.unwrap_or_else(|| job.payload.clone());
            job.kind = kind.unwrap_or_else(|| job.kind.clone());
        };
        let submission = self.engine.retry_as(caller, job_id, change).await.map_err(self.status())?;
        Ok(Response::new(v1::RetryResponse {
            job_id: submission.id.into(),
            disposition: disposition(&submission).into(),
            state: render::state(submission.state).into(),
            durability: self.durability().into(),
            sequence: submission.sequence,
            wait_reason: render::wait_reason(submission.wait_reason).into(),
        }))
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteRequest>,
    ) -> Result<Response<v1::DeleteResponse>, Status> {
        let job_id = JobId::parse("job_id", &request.get_ref().job_id).map_err(self.status())?;
        self.engine.delete(job_id).await.map_err(self.status())?;
        Ok(Response::new(v1::DeleteResponse {}))
    }
}

impl Api {
    fn parse_job(&self, job: Option<v1::JobSpec>) -> JobResult<NewJob> {
        let spec = parse::required("job", job)?;
        parse::new_job(spec, "job", PayloadSource::Alone, self.payload_bytes_max)
    }

    pub(super) fn parse_batch(&self, jobs: Vec<v1::JobSpec>) -> Vec<JobResult<NewJob>> {
        let parse = |(index, spec)| {
            let path = format_args!("jobs[{index}]");
            parse::new_job(spec, path, PayloadSource::Shared, self.payload_bytes_max)
        };
        jobs.into_iter().enumerate().map(parse).collect()
    }

    /// The results of the jobs of a batch. Refused jobs are logged as refused calls of the method.
    pub(super) fn submit_results(
        &self,
        method: &str,
        results: Vec<JobResult<Submission>>,
    ) -> Vec<v1::SubmitResult> {
        let result = |result: JobResult<_>| match result {
            Ok(submission) => Submit::Submitted(self.submit_response(&submission)),
            Err(error) => {
                let status = self.status()(error);
                self.call_log.log_job(method, &status);
                Submit::Error(to_rpc_status(&status))
            }
        };
        results.into_iter().map(|one| v1::SubmitResult { result: Some(result(one)) }).collect()
    }

    async fn submit_all(
        &self,
        caller: Caller,
        jobs: Vec<JobResult<NewJob>>,
    ) -> JobResult<Vec<v1::SubmitResult>> {
        let jobs = jobs.into_iter().collect::<JobResult<Vec<_>>>()?;
        let submitted = self.engine.submit_all(caller, jobs).await.map_err(|(index, error)| {
            Error::new(error.kind().clone(), format!("jobs[{index}]: {}", error.message()))
        })?;
        Ok(self.submit_results(BATCH_SUBMIT, submitted.into_iter().map(Ok).collect()))
    }

    async fn validated(&self, caller: Caller, job: &NewJob) -> JobResult<v1::SubmitResponse> {
        self.engine.validate_as(caller, job).await?;
        Ok(v1::SubmitResponse {
            job_id: job.id.map(|id| id.to_string()).unwrap_or_default(),
            disposition: v1::Disposition::Validated.into(),
            ..v1::SubmitResponse::default()
        })
    }
}

/// The token that is cancelled when the request's connection is about to be closed.
fn closing<T>(request: &Request<T>) -> Option<tokio_util::sync::CancellationToken> {
    request.extensions().get::<ConnectionInfo>().map(|connection| connection.closing.clone())
}
