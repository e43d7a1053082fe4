//! Tests of calls by several principals, without the server's verification of credentials.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio_stream::StreamExt;
use tonic::service::Routes;
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt;

use super::{Api, ConnectionLimits, services};
use crate::access::{Grants, Method, Principal, Quota};
use crate::clock::Clock;
use crate::engine::{Engine, EngineOptions};
use crate::job::{JobId, JobState};
use crate::proto::v1;
use crate::proto::v1::admin_service_client::AdminServiceClient;
use crate::proto::v1::job_service_client::JobServiceClient;
use crate::proto::v1::worker_service_client::WorkerServiceClient;

const ID: &str = "0198b2a0-0000-7000-8000-000000000001";

/// A request of the principal with this name.
fn by<T>(name: &str, grant: &str, message: T) -> Request<T> {
    let grants = Grants::parse([grant]).unwrap();
    let mut request = Request::new(message);
    request.extensions_mut().insert(Arc::new(Principal::new(name, Method::Token, grants, None).unwrap()));
    request
}

fn submit(id: &str) -> v1::SubmitRequest {
    let job = v1::JobSpec { job_id: id.to_owned(), kind: "k".to_owned(), ..v1::JobSpec::default() };
    v1::SubmitRequest { job: Some(job), validate_only: false }
}

#[tokio::test]
async fn a_job_belongs_to_the_principal_that_submitted_it() {
    let engine = Engine::start(EngineOptions::default());
    let (jobs, _) = services(&Api::new(engine.clone(), 4 << 20, ConnectionLimits::default()));
    let mut client = JobServiceClient::new(jobs);
    client.submit(by("billing", "all", submit(ID))).await.unwrap();
    client.submit(by("billing", "all", submit(ID))).await.unwrap();
    for validate_only in [true, false] {
        let again = v1::SubmitRequest { validate_only, ..submit(ID) };
        let error = client.submit(by("mail", "all", again)).await.unwrap_err();
        assert_eq!(error.code(), Code::AlreadyExists, "{error}");
    }
    let anonymous = client.submit(submit("")).await.unwrap().into_inner().job_id;
    let owner = async |client: &mut JobServiceClient<_>, id: &str| {
        let request = v1::GetJobRequest { job_id: id.to_owned() };
        client.get_job(request).await.unwrap().into_inner().job.unwrap().owner
    };
    assert_eq!(owner(&mut client, ID).await, "billing");
    assert_eq!(owner(&mut client, &anonymous).await, "");
    let access = engine.job_access(JobId::parse("id", ID).unwrap()).await.unwrap();
    assert_eq!((&*access.queue, &*access.kind, access.owner.as_deref()), ("default", "k", Some("billing")));
    for (grant, count) in [("list own", 1), ("list", 2), ("list queue=other", 0)] {
        let page = client.list_jobs(by("billing", grant, v1::ListJobsRequest::default())).await.unwrap();
        assert_eq!(page.into_inner().jobs.len(), count, "{grant}");
    }
}

#[tokio::test]
async fn a_report_with_the_lease_of_another_principal_is_refused() {
    let engine = Engine::start(EngineOptions::default());
    let (jobs, others) = services(&Api::new(engine.clone(), 4 << 20, ConnectionLimits::default()));
    JobServiceClient::new(jobs).submit(submit(ID)).await.unwrap();
    let mut workers = WorkerServiceClient::new(others);
    let (name, kinds) = ("w".to_owned(), vec!["k".to_owned()]);
    let lease = v1::LeaseRequest { name, kinds, max_jobs: 1, ..v1::LeaseRequest::default() };
    let leased = workers.lease(by("billing", "all", lease)).await.unwrap().into_inner();
    let lease_id = leased.assignments[0].lease_id.clone();
    let succeeded = v1::AttemptReport {
        lease_id: lease_id.clone(),
        news: Some(v1::attempt_report::News::Complete(v1::AttemptComplete::default())),
        ..v1::AttemptReport::default()
    };
    let report = v1::ReportRequest { reports: vec![succeeded], ..v1::ReportRequest::default() };
    let renewal = v1::ReportRequest { lease_ids: vec![lease_id], ..v1::ReportRequest::default() };
    for request in [by("mail", "all", report.clone()), Request::new(report.clone())] {
        let response = workers.report(request).await.unwrap().into_inner();
        assert_eq!(response.results[0].code, Code::FailedPrecondition as i32, "{response:?}");
        assert!(response.cancels[0].revoked, "{response:?}");
    }
    let renewed = workers.report(by("mail", "all", renewal)).await.unwrap().into_inner();
    assert!(renewed.cancels[0].revoked, "{renewed:?}");
    let response = workers.report(by("billing", "all", report)).await.unwrap().into_inner();
    assert_eq!((response.results[0].code, response.cancels.len()), (0, 0), "{response:?}");
    let id = JobId::parse("id", ID).unwrap();
    assert_eq!(engine.job(id).await.unwrap().state, JobState::Succeeded);
}

