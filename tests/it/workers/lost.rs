//! Disconnected, silent and reconnected workers: no job is lost, repeated without need, or ended by a stale lease.

use std::time::{Duration, Instant};

use jobstream::proto::v1::JobState;
use jobstream::proto::v1::WorkerState;
use tonic::Code;

use super::{remote_job, server_with_short_timeouts, workers};
use crate::support::raw_worker::{RawWorker, complete, hello};
use crate::support::{TestServer, refused, until};

/// A margin for a busy machine.
const SLACK: Duration = Duration::from_secs(1);

#[tokio::test]
async fn an_unaccepted_offer_is_reassigned_and_not_counted() {
    let server = server_with_short_timeouts().await;
    let mut unresponsive = RawWorker::open(&server, hello(1, 1)).await;
    let id = server.submit(remote_job("x")).await;
    let stale = unresponsive.assigned(1).await.remove(0);
    let begin = Instant::now();
    let mut other = RawWorker::open(&server, hello(2, 1)).await;
    let again = other.assigned(1).await.remove(0);
    assert!(begin.elapsed() < Duration::from_millis(300) + SLACK);
    assert_eq!(
        (again.job_id.as_str(), again.attempt),
        (id.as_str(), 2),
        "the unresponsive worker may run the first attempt"
    );
    assert!(unresponsive.cancelled().await.revoked);
    let number = unresponsive.report(&stale.lease_id, complete("stale")).await;
    assert!(unresponsive.acked(number).await.is_some());
    other.report(&again.lease_id, complete("fresh")).await;
    assert_eq!(server.end(&id).await.text(), "fresh", "the offer is not counted");
}

#[tokio::test]
async fn a_lost_worker_loses_its_attempts_within_a_second() {
    let server = TestServer::start().await;
    let mut worker =
        RawWorker::try_open(crate::support::connect(server.address).await, hello(1, 1)).await.unwrap();
    let id = server.submit(remote_job("x")).await;
    let held = worker.assigned(1).await;
    worker.accept(&held).await;
    until("it runs", async || server.peek(&id).await.state() == JobState::Running).await;
    let mut other = RawWorker::open(&server, hello(2, 1)).await;
    let begin = Instant::now();
    drop(worker);
    let again = other.assigned(1).await.remove(0);
    let took = begin.elapsed();
    println!("a job of a cut worker was leased again after {took:?}");
    assert!(took < Duration::from_millis(800) + SLACK, "{took:?}");
    assert_eq!((again.job_id, again.attempt), (id, 2));
}

#[tokio::test]
async fn a_reconnected_worker_keeps_its_attempts_and_resends_reports() {
    let server = server_with_short_timeouts().await;
    let mut worker = RawWorker::open(&server, hello(1, 2)).await;
    let [first, second] = [server.submit(remote_job("1")).await, server.submit(remote_job("2")).await];
    let held = worker.assigned(2).await;
    worker.accept(&held).await;
    let number = worker.report(&held[0].lease_id, complete("one")).await;
    worker.acked(number).await;
    drop(worker);
    until("it is missed", async || workers(&server).await[0].state() == WorkerState::Disconnected).await;
    // Simulates a lost acknowledgement.
    let held_lease_ids = held.iter().map(|assignment| assignment.lease_id.clone()).collect();
    let back = jobstream::proto::v1::Hello { held_lease_ids, ..hello(1, 2) };
    let mut worker = RawWorker::open(&server, back).await;
    assert_eq!(worker.welcome.standing_lease_ids, [held[1].lease_id.clone()]);
    assert_eq!(worker.welcome.acked_report_sequence, 1);
    assert_eq!(workers(&server).await[0].slots_taken, 1, "the end of the other attempt freed its slot");
    worker.report_as(1, &held[0].lease_id, complete("one, again")).await;
    let number = worker.report(&held[1].lease_id, complete("two")).await;
    assert_eq!(
        (worker.acked(1).await, worker.acked(number).await),
        (None, None),
        "applied once and never rejected"
    );
    assert_eq!(server.end(&first).await.text(), "one");
    let ended = server.end(&second).await;
    assert_eq!((ended.text(), server.get(&second).await.attempt), ("two", 1));
    assert_eq!(workers(&server).await.len(), 1);
}

