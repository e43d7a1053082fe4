//! Refused ends of attempts, which a server repeats because the acknowledgement may be lost.

use jobstream::proto::v1;
use tonic::Code;

use super::remote_job;
use crate::support::raw_worker::{RawWorker, complete, hello};
use crate::support::{TestServer, lease_id};

/// Most refused ends that a server repeats.
const REPEATED_MAX: u64 = 100;

/// A Hello that names the ends of leases from 1 to `held`, with the smallest message limit of a worker.
fn holding(held: u64) -> v1::Hello {
    let held_lease_ids = (1..=held).map(|number| lease_id(number.into())).collect();
    v1::Hello { held_lease_ids, message_bytes_max: Some(65_536), ..hello(1, 1) }
}

fn numbers(refusals: &[v1::ReportRefusal]) -> Vec<u64> {
    refusals.iter().map(|refusal| refusal.report_sequence).collect()
}

/// Ends attempts with these numbers, whose leases are not valid. Returns after the server has refused them.
async fn end_lost_leases(worker: &mut RawWorker, ends: std::ops::RangeInclusive<u64>) {
    let last = *ends.end();
    for number in ends {
        worker.report_as(number, &lease_id(number.into()), complete("x")).await;
    }
    worker.acked(last).await.expect("it is refused");
}

#[tokio::test]
async fn refused_ends_are_repeated_until_the_worker_has_read_them() {
    let server = TestServer::start().await;
    let mut worker = RawWorker::open(&server, hello(1, 1)).await;
    let id = server.submit(remote_job("x")).await;
    let valid = worker.assigned(1).await.remove(0).lease_id;
    end_lost_leases(&mut worker, 1..=2).await;
    assert!(worker.report(&valid, complete("y")).await == 3 && worker.acked(3).await.is_none());
    assert_eq!(server.end(&id).await.text(), "y");
    // Each Hello names leases as if their acknowledgements had been lost.
    for held in [2, 1, 0] {
        let mut hello = holding(held);
        hello.held_lease_ids.push(valid.clone());
        let welcome = RawWorker::open(&server, hello).await.welcome;
        assert_eq!((welcome.acked_report_sequence, welcome.unknown_report_sequence), (3, 0));
        assert_eq!(numbers(&welcome.refusals), (1..=held).collect::<Vec<_>>());
        for refusal in welcome.refusals {
            assert_eq!(refusal.lease_id, lease_id(refusal.report_sequence.into()));
            assert_eq!(Code::from(refusal.error.expect("an error").code), Code::FailedPrecondition);
        }
    }
    assert!(
        RawWorker::open(&server, holding(2)).await.welcome.refusals.is_empty(),
        "the worker has read both"
    );
}

#[tokio::test]
async fn repeated_refusals_are_bounded_and_older_ones_unknown() {
    let server = TestServer::start().await;
    let mut worker = RawWorker::open(&server, holding(0)).await;
    let last = REPEATED_MAX + 3;
    end_lost_leases(&mut worker, 1..=last).await;
    let mut worker = RawWorker::open(&server, holding(last)).await;
    assert_eq!(numbers(&worker.welcome.refusals), (4..=last).collect::<Vec<_>>());
    assert_eq!(worker.welcome.unknown_report_sequence, 3);
    end_lost_leases(&mut worker, last + 1..=last + 1).await;
    let welcome = RawWorker::open(&server, holding(last + 1)).await.welcome;
    assert_eq!((welcome.acked_report_sequence, welcome.unknown_report_sequence), (last + 1, 4));
}

#[tokio::test]
async fn the_ends_of_an_unknown_worker_are_unknown_until_it_reports_again() {
    let server = TestServer::start().await;
    for _ in 0..2 {
        let welcome = RawWorker::open(&server, holding(1)).await.welcome;
        assert_eq!((welcome.acked_report_sequence, welcome.unknown_report_sequence), (0, i64::MAX as u64));
    }
    let mut worker = RawWorker::open(&server, holding(1)).await;
    end_lost_leases(&mut worker, 8..=8).await;
    let welcome = RawWorker::open(&server, holding(8)).await.welcome;
    assert_eq!((numbers(&welcome.refusals), welcome.unknown_report_sequence), (vec![8], 7));
}
