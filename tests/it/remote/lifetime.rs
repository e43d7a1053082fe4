//! The end of a worker: drained by its process, by an operator or by a shutdown of the server.

use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::attempt_report::News;
use jobstream::worker::{Worker, WorkerEnd, WorkerStatus};

use super::{connect, gate_worker};
use crate::support::{Gate, ScriptedServer, assignment, lease_id, terms, wait_for};

const LONG: Duration = Duration::from_secs(60);

fn ends(messages: &[v1::WorkRequest]) -> Vec<&v1::AttemptReport> {
    messages.iter().flat_map(|request| &request.reports).collect()
}

#[tokio::test]
async fn a_drain_lets_attempts_finish_and_accepts_no_jobs() {
    let gate = Gate::new();
    let (mut server, running, mut stream) = gate_worker(2, &gate).await;
    stream.assign(vec![assignment(1, "test.gate", "x")]).await;
    stream.next().await;
    gate.arrival().await;
    let draining = tokio::spawn({
        let running = running.clone();
        async move { running.drain(LONG).await }
    });
    assert_eq!(stream.next().await.slots, Some(0));
    assert_eq!(*running.status().borrow(), WorkerStatus::Draining);
    gate.open(1);
    let messages = wait_for("the worker closes its side", stream.finish()).await;
    let ends = ends(&messages);
    assert!(matches!(ends.as_slice(), [end] if matches!(end.news, Some(News::Complete(_)))), "{ends:?}");
    assert_eq!(wait_for("the drain ends", draining).await.expect("no panic"), 0);
    assert!(matches!(running.wait().await, WorkerEnd::Requested));
    assert_eq!(*running.status().borrow(), WorkerStatus::Ended);
    assert!(server.has_no_new_stream());
}

#[tokio::test]
async fn assignments_in_flight_at_a_drain_are_released() {
    let gate = Gate::new();
    let (_server, running, mut stream) = gate_worker(2, &gate).await;
    stream.assign(vec![assignment(1, "test.gate", "x")]).await;
    stream.next().await;
    gate.arrival().await;
    tokio::spawn(async move { running.drain(LONG).await });
    assert_eq!(stream.next().await.slots, Some(0));
    stream.assign(vec![assignment(2, "test.gate", "x")]).await;
    let answer = stream.next().await;
    assert!(answer.accepted_lease_ids.is_empty(), "{answer:?}");
    let [end] = answer.reports.as_slice() else { panic!("{answer:?}") };
    assert_eq!((&end.lease_id, matches!(end.news, Some(News::Release(_)))), (&lease_id(2), true));
    gate.open(1);
    let end = stream.end().await;
    assert_eq!((end.lease_id, matches!(end.news, Some(News::Complete(_)))), (lease_id(1), true));
}

#[tokio::test]
async fn attempts_unfinished_at_the_drain_timeout_are_released() {
    let gate = Gate::new();
    let (_server, running, mut stream) = gate_worker(2, &gate).await;
    stream.assign(vec![assignment(1, "test.gate", "x")]).await;
    stream.next().await;
    gate.arrival().await;
    let draining = tokio::spawn(async move { running.drain(Duration::from_millis(200)).await });
    let messages = wait_for("the worker closes its side", stream.finish()).await;
    let ends = ends(&messages);
    let [end] = ends.as_slice() else { panic!("{ends:?}") };
    assert!(matches!(end.news, Some(News::Release(_) | News::Stopped(_))), "{end:?}");
    assert_eq!(draining.await.expect("no panic"), 0);
}