#[tokio::test]
async fn a_new_stream_of_the_same_instance_replaces_the_old_one() {
    let server = TestServer::start().await;
    let mut old = RawWorker::open(&server, hello(1, 2)).await;
    let id = server.submit(remote_job("x")).await;
    let unseen = old.assigned(1).await.remove(0);
    let mut new = RawWorker::open(&server, hello(1, 2)).await;
    refused(&old.ended().await.unwrap_err(), Code::Aborted, "WORKER_REPLACED");
    let again = new.assigned(1).await.remove(0);
    assert_eq!((again.job_id.as_str(), again.attempt), (id.as_str(), 2));
    assert_ne!(again.lease_id, unseen.lease_id);
    assert_eq!(new.welcome.worker_id, old.welcome.worker_id);
    new.report(&again.lease_id, complete("x")).await;
    assert_eq!(server.end(&id).await.text(), "x");
}

#[tokio::test]
async fn a_silent_worker_is_disconnected_and_its_result_rejected() {
    let server = server_with_short_timeouts().await;
    let mut silent = RawWorker::open(&server, hello(1, 1)).await;
    let id = server.submit(remote_job("x")).await;
    let stale = silent.assigned(1).await.remove(0);
    silent.accept(std::slice::from_ref(&stale)).await;
    silent.alive = None;
    let begin = Instant::now();
    refused(&silent.ended().await.unwrap_err(), Code::DeadlineExceeded, "WORKER_SILENT");
    assert!(begin.elapsed() >= Duration::from_millis(500), "not before three intervals");
    let mut other = RawWorker::open(&server, hello(2, 1)).await;
    other.alive = Some(vec![]);
    let again = other.assigned(1).await.remove(0);
    assert!(begin.elapsed() < Duration::from_millis(600 + 400) + SLACK);
    assert_eq!(again.attempt, 2);
    let back = jobstream::proto::v1::Hello { held_lease_ids: vec![stale.lease_id.clone()], ..hello(1, 1) };
    let mut silent = RawWorker::open(&server, back).await;
    assert_eq!(silent.welcome.standing_lease_ids, [""; 0]);
    let number = silent.report(&stale.lease_id, complete("stale")).await;
    let refusal = silent.acked(number).await.expect("a stale completion");
    assert_eq!(Code::from(refusal.error.unwrap().code), Code::FailedPrecondition);
    assert_ne!(server.peek(&id).await.state(), JobState::Succeeded);
    other.report(&again.lease_id, complete("fresh")).await;
    assert_eq!(server.end(&id).await.text(), "fresh");
}

#[tokio::test]
async fn a_lease_missing_in_heartbeats_expires() {
    let server = server_with_short_timeouts().await;
    let mut worker = RawWorker::open(&server, hello(1, 2)).await;
    let [renewed, expired] = [server.submit(remote_job("1")).await, server.submit(remote_job("2")).await];
    let held = worker.assigned(2).await;
    worker.accept(&held).await;
    worker.alive = Some(vec![held[0].lease_id.clone()]);
    let revoked = worker.cancelled().await;
    assert_eq!((revoked.lease_id.as_str(), revoked.revoked), (held[1].lease_id.as_str(), true));
    let failures = server.get(&expired).await.attempts;
    assert!(failures[0].failure.as_ref().unwrap().message.contains("lease of worker raw-1 expired"));
    assert_eq!(server.peek(&renewed).await.state(), JobState::Running);
}

#[tokio::test]
async fn a_worker_of_an_earlier_boot_has_lost_its_leases() {
    let server = TestServer::start().await;
    let mut worker = RawWorker::open(&server, hello(1, 1)).await;
    server.submit(remote_job("x")).await;
    let held = worker.assigned(1).await;
    let boot_id = worker.welcome.boot_id.clone();
    drop((worker, server));
    let server = TestServer::start().await;
    let back = jobstream::proto::v1::Hello { held_lease_ids: vec![held[0].lease_id.clone()], ..hello(1, 1) };
    let mut worker = RawWorker::open(&server, back).await;
    assert_eq!(worker.welcome.standing_lease_ids, [""; 0]);
    assert_ne!(worker.welcome.boot_id, boot_id);
    assert_eq!(worker.welcome.unknown_report_sequence, i64::MAX as u64);
    let id = server.submit(remote_job("y")).await;
    assert_eq!(workers(&server).await[0].slots_taken, 1, "until its handler has stopped");
    worker.report(&held[0].lease_id, complete("of another boot")).await;
    let next = worker.assigned(1).await;
    worker.report(&next[0].lease_id, complete("y")).await;
    assert_eq!(server.end(&id).await.text(), "y");
}
