//! How a worker ends: drained by its process, by an operator, or by a server that shuts down.

use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::attempt_report::News;
use jobstream::worker::{Worker, WorkerEnd, WorkerStatus};

use super::{connect, gate_worker};
use crate::support::{Gate, ScriptedServer, assignment, lease_id, terms, wait_for};

const LONG: Duration = Duration::from_secs(60);

fn ends(said: &[v1::WorkRequest]) -> Vec<&v1::AttemptReport> {
    said.iter().flat_map(|request| &request.reports).collect()
}

#[tokio::test]
async fn a_drain_lets_what_runs_finish_and_takes_nothing_more() {
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
    let said = wait_for("the worker closes its side", stream.see_off()).await;
    let ends = ends(&said);
    assert!(matches!(ends.as_slice(), [end] if matches!(end.news, Some(News::Complete(_)))), "{ends:?}");
    assert_eq!(wait_for("the drain ends", draining).await.expect("no panic"), 0);
    assert!(matches!(running.wait().await, WorkerEnd::Requested));
    assert_eq!(*running.status().borrow(), WorkerStatus::Ended);
    assert!(server.is_left_alone());
}

#[tokio::test]
async fn what_was_on_its_way_when_a_drain_began_is_given_back_unopened() {
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
async fn a_drain_gives_back_what_does_not_finish_in_time() {
    let gate = Gate::new();
    let (_server, running, mut stream) = gate_worker(2, &gate).await;
    stream.assign(vec![assignment(1, "test.gate", "x")]).await;
    stream.next().await;
    gate.arrival().await;
    let draining = tokio::spawn(async move { running.drain(Duration::from_millis(200)).await });
    let said = wait_for("the worker closes its side", stream.see_off()).await;
    let ends = ends(&said);
    let [end] = ends.as_slice() else { panic!("{ends:?}") };
    assert!(matches!(end.news, Some(News::Release(_) | News::Stopped(_))), "{end:?}");
    assert_eq!(draining.await.expect("no panic"), 0);
}

#[tokio::test]
async fn a_drain_ends_by_force_what_does_not_listen() {
    let (gate, mut server) = (Gate::new(), ScriptedServer::start().await);
    let arrivals = gate.clone();
    let worker = Worker::new().raw_handler("deaf", move |_| {
        let gate = arrivals.clone();
        async move {
            gate.pass().await;
            std::future::pending().await
        }
    });
    let running = connect(worker, &server);
    let (stream, _) = server.joined(terms()).await;
    stream.assign(vec![assignment(1, "deaf", "x")]).await;
    gate.arrival().await;
    let draining = tokio::spawn(async move { running.drain(Duration::from_millis(200)).await });
    let said = wait_for("the worker closes its side", stream.see_off()).await;
    let ends = ends(&said);
    assert!(matches!(ends.as_slice(), [end] if matches!(end.news, Some(News::Release(_)))), "{ends:?}");
    assert_eq!(draining.await.expect("no panic"), 0);
}

#[tokio::test]
async fn the_stream_stays_until_the_last_report_is_acknowledged() {
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
    let said = wait_for("the worker closes its side", stream.see_off()).await;
    let ends = ends(&said);
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert!(matches!(ends[0].news, Some(News::Complete(_))), "{ends:?}");
    assert!(matches!(ends[1].news, Some(News::Release(_) | News::Stopped(_))), "{ends:?}");
    assert!(matches!(wait_for("it ends", running.wait()).await, WorkerEnd::Drained));
    assert!(server.is_left_alone());
}

#[tokio::test]
async fn a_server_that_shuts_down_is_left_for_the_next_one() {
    let gate = Gate::new();
    let (mut server, running, mut stream) = gate_worker(2, &gate).await;
    stream.assign(vec![assignment(1, "test.gate", "x")]).await;
    stream.next().await;
    gate.arrival().await;
    stream.drain(LONG, true).await;
    gate.open(1);
    let said = wait_for("the worker closes its side", stream.see_off()).await;
    assert!(matches!(ends(&said).as_slice(), [end] if matches!(end.news, Some(News::Complete(_)))));
    let (mut stream, hello) = server.joined(terms()).await;
    assert_eq!((hello.slots, hello.held_lease_ids.len()), (2, 0));
    stream.assign(vec![assignment(2, "test.gate", "x")]).await;
    gate.open(1);
    assert_eq!(stream.end().await.lease_id, lease_id(2));
    assert!(matches!(*running.status().borrow(), WorkerStatus::Connected { .. }));
}

#[tokio::test]
async fn a_stop_gives_everything_back_at_once() {
    let gate = Gate::new();
    let (_server, running, stream) = gate_worker(2, &gate).await;
    stream.assign(vec![assignment(1, "test.gate", "x")]).await;
    gate.arrival().await;
    let stopping = tokio::spawn(async move { running.stop(LONG).await });
    let said = wait_for("the worker closes its side", stream.see_off()).await;
    assert_eq!(ends(&said).len(), 1, "{said:?}");
    assert_eq!(wait_for("it stops", stopping).await.expect("no panic"), 0);
}
