//! The methods of JobService.

use tonic::{Request, Response, Status, Streaming};

use super::access::Access;
use super::bounded_list::BoundedList;
use super::call::{caller, principal, principal_name};
use super::call_log::LoggedCaller;
use super::call_trace::CallTrace;
use super::early_end::StreamLimits;
use super::events::EventStream;
use super::feed::FeedStream;
use super::page_token;
use super::quota_use::Open;
use super::submit_stream::AckStream;
use super::{Api, disposition, respond_by};
use crate::access::{Action, JobAccess};
use crate::core::{Caller, CancelRequest};
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
    type WatchJobsStream = FeedStream;
    type WatchResultStream = EventStream<v1::WatchResultResponse>;

    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        let ((caller, access), trace) = (callers(&request), CallTrace::of(request.extensions()));
        let v1::SubmitRequest { job, validate_only } = request.into_inner();
        let mut job = self.parse_job(job).map_err(self.status())?;
        trace.add_to(&mut job);
        access.submit(&job).map_err(self.status())?;
        if validate_only {
            return self.validated(caller, &job).await.map(Response::new).map_err(self.status());
        }
        self.count_submits(&caller, 1).map_err(self.status())?;
        let submission = self.engine.submit_as(caller, job).await.map_err(self.status())?;
        Ok(Response::new(self.submit_response(&submission)))
    }

    async fn batch_submit(
        &self,
        request: Request<v1::BatchSubmitRequest>,
    ) -> Result<Response<v1::BatchSubmitResponse>, Status> {
        let logged = LoggedCaller::of(request.extensions());
        let ((caller, access), trace) = (callers(&request), CallTrace::of(request.extensions()));
        let v1::BatchSubmitRequest { jobs, atomic } = request.into_inner();
        parse::batch_size("jobs", jobs.len()).map_err(self.status())?;
        let mut jobs = self.parse_batch(&access, &trace, jobs, false);
        let results = match atomic {
            true => self.submit_all(caller, jobs).await.map_err(self.status())?,
            false => {
                self.count_each(&caller, &mut jobs);
                let batch = Batch { caller, jobs };
                let results = self.engine.submit_each(batch).await.map_err(self.status())?;
                self.submit_results(BATCH_SUBMIT, &logged, results)
            }
        };
        Ok(Response::new(v1::BatchSubmitResponse { results }))
    }

    async fn submit_stream(
        &self,
        request: Request<Streaming<v1::SubmitStreamRequest>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        let logged = LoggedCaller::of(request.extensions());
        let (callers, trace, limits) =
            (callers(&request), CallTrace::of(request.extensions()), self.stream_limits(&request));
        callers.1.some(&[Action::Submit]).map_err(self.status())?;
        let permit = self.open(&callers.0, Open::Stream).map_err(self.status())?;
        let stream = AckStream::new(self.clone(), callers, request.into_inner(), limits).in_trace(trace);
        Ok(Response::new(stream.logged_as(logged).counted_by(permit)))
    }

    async fn run(&self, request: Request<v1::RunRequest>) -> Result<Response<Self::RunStream>, Status> {
        let ((caller, access), limits) = (callers(&request), self.stream_limits(&request));
        let (principal, trace) = (caller.owner().cloned(), CallTrace::of(request.extensions()));
        let mut run = parse::run(request.into_inner(), self.payload_bytes_max).map_err(self.status())?;
        trace.add_to(&mut run.job);
        access.submit(&run.job).and_then(|()| access.follow(&run.job)).map_err(self.status())?;
        let permit = self.open(&caller, Open::Watch).map_err(self.status())?;
        self.count_submits(&caller, 1).map_err(self.status())?;
        let (submission, watch) =
            self.engine.run_as(caller, run.job, run.types).await.map_err(self.status())?;
        let first = v1::run_response::Message::Submitted(self.submit_response(&submission));
        let first = v1::RunResponse { message: Some(first) };
        let mut stream =
            EventStream::new(watch, run.heartbeat, limits, self.boot_id.clone()).with_first(first);
        stream = stream.counted_by(permit);
        if run.cancel_on_disconnect {
            stream = stream.cancelling_on_disconnect(self.engine.clone(), principal);
        }
        Ok(Response::new(stream))
    }

    async fn get_result(
        &self,
        request: Request<v1::GetResultRequest>,
    ) -> Result<Response<v1::GetResultResponse>, Status> {
        let parse::GetResult { job_id, wait } =
            parse::get_result(request.get_ref()).map_err(self.status())?;
        self.may_read(&Access::of(request.extensions()), job_id).await?;
        let until = (!wait.is_zero()).then(|| respond_by(wait, request.extensions().get()));
        let waits = until.map(|_| self.open(&caller(request.extensions()), Open::Watch));
        let _permit = waits.transpose().map_err(self.status())?;
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
        let limits = self.stream_limits(&request);
        let parse::WatchResult { job_id, after_sequence, types, heartbeat } =
            parse::watch_result(request.get_ref()).map_err(self.status())?;
        self.may_read(&Access::of(request.extensions()), job_id).await?;
        let permit = self.open(&caller(request.extensions()), Open::Watch).map_err(self.status())?;
        let watch = self.engine.watch(job_id, after_sequence, types).await.map_err(self.status())?;
        let stream = EventStream::new(watch, heartbeat, limits, self.boot_id.clone());
        Ok(Response::new(stream.counted_by(permit)))
    }

    async fn watch_jobs(
        &self,
        request: Request<v1::WatchJobsRequest>,
    ) -> Result<Response<Self::WatchJobsStream>, Status> {
        let (caller, access) = callers(&request);
        access.some(&[Action::List]).map_err(self.status())?;
        let limits = self.stream_limits(&request);
        let parse::WatchJobs { filter, after, heartbeat } =
            parse::watch_jobs(request.into_inner()).map_err(self.status())?;
        let permit = self.open(&caller, Open::Watch).map_err(self.status())?;
        let subscription = self.engine.watch_jobs_for(access.shared_principal(), filter, after);
        let subscription = subscription.map_err(self.status())?;
        Ok(Response::new(FeedStream::new(subscription, heartbeat, limits, self.boot_id.clone(), permit)))
    }

    async fn get_job(
        &self,
        request: Request<v1::GetJobRequest>,
    ) -> Result<Response<v1::GetJobResponse>, Status> {
        let job_id = JobId::parse("job_id", &request.get_ref().job_id).map_err(self.status())?;
        self.may_read(&Access::of(request.extensions()), job_id).await?;
        let view = self.engine.job(job_id).await.map_err(self.status())?;
        Ok(Response::new(v1::GetJobResponse { job: Some(render::bounded_job(&view, true, &self.defaults)) }))
    }

    async fn list_jobs(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        let access = Access::of(request.extensions());
        access.some(&[Action::List]).map_err(self.status())?;
        let (_, extensions, request) = request.into_parts();
        let parse::ListJobs { filter, page_size, page_token, include_payloads } =
            parse::list_jobs(request).map_err(self.status())?;
        let before = page_token::read(&page_token, &filter, &self.boot_id).map_err(self.status())?;
        let bounds = PageBounds { jobs: page_size, bytes: PAGE_BYTES_MAX, with_payloads: include_payloads };
        let page = self.engine.jobs_for(principal(&extensions), &filter, before, bounds).await;
        let page = page.map_err(self.status())?;
        let mut bounded = BoundedList::default();
        let fits = |job: &&JobView| {
            let with_payloads = include_payloads && access.may_read(job_access(job));
            bounded.push(render::bounded_job(job, with_payloads, &self.defaults))
        };
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
        let (_, extensions, request) = request.into_parts();
        let parse::Cancel { job_id, reason, grace } = parse::cancel(request).map_err(self.status())?;
        self.may_control(&Access::of(&extensions), job_id).await?;
        let request = CancelRequest { reason: &reason, grace, principal: principal_name(&extensions) };
        let (state, sequence) = self.engine.cancel_as(job_id, request).await.map_err(self.status())?;
        self.audit(&extensions, "Cancel", &job_id.to_string());
        Ok(Response::new(v1::CancelResponse { state: render::state(state).into(), sequence }))
    }

    async fn retry(&self, request: Request<v1::RetryRequest>) -> Result<Response<v1::RetryResponse>, Status> {
        let ((caller, access), trace) = (callers(&request), CallTrace::of(request.extensions()));
        let (_, extensions, request) = request.into_parts();
        let parse::Retry { job_id, new_job_id, payload, kind } =
            parse::retry(request, self.payload_bytes_max).map_err(self.status())?;
        self.may_retry(&access, job_id, kind.as_ref()).await?;
        let change = |job: &mut NewJob| {
            job.id = new_job_id;
            job.payload = payload.unwrap_or_else(|| job.payload.clone());
            job.kind = kind.unwrap_or_else(|| job.kind.clone());
            job.set_trace(trace.for_job(None));
        };
        self.count_submits(&caller, 1).map_err(self.status())?;
        let submission = self.engine.retry_as(caller, job_id, change).await.map_err(self.status())?;
        self.audit(&extensions, "Retry", &job_id.to_string());
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
        self.may_control(&Access::of(request.extensions()), job_id).await?;
        self.engine.delete(job_id).await.map_err(self.status())?;
        self.audit(request.extensions(), "Delete", &job_id.to_string());
        Ok(Response::new(v1::DeleteResponse {}))
    }
}

