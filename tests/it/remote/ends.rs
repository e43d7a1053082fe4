//! Cancels and revocations by the server.

use std::time::{Duration, Instant};

use jobstream::proto::v1;
use jobstream::proto::v1::attempt_report::News;
use tonic::Code;

use super::{connect, every_kind, gate_worker};
use crate::support::{Gate, ScriptedServer, WorkStream, assignment, lease_id, terms};

/// Connects a worker of every test kind. Returns its stream of async handlers, with a running `test.stubborn`.
async fn stubborn(gate: &Gate) -> (ScriptedServer, WorkStream) {
    let mut server = ScriptedServer::start().await;
    connect(every_kind(gate), &server);
    let mut streams = [server.joined(terms()).await, server.joined(terms()).await];
    streams.sort_by_key(|(_, hello)| hello.kinds.len());
    let [(short, _), (stream, _)] = streams;
    // The other stream stays open during the test.
    tokio::spawn(async move {
        let _short = short;
        std::future::pending::<()>().await;
    });
    stream.assign(vec![assignment(1, "test.stubborn", "x")]).await;
    gate.arrival().await;
    (server, stream)
}

#[tokio::test]
async fn a_cancelled_handler_reports_its_end() {
    let gate = Gate::new();
    let (_server, _running, mut stream) = gate_worker(1, &gate).await;
    stream.assign(vec![assignment(1, "test.gate", "x")]).await;
    gate.arrival().await;
    stream.cancel(&lease_id(1), Duration::from_secs(60), false).await;
    let end = stream.end().await;
    assert_eq!((end.lease_id, end.news), (lease_id(1), Some(News::Stopped(v1::AttemptStopped {}))));
}

#[tokio::test]
async fn a_handler_that_ignores_a_cancel_is_ended_after_the_grace_period() {
    let gate = Gate::new();
    let (_server, mut stream) = stubborn(&gate).await;
    let asked = Instant::now();
    stream.cancel(&lease_id(1), Duration::from_millis(300), false).await;
    let end = stream.end().await;
    assert!(matches!(end.news, Some(News::Release(_))), "{end:?}");
    assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_revoked_attempt_ends_at_once_and_is_reported() {
    let gate = Gate::new();
    let (_server, mut stream) = stubborn(&gate).await;
    stream.cancel(&lease_id(1), Duration::from_secs(60), true).await;
    let end = stream.end().await;
    assert_eq!((end.lease_id, matches!(end.news, Some(News::Release(_)))), (lease_id(1), true));
}

#[tokio::test]
async fn a_refused_report_ends_its_attempt() {
    let gate = Gate::new();
    let (_server, mut stream) = stubborn(&gate).await;
    let error = Some(tonic_types::Status {
        code: Code::FailedPrecondition as i32,
        message: "the lease is lost".to_owned(),
        details: Vec::new(),
    });
    let refusals = vec![v1::ReportRefusal { report_sequence: 1, lease_id: lease_id(1), error }];
    let ack = Some(v1::ReportAck { report_sequence: 1, refusals });
    stream.send(v1::WorkResponse { ack, ..Default::default() }).await;
    assert!(matches!(stream.end().await.news, Some(News::Release(_))));
}

#[tokio::test]
async fn stops_of_unknown_attempts_are_ignored() {
    let gate = Gate::new();
    let (_server, _running, mut stream) = gate_worker(1, &gate).await;
    stream.cancel("no lease", Duration::ZERO, true).await;
    stream.cancel(&lease_id(9), Duration::ZERO, true).await;
    stream.assign(vec![assignment(1, "test.gate", "x")]).await;
    gate.open(1);
    assert!(matches!(stream.end().await.news, Some(News::Complete(_))));
}