#[tokio::test]
async fn a_drain_ends_handlers_that_ignore_cancels() {
    let (gate, mut server) = (Gate::new(), ScriptedServer::start().await);
    let arrivals = gate.clone();
    let worker = Worker::new().raw_handler("stubborn", move |_| {
        let gate = arrivals.clone();
        async move {
            gate.pass().await;
            std::future::pending().await
        }
    });
    let running = connect(worker, &server);
    let (stream, _) = server.joined(terms()).await;
    stream.assign(vec![assignment(1, "stubborn", "x")]).await;
    gate.arrival().await;
    let draining = tokio::spawn(async move { running.drain(Duration::from_millis(200)).await });
    let messages = wait_for("the worker closes its side", stream.finish()).await;
    let ends = ends(&messages);
    assert!(matches!(ends.as_slice(), [end] if matches!(end.news, Some(News::Release(_)))), "{ends:?}");
    assert_eq!(draining.await.expect("no panic"), 0);
}

#[tokio::test]
async fn the_stream_is_open_until_the_last_report_is_acknowledged() {
    let gate = Gate::new();
    let (_server, running, mut stream) = gate_worker(2, &gate).await;
    stream.assign(vec![assignment(1, "test.gate", "x")]).await;
    gate.arrival().await;
    gate.open(1);
    let end = stream.end().await;
    let draining = tokio::spawn(async move { running.drain(LONG).await });
    assert_eq!(stream.next().await.slots, Some(0));
    let more = tokio::time::timeout(Duration::from_millis(300), stream.requests.message()).await;
    assert!(more.is_err(), "the worker waits: {more:?}");
    stream.ack(end.report_sequence).await;
    assert_eq!(stream.try_next().await, None);
    drop(stream);
    assert_eq!(wait_for("the drain ends", draining).await.expect("no panic"), 0);
}

#[tokio::test]
async fn an_operators_drain_ends_the_worker() {
    let gate = Gate::new();
    let (mut server, running, mut stream) = gate_worker(2, &gate).await;
    stream.assign(vec![assignment(1, "test.gate", "x"), assignment(2, "test.gate", "x")]).await;
    stream.next().await;
    gate.arrival().await;
    gate.arrival().await;
    stream.drain(Duration::from_millis(400), false).await;
    gate.open(1);
    let messages = wait_for("the worker closes its side", stream.finish()).await;
    let ends = ends(&messages);
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert!(matches!(ends[0].news, Some(News::Complete(_))), "{ends:?}");
    assert!(matches!(ends[1].news, Some(News::Release(_) | News::Stopped(_))), "{ends:?}");
    assert!(matches!(wait_for("it ends", running.wait()).await, WorkerEnd::Drained));
    assert!(server.has_no_new_stream());
}

#[tokio::test]
async fn a_worker_reconnects_after_a_shutdown_of_the_server() {
    let gate = Gate::new();
    let (mut server, running, mut stream) = gate_worker(2, &gate).await;
    stream.assign(vec![assignment(1, "test.gate", "x")]).await;
    stream.next().await;
    gate.arrival().await;
    stream.drain(LONG, true).await;
    gate.open(1);
    let messages = wait_for("the worker closes its side", stream.finish()).await;
    assert!(matches!(ends(&messages).as_slice(), [end] if matches!(end.news, Some(News::Complete(_)))));
    let (mut stream, hello) = server.joined(terms()).await;
    assert_eq!((hello.slots, hello.held_lease_ids.len()), (2, 0));
    stream.assign(vec![assignment(2, "test.gate", "x")]).await;
    gate.open(1);
    assert_eq!(stream.end().await.lease_id, lease_id(2));
    assert!(matches!(*running.status().borrow(), WorkerStatus::Connected { .. }));
}

#[tokio::test]
async fn a_stop_releases_all_attempts_at_once() {
    let gate = Gate::new();
    let (_server, running, stream) = gate_worker(2, &gate).await;
    stream.assign(vec![assignment(1, "test.gate", "x")]).await;
    gate.arrival().await;
    let stopping = tokio::spawn(async move { running.stop(LONG).await });
    let messages = wait_for("the worker closes its side", stream.finish()).await;
    assert_eq!(ends(&messages).len(), 1, "{messages:?}");
    assert_eq!(wait_for("it stops", stopping).await.expect("no panic"), 0);
}
