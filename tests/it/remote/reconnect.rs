//! Reconnects: attempts, leases and unacknowledged reports survive a lost connection.

use std::time::{Duration, Instant};

use jobstream::proto::v1;
use jobstream::proto::v1::attempt_report::News;
use jobstream::worker::Worker;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{connect, gate_worker, short};
use crate::support::{Gate, ScriptedServer, assignment, lease_id, terms, wait_for};

fn numbers(reports: &[v1::AttemptReport]) -> Vec<u64> {
    reports.iter().map(|report| report.report_sequence).collect()
}

async fn echo_worker() -> (ScriptedServer, crate::support::WorkStream, v1::Hello) {
    let mut server = ScriptedServer::start().await;
    connect(Worker::new().inline_handler("demo.echo", |job| Ok(job.payload)), &server);
    let (stream, hello) = server.joined(terms()).await;
    (server, stream, hello)
}

#[tokio::test]
async fn unacknowledged_reports_are_resent_with_their_sequence() {
    let (mut server, mut stream, _) = echo_worker().await;
    stream.assign((1..=5).map(|lease| assignment(lease, "demo.echo", "x")).collect()).await;
    let before = stream.reports(5).await;
    stream.ack(2).await;
    // The worker reads the ack before the end of the stream.
    stream.fail(Status::unavailable("cut")).await;
    let (stream, hello) = server.next_hello().await;
    assert_eq!(hello.held_lease_ids, [lease_id(3), lease_id(4), lease_id(5)]);
    let mut stream = stream;
    // The server has applied report 3 without an ack. It has no leases.
    let standing_lease_ids = hello.held_lease_ids;
    let welcome = v1::Welcome { standing_lease_ids, acked_report_sequence: 3, ..terms() };
    stream.send(v1::WorkResponse { welcome: Some(welcome), ..Default::default() }).await;
    assert_eq!(stream.reports(2).await, before[3..]);
    stream.assign(vec![assignment(6, "demo.echo", "x")]).await;
    assert_eq!(numbers(&stream.reports(1).await), [6]);
}

#[tokio::test]
async fn an_attempt_continues_across_a_reconnect() {
    let gate = Gate::new();
    let (mut server, _running, mut stream) = gate_worker(4, &gate).await;
    stream.assign(vec![assignment(1, "test.gate", "x"), assignment(2, "test.gate", "x")]).await;
    stream.next().await;
    stream.fail(Status::unavailable("cut")).await;
    gate.open(1);
    let (mut stream, hello) = server.next_hello().await;
    // The total number of slots: the server counts the used ones.
    assert_eq!(hello.slots, 4);
    let mut held = hello.held_lease_ids.clone();
    held.sort();
    assert_eq!(held, [lease_id(1), lease_id(2)]);
    let welcome = v1::Welcome { standing_lease_ids: held, ..terms() };
    stream.send(v1::WorkResponse { welcome: Some(welcome), ..Default::default() }).await;
    let (mut alive, mut ended) = (Vec::new(), 0);
    while ended == 0 {
        let request = stream.next().await;
        alive.extend(request.heartbeat.into_iter().flat_map(|heartbeat| heartbeat.lease_ids));
        ended += request.reports.len();
    }
    assert!(alive.len() <= 2 && !alive.is_empty(), "renewed at once: {alive:?}");
    gate.open(1);
    assert!(matches!(stream.end().await.news, Some(News::Complete(_))));
}

#[tokio::test]
async fn an_attempt_with_a_lost_lease_is_stopped_and_frees_its_slot() {
    let gate = Gate::new();
    let (mut server, _running, mut stream) = gate_worker(2, &gate).await;
    stream.assign(vec![assignment(1, "test.gate", "x")]).await;
    stream.next().await;
    gate.arrival().await;
    stream.fail(Status::unavailable("cut")).await;
    let (mut stream, hello) = server.joined(terms()).await;
    assert_eq!((hello.held_lease_ids, hello.slots), (vec![lease_id(1)], 2));
    // The handler is cancelled. The server gets only the report of its end.
    let end = stream.end().await;
    assert_eq!((end.lease_id, matches!(end.news, Some(News::Stopped(_)))), (lease_id(1), true));
    stream.assign(vec![assignment(2, "test.gate", "x")]).await;
    gate.open(1);
    let end = stream.end().await;
    assert_eq!((end.lease_id, matches!(end.news, Some(News::Complete(_)))), (lease_id(2), true));
}

#[tokio::test]
async fn a_worker_reconnects_after_three_silent_ping_intervals() {
    let mut server = ScriptedServer::start().await;
    connect(Worker::new().inline_handler("demo.echo", |job| Ok(job.payload)), &server);
    let welcomed = Instant::now();
    let (_silent, _) = server.joined(v1::Welcome { ping_interval: short(100), ..terms() }).await;
    server.next_hello().await;
    assert!(welcomed.elapsed() >= Duration::from_millis(300), "{:?}", welcomed.elapsed());
}

#[tokio::test]
async fn pings_keep_the_connection_open() {
    let mut server = ScriptedServer::start().await;
    connect(Worker::new().inline_handler("demo.echo", |job| Ok(job.payload)), &server);
    let (mut stream, _) = server.joined(v1::Welcome { ping_interval: short(200), ..terms() }).await;
    let joined = Instant::now();
    while joined.elapsed() < Duration::from_millis(1200) {
        stream.ping().await;
        stream.heartbeat().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(server.has_no_new_stream());
}

#[tokio::test]
async fn attempts_end_when_their_leases_expire() {
    let (gate, mut server) = (Gate::new(), ScriptedServer::start().await);
    let (arrivals, ended) = (gate.clone(), CancellationToken::new());
    let handler_ended = ended.clone();
    let worker = Worker::new().raw_handler("long", move |_| {
        let (gate, ended) = (arrivals.clone(), handler_ended.clone().drop_guard());
        async move {
            let _ended = ended;
            gate.pass().await;
            std::future::pending().await
        }
    });
    let running = connect(worker, &server);
    let lease = Duration::from_millis(1500);
    let (mut stream, _) = server.joined(v1::Welcome { lease: short(1500), ..terms() }).await;
    stream.assign(vec![assignment(1, "long", "x")]).await;
    stream.next().await;
    gate.arrival().await;
    // The lease counts from the heartbeat and not from the welcome.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let renewed = Instant::now();
    stream.ping().await;
    assert_eq!(stream.heartbeat().await, [lease_id(1)]);
    // The server does not respond after this.
    drop(server);
    stream.fail(Status::unavailable("cut")).await;
    wait_for("the attempt ends", ended.cancelled()).await;
    let held = renewed.elapsed();
    assert!(held >= lease && held < lease * 10, "{held:?}");
    assert_eq!(running.stop(Duration::from_secs(10)).await, 0);
}
