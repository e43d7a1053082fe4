//! The Work stream without faults: slots, accepts, reports, cancels and drains.

use std::time::{Duration, Instant};

use jobstream::proto::v1;
use jobstream::proto::v1::attempt_report::News;
use jobstream::proto::v1::{JobState, WaitReason, WorkerLink, WorkerState};
use tonic::Code;

use super::{remote_job, server_with_short_timeouts, workers};
use crate::support::raw_worker::{RawWorker, complete, hello, release, span};
use crate::support::{TestServer, job, refused, watch_request};

#[tokio::test]
async fn a_worker_gets_a_job_and_returns_its_result() {
    let server = TestServer::start().await;
    let mut spec = remote_job("input");
    spec.headers.insert("traceparent".to_owned(), "00-1".to_owned());
    spec.labels.insert("team".to_owned(), "a".to_owned());
    let id = server.submit(spec.clone()).await;
    assert_eq!(server.peek(&id).await.wait_reason(), WaitReason::NoWorker);
    let mut worker = RawWorker::open(&server, hello(1, 4)).await;
    let assignment = worker.assigned(1).await.remove(0);
    assert_eq!((assignment.job_id.as_str(), assignment.attempt), (id.as_str(), 1));
    assert_eq!((assignment.kind.as_str(), assignment.queue.as_str()), ("remote", "default"));
    assert_eq!((assignment.payload.clone(), assignment.headers.len()), (spec.payload, 1));
    assert_eq!((assignment.labels["team"].as_str(), assignment.time_left), ("a", span_of(3600)));
    assert_eq!(server.peek(&id).await.wait_reason(), WaitReason::Starting);
    let mut watched = server.watch(watch_request(&id, 0)).await;
    worker.accept(std::slice::from_ref(&assignment)).await;
    watched.read_to(JobState::Running).await;
    let progress = v1::Progress { fraction: Some(0.5), ..v1::Progress::default() };
    worker.report(&assignment.lease_id, News::Progress(progress)).await;
    let chunk = v1::Output { payload: Some(crate::support::text("chunk")), ..v1::Output::default() };
    worker.report(&assignment.lease_id, News::Output(chunk)).await;
    let number = worker.report(&assignment.lease_id, complete("output")).await;
    assert_eq!(worker.acked(number).await, None);
    let watched = watched.rest().await;
    watched.outcome();
    assert_eq!(watched.sequences(), [1, 2, 3, 4, 5]);
    assert_eq!(server.get(&id).await.attempts[0].worker, "raw-1");
}

#[tokio::test]
async fn units_done_give_the_fraction() {
    let server = TestServer::start().await;
    let id = server.submit(remote_job("input")).await;
    let mut worker = RawWorker::open(&server, hello(1, 1)).await;
    let assignment = worker.assigned(1).await.remove(0);
    let cases = [
        (None, Some(3.0), Some(4.0), Some(0.75)),
        (None, Some(9.0), Some(4.0), Some(1.0)),
        (Some(0.5), Some(3.0), Some(4.0), Some(0.5)),
        (None, Some(3.0), Some(0.0), None),
        (None, Some(3.0), None, None),
    ];
    for (fraction, done, total, expected) in cases {
        let progress = v1::Progress { fraction, done, total, ..v1::Progress::default() };
        let number = worker.report(&assignment.lease_id, News::Progress(progress)).await;
        assert_eq!(worker.acked(number).await, None);
        let stored = server.get(&id).await.progress.expect("a progress");
        assert_eq!((stored.fraction, stored.done, stored.total), (expected, done, total));
    }
}

fn span_of(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

#[tokio::test]
async fn slots_limit_the_assignments_of_a_worker() {
    let server = TestServer::start().await;
    let mut worker = RawWorker::open(&server, hello(1, 2)).await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(server.submit(remote_job(&number.to_string())).await);
    }
    let first = worker.assigned(2).await;
    worker.accept(&first).await;
    let number = worker.report(&first[0].lease_id, complete("0")).await;
    worker.acked(number).await;
    let next = worker.assigned(1).await;
    assert_eq!((next[0].job_id.as_str(), worker.surplus()), (ids[2].as_str(), 0), "one slot, one job");
    worker.set_slots(4).await;
    let more = worker.assigned(2).await;
    assert_eq!([&more[0].job_id, &more[1].job_id], [&ids[3], &ids[4]], "in the order of acceptance");
    worker.set_slots(0).await;
    for held in [&first[1], &next[0], &more[0]] {
        worker.report(&held.lease_id, complete("x")).await;
    }
    let number = worker.report(&more[1].lease_id, complete("x")).await;
    worker.acked(number).await;
    assert_eq!(worker.surplus(), 0, "without slots there are no assignments");
    assert_eq!(server.peek(&ids[5]).await.state(), JobState::Queued);
    assert_eq!(workers(&server).await[0].slots_taken, 0);
}

