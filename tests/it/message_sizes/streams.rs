//! Sizes of messages on the stream of a worker.

use std::time::Duration;

use jobstream::proto::v1;
use uuid::Uuid;

use super::{BYTES_MAX, job_with_max_metadata, submit_all};
use crate::support::raw_worker::{RawWorker, complete, hello};
use crate::support::{TestServer, data, job};

#[tokio::test]
async fn assignments_with_large_labels_and_headers_are_split_over_messages() {
    let server = TestServer::start().await;
    let ids = submit_all(&server, vec![job_with_max_metadata(); 700]).await;
    let mut worker = RawWorker::open(&server, hello(1, 1_000)).await;
    let assigned = worker.assigned(ids.len()).await;
    assert!(worker.largest <= BYTES_MAX, "{} bytes", worker.largest);
    assert!(assigned.iter().map(|one| &one.job_id).eq(&ids), "in order");
    worker.accept(&assigned).await;
    let mut last = 0;
    for assignment in &assigned {
        last = worker.report(&assignment.lease_id, complete("done")).await;
    }
    assert_eq!(worker.acked(last).await, None);
    for id in &ids {
        assert_eq!(server.end(id).await.text(), "done");
    }
}

#[tokio::test]
async fn assignments_of_the_largest_payloads_are_split_over_messages() {
    let server = TestServer::start().await;
    for _ in 0..12 {
        server.submit(v1::JobSpec { payload: Some(data(vec![7; 1 << 20])), ..job_with_max_metadata() }).await;
    }
    let mut worker = RawWorker::open(&server, hello(1, 100)).await;
    worker.assigned(12).await;
    assert!(worker.largest <= BYTES_MAX, "{} bytes", worker.largest);
}

#[tokio::test]
async fn refusals_of_reports_are_split_and_acknowledged_in_order() {
    const REPORTS: u64 = 40_000;
    let server = TestServer::start().await;
    let mut worker = RawWorker::open(&server, hello(1, 1)).await;
    let reports = (1..=REPORTS).map(|report_sequence| v1::AttemptReport {
        lease_id: Uuid::from_u128(u128::from(report_sequence)).simple().to_string(),
        report_sequence,
        news: Some(v1::attempt_report::News::Stopped(v1::AttemptStopped {})),
    });
    worker.send(v1::WorkRequest { reports: reports.collect(), ..v1::WorkRequest::default() }).await;
    let mut next = 1;
    while next <= REPORTS {
        worker.step().await.expect("a client reads it");
        let (acked, refusals) = worker.take_refusals();
        for refusal in refusals {
            assert_eq!(refusal.report_sequence, next, "each once, in order");
            next += 1;
        }
        assert!(acked < next, "{acked} is acknowledged before its refusal was sent");
    }
    assert_eq!(worker.acked(REPORTS).await, None);
    assert!(worker.largest <= BYTES_MAX, "{} bytes", worker.largest);
}

#[tokio::test]
async fn cancels_and_assignments_of_many_jobs_are_split_over_messages() {
    let server = TestServer::start().await;
    let ids = submit_all(&server, vec![job_with_max_metadata(); 600]).await;
    let mut worker = RawWorker::open(&server, hello(1, 1_000)).await;
    let assigned = worker.assigned(ids.len()).await;
    worker.accept(&assigned).await;
    for id in &ids {
        server.cancel(id, Duration::from_secs(20)).await.expect("it runs");
    }
    for _ in &ids {
        worker.cancelled().await;
    }
    assert!(worker.largest <= BYTES_MAX, "{} bytes", worker.largest);
}

#[tokio::test]
async fn a_welcome_with_many_valid_leases_can_be_read() {
    const SLOTS: u32 = 100_000;
    let server = TestServer::with(|setup| setup.engine.core.accept_timeout = Duration::from_secs(60)).await;
    for _ in 0..SLOTS / 1_000 {
        submit_all(&server, vec![job("remote"); 1_000]).await;
    }
    let mut worker = RawWorker::open(&server, hello(1, SLOTS)).await;
    let held_lease_ids: Vec<_> =
        worker.assigned(SLOTS as usize).await.into_iter().map(|assignment| assignment.lease_id).collect();
    let again = v1::Hello { held_lease_ids, ..hello(1, SLOTS) };
    let back = RawWorker::open(&server, again).await;
    assert_eq!(back.welcome.standing_lease_ids.len(), SLOTS as usize);
    assert!(back.largest <= BYTES_MAX, "{} bytes", back.largest);
}
