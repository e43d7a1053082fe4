//! Unary workers: Lease and Report.

use std::time::{Duration, Instant};

use jobstream::proto::v1;
use jobstream::proto::v1::JobState;
use jobstream::proto::v1::attempt_report::News;
use jobstream::proto::v1::worker_service_client::WorkerServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use super::{remote_job, server_with_short_timeouts, workers};
use crate::support::raw_worker::{complete, span};
use crate::support::{TestServer, refused, until, wait_for};

struct Unary(WorkerServiceClient<Channel>);

impl Unary {
    fn of(server: &TestServer) -> Self {
        Self(WorkerServiceClient::new(server.channel()))
    }

    async fn lease(&mut self, max_jobs: u32, wait: Duration) -> Vec<v1::Assignment> {
        let kinds = vec!["remote".to_owned()];
        let wait = span(wait);
        let request = v1::LeaseRequest {
            name: "caller".to_owned(),
            kinds,
            max_jobs,
            wait,
            ..v1::LeaseRequest::default()
        };
        wait_for("Lease answers", self.0.lease(request)).await.expect("an answer").into_inner().assignments
    }

    async fn report(&mut self, reports: Vec<(&str, News)>, alive: &[&str]) -> v1::ReportResponse {
        let reports = reports.into_iter().map(|(lease_id, news)| v1::AttemptReport {
            lease_id: lease_id.to_owned(),
            report_sequence: 0,
            news: Some(news),
        });
        let lease_ids = alive.iter().map(|lease| (*lease).to_owned()).collect();
        let request = v1::ReportRequest { reports: reports.collect(), lease_ids };
        wait_for("Report answers", self.0.report(request)).await.expect("an answer").into_inner()
    }
}

#[tokio::test]
async fn jobs_are_leased_and_ended_by_calls() {
    let server = TestServer::start().await;
    let mut unary = Unary::of(&server);
    assert_eq!(unary.lease(1, Duration::ZERO).await, [], "an empty response is valid");
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(server.submit(remote_job(&number.to_string())).await);
    }
    let taken = unary.lease(2, Duration::ZERO).await;
    assert_eq!(taken.iter().map(|one| &one.job_id).collect::<Vec<_>>(), ids[..2].iter().collect::<Vec<_>>());
    assert_eq!(server.peek(&ids[0]).await.state(), JobState::Running, "it runs after the response");
    assert_eq!(server.peek(&ids[2]).await.state(), JobState::Queued);
    let fail = v1::AttemptFail {
        failure: Some(v1::Failure { message: "no".to_owned(), ..v1::Failure::default() }),
        retry_after: None,
    };
    let [one, two] = [taken[0].lease_id.as_str(), taken[1].lease_id.as_str()];
    let answer = unary
        .report(vec![(one, complete("1")), (two, News::Fail(fail)), (one, complete("again"))], &[])
        .await;
    let codes: Vec<_> = answer.results.iter().map(|result| Code::from(result.code)).collect();
    assert_eq!(codes, [Code::Ok, Code::Ok, Code::FailedPrecondition]);
    assert_eq!(server.end(&ids[0]).await.text(), "1");
    assert_eq!(server.end(&ids[1]).await.failure().message, "no");
    assert_eq!(workers(&server).await, [], "a worker without leases is removed");
}

#[tokio::test]
async fn units_done_in_a_report_give_the_fraction() {
    let server = TestServer::start().await;
    let mut unary = Unary::of(&server);
    let id = server.submit(remote_job("input")).await;
    let lease = unary.lease(1, Duration::ZERO).await.remove(0).lease_id;
    let progress = v1::Progress { done: Some(1.0), total: Some(4.0), ..v1::Progress::default() };
    unary.report(vec![(&lease, News::Progress(progress))], &[]).await;
    assert_eq!(server.get(&id).await.progress.expect("a progress").fraction, Some(0.25));
}