#[tokio::test]
async fn the_pool_and_remote_workers_share_a_queue() {
    let server = TestServer::start().await;
    let mut worker =
        RawWorker::open(&server, v1::Hello { kinds: vec!["test.gate".to_owned()], ..hello(1, 50) }).await;
    for _ in 0..40 {
        server.submit(job("test.gate")).await;
    }
    let assignments = worker.assigned(10).await;
    server.gate.arrival().await;
    assert!(worker.surplus() + assignments.len() < 40);
}

#[tokio::test]
async fn a_saturated_kind_does_not_starve_the_others() {
    let server = TestServer::start().await;
    for number in 0..200 {
        server.submit(v1::JobSpec { kind: "slow".to_owned(), ..remote_job(&number.to_string()) }).await;
    }
    let kinds = ["slow", "quick"].map(str::to_owned).to_vec();
    let mut worker = RawWorker::open(&server, v1::Hello { kinds, ..hello(1, 4) }).await;
    let slow = worker.assigned(4).await;
    let quick = server.submit(v1::JobSpec { kind: "quick".to_owned(), ..remote_job("quick") }).await;
    worker.report(&slow[0].lease_id, complete("")).await;
    assert_eq!(worker.assigned(1).await[0].job_id, quick, "the first free slot gets the other kind");
}

#[tokio::test]
async fn one_message_may_have_every_type_of_content() {
    let server = TestServer::start().await;
    for number in 0..5 {
        server.submit(remote_job(&number.to_string())).await;
    }
    let mut worker = RawWorker::open(&server, hello(1, 3)).await;
    let held = worker.assigned(3).await;
    let report = |number: u64, lease: &str, news: News| v1::AttemptReport {
        lease_id: lease.to_owned(),
        report_sequence: number,
        news: Some(news),
    };
    let request = v1::WorkRequest {
        slots: Some(2),
        heartbeat: Some(v1::WorkerHeartbeat { lease_ids: vec![held[2].lease_id.clone()] }),
        accepted_lease_ids: vec![held[0].lease_id.clone()],
        reports: vec![
            report(1, &held[0].lease_id, complete("a")),
            report(2, &held[0].lease_id, complete("again")),
            report(3, &held[1].lease_id, release()),
        ],
        hello: None,
    };
    worker.send(request).await;
    let refusal = worker.acked(2).await.expect("an end after the end");
    let error = refusal.error.expect("an error");
    assert_eq!(
        (refusal.lease_id, Code::from(error.code)),
        (held[0].lease_id.clone(), Code::FailedPrecondition)
    );
    assert_eq!(worker.acked(3).await, None);
    assert_eq!(server.end(&held[0].job_id).await.text(), "a");
    assert_eq!(worker.assigned(1).await[0].job_id, held[1].job_id, "the released job is next");
    assert_eq!(
        server.peek(&held[2].job_id).await.state(),
        JobState::Running,
        "a heartbeat implies the accept"
    );
}

