//! Sizes of responses to unary workers.

use std::collections::BTreeSet;

use jobstream::proto::v1;
use jobstream::proto::v1::worker_service_client::WorkerServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use super::{assert_fits, invalid_job, job_with_max_metadata, submit_all};
use crate::support::raw_worker::complete;
use crate::support::{TestServer, data, job, text, wait_for};

fn workers(server: &TestServer) -> WorkerServiceClient<Channel> {
    WorkerServiceClient::new(server.channel())
}

async fn lease(server: &TestServer, max_jobs: u32) -> v1::LeaseResponse {
    let kinds = vec!["remote".to_owned()];
    let request = v1::LeaseRequest { name: "caller".into(), kinds, max_jobs, ..v1::LeaseRequest::default() };
    let answer = wait_for("Lease answers", workers(server).lease(request)).await;
    answer.expect("a client reads it").into_inner()
}

async fn report(server: &TestServer, reports: Vec<v1::AttemptReport>) -> v1::ReportResponse {
    let request = v1::ReportRequest { reports, lease_ids: Vec::new() };
    let answer = wait_for("Report answers", workers(server).report(request)).await;
    answer.expect("a client reads it").into_inner()
}

fn ended(assignment: &v1::Assignment) -> v1::AttemptReport {
    v1::AttemptReport {
        lease_id: assignment.lease_id.clone(),
        report_sequence: 0,
        news: Some(complete("done")),
    }
}

/// Leases and ends jobs until none is left. Returns the jobs and the number of calls.
async fn lease_all(server: &TestServer) -> (BTreeSet<String>, usize) {
    let mut ids = BTreeSet::new();
    for calls in 0.. {
        let answer = lease(server, 1_000).await;
        if answer.assignments.is_empty() {
            return (ids, calls);
        }
        if answer.assignments.len() > 1 {
            assert_fits(&answer);
        }
        report(server, answer.assignments.iter().map(ended).collect()).await;
        ids.extend(answer.assignments.into_iter().map(|one| one.job_id));
    }
    unreachable!("a lease answers nothing in the end")
}

#[tokio::test]
async fn a_lease_returns_only_jobs_that_fit_its_response() {
    let server = TestServer::start().await;
    let large = || v1::JobSpec { payload: Some(data(vec![7; 1 << 20])), ..job("remote") };
    let mut ids = BTreeSet::new();
    for _ in 0..20 {
        ids.insert(server.submit(large()).await);
    }
    let first = lease(&server, 100).await;
    assert_fits(&first);
    assert_eq!(first.assignments.len(), 3, "as many as fit");
    let running = ids.iter().map(|id| server.peek(id));
    let mut states = Vec::new();
    for peek in running {
        states.push(peek.await.state());
    }
    let is_running = |state: &&v1::JobState| **state == v1::JobState::Running;
    assert_eq!(states.iter().filter(is_running).count(), 3, "only sent jobs are leased");
    report(&server, first.assignments.iter().map(ended).collect()).await;
    let (rest, calls) = lease_all(&server).await;
    assert_eq!((rest.len(), calls), (17, 6));
    for id in &ids {
        assert_eq!(server.end(id).await.text(), "done");
    }
}

#[tokio::test]
async fn a_lease_counts_labels_and_headers() {
    let server = TestServer::start().await;
    let ids = submit_all(&server, vec![job_with_max_metadata(); 900]).await;
    let (leased, calls) = lease_all(&server).await;
    assert_eq!(leased, ids.into_iter().collect());
    assert!((3..=4).contains(&calls), "{calls} calls");
}

#[tokio::test]
async fn a_job_above_the_batch_limit_is_leased_alone() {
    let server = TestServer::with(|setup| {
        setup.engine.core.payload_bytes_max = 5 << 20;
        setup.server.message_bytes_max = 6 << 20;
    })
    .await;
    let of_size = |bytes: usize| v1::JobSpec { payload: Some(data(vec![7; bytes])), ..job("remote") };
    for bytes in [10, (4 << 20) - (32 << 10), 10] {
        server.submit(of_size(bytes)).await;
    }
    for alone in 1..=3 {
        assert_eq!(lease(&server, 10).await.assignments.len(), 1, "call {alone}");
    }
}

#[tokio::test]
async fn refusals_of_many_reports_fit_the_response() {
    let server = TestServer::start().await;
    let ids = submit_all(&server, vec![job("remote"); 1_000]).await;
    let mut leased = Vec::new();
    while leased.len() < ids.len() {
        leased.extend(lease(&server, 1_000).await.assignments);
    }
    // Each chunk of output is rejected with its field and a description of maximal length.
    let content_type = "\u{7f}".repeat(128);
    let payload = v1::Payload { content_type, ..text("x") };
    let output = v1::Output { payload: Some(payload), channel: "c".repeat(64) };
    let refused = leased.iter().map(|assignment| v1::AttemptReport {
        lease_id: assignment.lease_id.clone(),
        report_sequence: 0,
        news: Some(v1::attempt_report::News::Output(output.clone())),
    });
    let answer = report(&server, refused.collect()).await;
    assert_fits(&answer);
    let is_refused = |status: &tonic_types::Status| status.code == Code::InvalidArgument as i32;
    assert_eq!(answer.results.iter().filter(|status| is_refused(status)).count(), 1_000);
}

#[tokio::test]
async fn refusals_of_the_largest_batch_fit_the_response() {
    let server = TestServer::start().await;
    let jobs = vec![invalid_job(); 300];
    let request = v1::BatchSubmitRequest { jobs: jobs.clone(), atomic: false };
    let answer = wait_for("BatchSubmit answers", server.jobs().batch_submit(request)).await;
    let answer = answer.expect("a client reads it").into_inner();
    // A request with a thousand such jobs exceeds the request limit. The bytes of one refusal are multiplied instead.
    let refusal = prost::Message::encoded_len(&answer) / jobs.len();
    assert!(refusal * 1_000 <= super::BYTES_MAX, "{refusal} bytes a refusal");
}