#[tokio::test]
async fn a_lease_waits_for_the_first_job() {
    let server = TestServer::start().await;
    let mut unary = Unary::of(&server);
    let waiting = tokio::spawn(async move { unary.lease(5, Duration::from_secs(20)).await });
    until("it waits", async || workers(&server).await.len() == 1).await;
    let id = server.submit(remote_job("x")).await;
    let taken = wait_for("the lease", waiting).await.unwrap();
    assert_eq!(taken[0].job_id, id);
}

#[tokio::test]
async fn an_abandoned_lease_call_takes_no_jobs() {
    let server = TestServer::start().await;
    let mut unary = Unary::of(&server);
    let waiting = tokio::spawn(async move { unary.lease(5, Duration::from_secs(20)).await });
    until("it waits", async || workers(&server).await.len() == 1).await;
    waiting.abort();
    until("it is gone", async || workers(&server).await.is_empty()).await;
    let id = server.submit(remote_job("x")).await;
    assert_eq!(server.peek(&id).await.wait_reason(), v1::WaitReason::NoWorker);
    let begin = Instant::now();
    let mut unary = Unary::of(&server);
    unary.0.lease(v1::LeaseRequest::default()).await.unwrap_err();
    let mut request = tonic::Request::new(v1::LeaseRequest {
        name: "caller".to_owned(),
        kinds: vec!["other".to_owned()],
        wait: span(Duration::from_secs(20)),
        ..v1::LeaseRequest::default()
    });
    request.set_timeout(Duration::from_secs(1));
    assert_eq!(unary.0.lease(request).await.expect("a response in time").into_inner().assignments, []);
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_lease_is_renewed_by_reports_and_expires_without() {
    let server = server_with_short_timeouts().await;
    let mut unary = Unary::of(&server);
    let id = server.submit(remote_job("x")).await;
    let lease = unary.lease(1, Duration::ZERO).await.remove(0).lease_id;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(1500) {
        assert_eq!(unary.report(vec![], &[&lease]).await.cancels, []);
        assert_eq!(server.peek(&id).await.state(), JobState::Running, "after {:?}", begin.elapsed());
    }
    until("it is lost", async || server.peek(&id).await.state() == JobState::Queued).await;
    let answer = unary.report(vec![(&lease, complete("late"))], &[]).await;
    assert_eq!(Code::from(answer.results[0].code), Code::FailedPrecondition);
    assert!(answer.cancels[0].revoked);
    assert_eq!(unary.lease(1, Duration::ZERO).await[0].attempt, 2);
}

#[tokio::test]
async fn a_cancel_is_in_the_response_of_the_next_report() {
    let server = TestServer::start().await;
    let mut unary = Unary::of(&server);
    let id = server.submit(remote_job("x")).await;
    let lease = unary.lease(1, Duration::ZERO).await.remove(0).lease_id;
    server.cancel(&id, Duration::from_secs(9)).await.unwrap();
    let answer = unary.report(vec![], &[&lease]).await;
    assert_eq!((answer.cancels[0].lease_id.as_str(), answer.cancels[0].revoked), (lease.as_str(), false));
    unary.report(vec![(&lease, News::Stopped(v1::AttemptStopped {}))], &[]).await;
    assert!(!server.end(&id).await.cancellation().forced);
}

#[tokio::test]
async fn invalid_fields_are_rejected_by_name() {
    let server = TestServer::start().await;
    let mut unary = Unary::of(&server);
    let request =
        v1::LeaseRequest { max_jobs: 1_001, kinds: vec!["a b".to_owned()], ..v1::LeaseRequest::default() };
    refused(&unary.0.lease(request).await.unwrap_err(), Code::InvalidArgument, "INVALID_FIELD");
    let request = v1::ReportRequest { lease_ids: vec!["0".repeat(31)], ..v1::ReportRequest::default() };
    let details =
        refused(&unary.0.report(request).await.unwrap_err(), Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "lease_ids[0]");
}