#[tokio::test]
async fn a_cancellation_names_its_principal() {
    let engine = Engine::start(EngineOptions::default());
    let (jobs, _) = services(&Api::new(engine.clone(), 4 << 20, ConnectionLimits::default()));
    let mut client = JobServiceClient::new(jobs);
    for principal in ["ops", ""] {
        let id = client.submit(submit("")).await.unwrap().into_inner().job_id;
        let cancel = v1::CancelRequest { job_id: id.clone(), ..v1::CancelRequest::default() };
        let cancel = if principal.is_empty() { Request::new(cancel) } else { by(principal, "all", cancel) };
        client.cancel(cancel).await.unwrap();
        let job = client.get_job(v1::GetJobRequest { job_id: id }).await.unwrap().into_inner().job.unwrap();
        let Some(v1::outcome::End::Cancellation(end)) = job.outcome.unwrap().end else {
            panic!("not cancelled")
        };
        assert_eq!(end.principal, principal);
    }
}

/// The stream of a worker with this name that serves this queue.
async fn worker(
    workers: &mut WorkerServiceClient<Routes>,
    name: &str,
    queue: &str,
) -> Streaming<v1::WorkResponse> {
    let hello = v1::Hello {
        protocol_version: 1,
        name: name.to_owned(),
        instance_id: JobId::mint().to_string(),
        kinds: vec!["k".to_owned()],
        queues: vec![queue.to_owned()],
        slots: 1,
        ..v1::Hello::default()
    };
    let first = v1::WorkRequest { hello: Some(hello), ..v1::WorkRequest::default() };
    let requests = tokio_stream::iter([first]).chain(tokio_stream::pending());
    workers.work(requests).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_worker_that_a_caller_may_not_administer_does_not_exist_for_it() {
    let engine = Engine::start(EngineOptions::default());
    let (_, others) = services(&Api::new(engine, 4 << 20, ConnectionLimits::default()));
    let mut workers = WorkerServiceClient::new(others.clone());
    let mut admin = AdminServiceClient::new(others);
    let mut streams = Vec::new();
    for (name, queue) in [("a", "mail"), ("a", "bills"), ("b", "bills"), ("a", "mail")] {
        streams.push(worker(&mut workers, name, queue).await);
    }
    let drain = |worker: &str| v1::DrainWorkerRequest { worker: worker.to_owned(), within: None };
    let error = admin.drain_worker(by("ops", "admin queue=mail", drain("b"))).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound, "{error}");
    let drained = admin.drain_worker(by("ops", "admin queue=mail", drain("a"))).await.unwrap().into_inner();
    let queues: Vec<_> = drained.workers.into_iter().flat_map(|worker| worker.queues).collect();
    assert_eq!(queues, ["mail", "mail"], "only those that it may administer");
    let mut pages = Vec::new();
    let mut request = v1::ListWorkersRequest { page_size: 1, ..v1::ListWorkersRequest::default() };
    loop {
        let page = admin.list_workers(by("ops", "admin queue=mail", request.clone())).await.unwrap();
        let page = page.into_inner();
        pages.push(page.workers.len());
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, [1, 1]);
    let all = admin.list_workers(v1::ListWorkersRequest::default()).await.unwrap().into_inner().workers;
    let draining = all.iter().filter(|worker| worker.state() == v1::WorkerState::Draining).count();
    assert_eq!((all.len(), draining), (4, 2));
}