#[tokio::test]
async fn a_cancel_reaches_a_worker_with_a_thousand_jobs() {
    let server = TestServer::start().await;
    let mut worker = RawWorker::open(&server, hello(1, 1_000)).await;
    let mut held = Vec::new();
    // Assignments must be accepted within 5 s, also on a busy machine.
    for _ in 0..10 {
        for number in 0..100 {
            server.submit(remote_job(&number.to_string())).await;
        }
        let assigned = worker.assigned(100).await;
        worker.accept(&assigned).await;
        held.extend(assigned);
    }
    crate::support::until("all run", async || server.info().await.jobs == 1_000).await;
    let victim = &held[500];
    let begin = Instant::now();
    server.cancel(&victim.job_id, Duration::from_secs(9)).await.unwrap();
    let cancel = worker.cancelled().await;
    let took = begin.elapsed();
    println!("a cancel reached the worker within {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!((cancel.lease_id.as_str(), cancel.revoked), (victim.lease_id.as_str(), false));
    let left = Duration::try_from(cancel.force_after.expect("a grace")).unwrap();
    assert!(left > Duration::from_secs(8) && left <= Duration::from_secs(9), "{left:?}");
    worker.report(&victim.lease_id, News::Stopped(v1::AttemptStopped {})).await;
    assert!(!server.end(&victim.job_id).await.cancellation().forced);
}

#[tokio::test]
async fn an_ignored_cancel_is_forced_and_the_late_end_is_rejected() {
    let server = TestServer::start().await;
    let mut worker = RawWorker::open(&server, hello(1, 1)).await;
    let id = server.submit(remote_job("x")).await;
    let held = worker.assigned(1).await;
    worker.accept(&held).await;
    crate::support::until("it runs", async || server.peek(&id).await.state() == JobState::Running).await;
    server.cancel(&id, Duration::from_millis(100)).await.unwrap();
    assert!(!worker.cancelled().await.revoked);
    assert!(worker.cancelled().await.revoked, "the grace period has passed");
    assert!(server.end(&id).await.cancellation().forced);
    let waiting = server.submit(remote_job("y")).await;
    assert_eq!(workers(&server).await[0].slots_taken, 1, "the slot is in use until the handler has stopped");
    let number = worker.report(&held[0].lease_id, complete("too late")).await;
    assert!(worker.acked(number).await.is_some());
    assert_eq!(worker.assigned(1).await[0].job_id, waiting);
    assert!(server.end(&id).await.cancellation().forced, "the outcome is unchanged");
}

#[tokio::test]
async fn operators_can_list_and_drain_workers() {
    let server = TestServer::start().await;
    let mut worker = RawWorker::open(&server, hello(1, 3)).await;
    let id = server.submit(remote_job("x")).await;
    let held = worker.assigned(1).await;
    worker.accept(&held).await;
    let seen = workers(&server).await.remove(0);
    assert_eq!((seen.worker_id.as_str(), seen.name.as_str()), (worker.welcome.worker_id.as_str(), "raw-1"));
    assert_eq!((seen.link(), seen.state()), (WorkerLink::Stream, WorkerState::Connected));
    assert_eq!((seen.slots, seen.slots_taken, seen.sdk.as_str()), (3, 1, "raw/1"));
    assert!(seen.address.starts_with("127.0.0.1:") && seen.last_heard_age.is_some());
    let within = span(Duration::from_secs(5));
    let request = v1::DrainWorkerRequest { worker: "raw-1".to_owned(), within };
    let answer = server.admin().drain_worker(request).await.unwrap().into_inner();
    assert_eq!(answer.workers[0].state(), WorkerState::Draining);
    let drain = worker.drained().await;
    assert_eq!((drain.time_left, drain.server_shutdown), (within, false));
    let waiting = server.submit(remote_job("y")).await;
    assert_eq!(server.peek(&waiting).await.wait_reason(), WaitReason::NoWorker);
    worker.report(&held[0].lease_id, complete("done")).await;
    worker.close();
    worker.ended().await.expect("the stream of a drained worker ends OK");
    assert_eq!(server.end(&id).await.text(), "done");
    assert_eq!(workers(&server).await, []);
    for (name, code, reason) in
        [("nobody", Code::NotFound, "WORKER_NOT_FOUND"), ("local", Code::FailedPrecondition, "ILLEGAL_STATE")]
    {
        let request = v1::DrainWorkerRequest { worker: name.to_owned(), within: None };
        refused(&server.admin().drain_worker(request).await.unwrap_err(), code, reason);
    }
}

#[tokio::test]
async fn a_shutdown_lets_remote_attempts_finish() {
    let mut server = TestServer::start().await;
    let mut worker = RawWorker::open(&server, hello(1, 2)).await;
    let id = server.submit(remote_job("x")).await;
    let held = worker.assigned(1).await;
    worker.accept(&held).await;
    let mut watched = server.watch(watch_request(&id, 0)).await;
    watched.read_to(JobState::Running).await;
    server.shutdown.graceful.cancel();
    let drain = worker.drained().await;
    assert!(drain.server_shutdown && drain.time_left == span(Duration::from_secs(10)));
    worker.report(&held[0].lease_id, complete("in time")).await;
    watched.rest().await.outcome();
    let status = worker.ended().await.unwrap_err();
    refused(&status, Code::Unavailable, "CONNECTION_CLOSING");
    let report = server.report().await;
    assert_eq!((report.attempts_aborted, report.jobs_left), (0, 0));
}

#[tokio::test]
async fn invalid_fields_are_rejected_by_name() {
    let server = server_with_short_timeouts().await;
    let refusal = async |hello: v1::Hello| {
        let refused_with = RawWorker::try_open(server.channel(), hello).await.err().expect("it is refused");
        let details = refused(&refused_with, Code::InvalidArgument, "INVALID_FIELD");
        let fields = details.bad_request().expect("fields").field_violations.clone();
        fields.into_iter().map(|violation| violation.field).collect::<Vec<_>>()
    };
    assert_eq!(refusal(v1::Hello { protocol_version: 2, ..hello(1, 1) }).await, ["hello.protocol_version"]);
    assert_eq!(refusal(v1::Hello { slots: 100_001, ..hello(1, 1) }).await, ["hello.slots"]);
    assert_eq!(
        refusal(v1::Hello { kinds: vec![], name: String::new(), instance_id: "x".to_owned(), ..hello(1, 1) })
            .await,
        ["hello.instance_id", "hello.name", "hello.kinds"]
    );
    let flawed = [
        v1::WorkRequest { hello: Some(hello(1, 1)), ..v1::WorkRequest::default() },
        v1::WorkRequest { accepted_lease_ids: vec!["x".to_owned()], ..v1::WorkRequest::default() },
        v1::WorkRequest { slots: Some(u32::MAX), ..v1::WorkRequest::default() },
        v1::WorkRequest { reports: vec![v1::AttemptReport::default()], ..v1::WorkRequest::default() },
    ];
    for (instance, request) in flawed.into_iter().enumerate() {
        let mut worker = RawWorker::open(&server, hello(instance as u128 + 1, 1)).await;
        worker.send(request).await;
        refused(&worker.ended().await.unwrap_err(), Code::InvalidArgument, "INVALID_FIELD");
    }
}