impl Api {
    fn parse_job(&self, job: Option<v1::JobSpec>) -> JobResult<NewJob> {
        let spec = parse::required("job", job)?;
        parse::new_job(spec, "job", PayloadSource::Alone, self.payload_bytes_max)
    }

    /// The jobs of a batch that the caller may submit, and follow if it wants their outcomes.
    pub(super) fn parse_batch(
        &self,
        access: &Access,
        trace: &CallTrace,
        jobs: Vec<v1::JobSpec>,
        with_outcomes: bool,
    ) -> Vec<JobResult<NewJob>> {
        let parse = |(index, spec)| {
            let path = format_args!("jobs[{index}]");
            let mut job = parse::new_job(spec, path, PayloadSource::Shared, self.payload_bytes_max)?;
            trace.add_to(&mut job);
            access.submit(&job)?;
            if with_outcomes {
                access.follow(&job)?;
            }
            Ok(job)
        };
        jobs.into_iter().enumerate().map(parse).collect()
    }

    /// The results of the jobs of a batch. Refused jobs are logged as refused calls of the method.
    pub(super) fn submit_results(
        &self,
        method: &str,
        caller: &LoggedCaller,
        results: Vec<JobResult<Submission>>,
    ) -> Vec<v1::SubmitResult> {
        let result = |result: JobResult<_>| match result {
            Ok(submission) => Submit::Submitted(self.submit_response(&submission)),
            Err(error) => {
                let status = self.status()(error);
                self.call_log.log(method, caller, &status);
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
        self.count_submits(&caller, jobs.len())?;
        let submitted = self.engine.submit_all(caller, jobs).await.map_err(|(index, error)| {
            Error::new(error.kind().clone(), format!("jobs[{index}]: {}", error.message()))
        })?;
        Ok(self.submit_results(
            BATCH_SUBMIT,
            &LoggedCaller::default(),
            submitted.into_iter().map(Ok).collect(),
        ))
    }

    fn stream_limits<T>(&self, request: &Request<T>) -> StreamLimits {
        StreamLimits::of(request.extensions(), self.engine.now().wall)
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

/// The caller of a request, for the engine and for access decisions.
fn callers<T>(request: &Request<T>) -> (Caller, Access) {
    (caller(request.extensions()), Access::of(request.extensions()))
}

/// The job of an access decision.
fn job_access(job: &JobView) -> JobAccess<'_> {
    let (queue, kind) = (job.spec.queue.as_str(), job.spec.kind.as_str());
    JobAccess { id: job.id, queue, kind, owner: job.owner.as_deref() }
}