/// A request of `billing` with this quota.
fn limited<T>(change: impl FnOnce(&mut Quota), message: T) -> Request<T> {
    let mut quota = Quota::default();
    change(&mut quota);
    let principal = Principal::new("billing", Method::Token, Grants::all(), None).unwrap().with_quota(quota);
    let mut request = Request::new(message);
    request.extensions_mut().insert(Arc::new(principal));
    request
}

/// At most three submits at once, and one more in an hour.
fn three_submits(quota: &mut Quota) {
    (quota.submits_per_second, quota.burst) = (NonZeroU32::new(1), NonZeroU32::new(3));
}

#[track_caller]
fn assert_over_quota(status: &Status) {
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "QUOTA", "{status}");
    assert_eq!(details.quota_failure().unwrap().violations[0].subject, "principal:billing");
    assert!(details.retry_info().unwrap().retry_delay.unwrap() <= Duration::from_secs(3), "{details:?}");
}

#[tokio::test]
async fn every_job_of_a_batch_or_a_stream_counts_as_a_submit() {
    let spec = || submit("").job.unwrap();
    let code = |result: v1::SubmitResult| match result.result.unwrap() {
        v1::submit_result::Result::Submitted(_) => Code::Ok as i32,
        v1::submit_result::Result::Error(error) => error.code,
    };
    let partly = [Code::Ok as i32, Code::Ok as i32, Code::Ok as i32, Code::ResourceExhausted as i32];
    let fresh = || {
        let engine = Engine::new(EngineOptions::default(), Clock::manual());
        JobServiceClient::new(services(&Api::new(engine, 4 << 20, ConnectionLimits::default())).0)
    };
    let batch = |count, atomic| v1::BatchSubmitRequest { jobs: vec![spec(); count], atomic };
    let mut client = fresh();
    assert_over_quota(&client.batch_submit(limited(three_submits, batch(4, true))).await.unwrap_err());
    client.batch_submit(limited(three_submits, batch(3, true))).await.unwrap();
    assert_over_quota(&client.submit(limited(three_submits, submit(""))).await.unwrap_err());
    let results = fresh().batch_submit(limited(three_submits, batch(4, false))).await.unwrap().into_inner();
    assert_eq!(results.results.into_iter().map(code).collect::<Vec<_>>(), partly);
    let streamed = v1::SubmitStreamRequest { batch: 1, jobs: vec![spec(); 4], outcomes: false };
    let input = tokio_stream::iter([streamed]);
    let mut acks = fresh().submit_stream(limited(three_submits, input)).await.unwrap().into_inner();
    let mut codes = Vec::new();
    while let Some(response) = acks.message().await.unwrap() {
        codes.extend(response.acks.into_iter().flat_map(|ack| ack.results).map(code));
    }
    assert_eq!(codes, partly);
}

#[tokio::test]
async fn runs_watches_and_streams_count_until_they_end() {
    let engine = Engine::start(EngineOptions::default());
    let (jobs, others) = services(&Api::new(engine, 4 << 20, ConnectionLimits::default()));
    let (mut client, mut workers) = (JobServiceClient::new(jobs), WorkerServiceClient::new(others));
    let one = |quota: &mut Quota| (quota.watches, quota.streams) = (Some(1), Some(1));
    let run = v1::RunRequest { job: submit(ID).job, ..v1::RunRequest::default() };
    let running = client.run(limited(one, run.clone())).await.unwrap();
    let watch = || v1::WatchResultRequest { job_id: ID.to_owned(), ..v1::WatchResultRequest::default() };
    assert_over_quota(&client.run(limited(one, run)).await.err().unwrap());
    assert_over_quota(&client.watch_result(limited(one, watch())).await.err().unwrap());
    let wait = |seconds| v1::GetResultRequest {
        job_id: ID.to_owned(),
        wait: Some(prost_types::Duration { seconds, nanos: 0 }),
    };
    assert_over_quota(&client.get_result(limited(one, wait(1))).await.unwrap_err());
    client.get_result(limited(one, wait(0))).await.unwrap();
    drop(running);
    client.watch_result(limited(one, watch())).await.unwrap();
    let stream = client.submit_stream(limited(one, tokio_stream::pending())).await.unwrap();
    let input = tokio_stream::pending::<v1::WorkRequest>();
    assert_over_quota(&workers.work(limited(one, input)).await.err().unwrap());
    drop(stream);
    client.submit_stream(limited(one, tokio_stream::pending())).await.unwrap();
}
