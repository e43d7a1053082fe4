//! An engine whose disk never syncs: no call of an embedder completes.

use std::collections::VecDeque;
use std::pin::Pin;

use super::*;
use crate::engine::{ReportAcks, Session, StreamBatch, SubmitStream, TakeLimit, WorkerSession};
use crate::job::{
    AttemptEnd, AttemptReport, AttemptUpdate, EventTypes, Hello, JobFilter, LeaseId, Peer, WorkerFrame,
};

fn served_engine() -> (Engine, MemoryLog, Session) {
    let (engine, disk) = engine();
    let spec = SessionSpec { name: "w".to_owned(), kinds: vec![kind()], queues: None, slots: 1 };
    let session = engine.open_session(&spec, None);
    (engine, disk, session)
}

/// Returns a job that no worker serves.
fn waiting() -> NewJob {
    let mut job = job("waits");
    job.kind = Kind::parse("kind", "unserved").expect("a kind");
    job
}

/// Starts a job and waits until its start is durable.
async fn begin(engine: &Engine, session: &mut Session) -> (JobId, LeaseId) {
    let id = submit(engine, job("runs")).await.expect("the job is accepted").id;
    let orders = timeout(TIMEOUT, session.orders()).await.expect("the attempt starts");
    let Some(Order::Run(assignment)) = orders.front() else { panic!("{orders:?}") };
    (id, assignment.lease)
}

type Answer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Boxes a call and discards its result.
fn answer<T: Send>(
    name: &'static str,
    call: impl Future<Output = T> + Send + 'static,
) -> (&'static str, Answer) {
    (name, Box::pin(async move { drop(call.await) }))
}

/// Returns every public call that changes or reads state, each on a clone of the engine.
fn calls(engine: &Engine, known: JobId, new: JobId) -> Vec<(&'static str, Answer)> {
    let on = || engine.clone();
    let (a, b, c, d, e, f, g) = (on(), on(), on(), on(), on(), on(), on());
    let (h, i, j, k, l, m, n, o) = (on(), on(), on(), on(), on(), on(), on(), on());
    let until = tokio::time::Instant::now() + TIMEOUT;
    vec![
        answer("submit", async move { a.submit(job("x")).await }),
        answer("run", async move { b.run(job("x"), EventTypes::ALL).await }),
        answer("result", async move { c.result(new, None).await }),
        answer("wait", async move { d.result(new, Some(until)).await }),
        answer("job", async move { e.job(new).await }),
        answer("list", async move { f.jobs(&JobFilter::default(), None, PAGE).await }),
        answer("watch", async move { g.watch(new, 0, EventTypes::ALL).await }),
        answer("cancel", async move { h.cancel(known, "why", Duration::ZERO).await }),
        answer("retry", async move { i.retry(known, |_| ()).await }),
        answer("delete", async move { j.delete(known).await }),
        answer("queues", async move { k.queues("", 10).await }),
        answer("pause", async move { l.pause_queue("q").await }),
        answer("purge", async move { m.purge_queue("default").await }),
        answer("validate", async move { n.validate(&job("x")).await }),
        answer("info", async move { o.info().await }),
    ]
}

#[tokio::test]
async fn no_call_completes_before_its_records_are_durable() {
    let (engine, disk, _session) = served_engine();
    let known = submit(&engine, waiting()).await.expect("it is durable").id;
    disk.change(|state| state.is_held = true);
    let new = waiting();
    let new_id = new.id.expect("the job has an id");
    submit_now(&engine, [new]);
    let mut calls = calls(&engine, known, new_id);
    for _ in 0..100 {
        for (name, call) in &mut calls {
            assert!(call.now_or_never().is_none(), "{name} answers what is not durable");
        }
        tokio::task::yield_now().await;
    }
    disk.change(|state| state.is_held = false);
    for (name, call) in calls.into_iter().filter(|(name, _)| *name != "wait") {
        timeout(TIMEOUT, call).await.unwrap_or_else(|_| panic!("{name} never completes"));
    }
}

#[tokio::test]
async fn a_watch_returns_only_durable_events() {
    let (engine, disk, mut session) = served_engine();
    let (id, lease) = begin(&engine, &mut session).await;
    let mut watch = engine.watch(id, 0, EventTypes::ALL).await.expect("the job exists");
    assert_eq!(timeout(TIMEOUT, watch.next()).await.expect("durable").expect("events").len(), 2);
    disk.change(|state| state.is_held = true);
    session.reporter().end(lease, AttemptEnd::Success(Payload::text("done"))).expect("the attempt runs");
    for _ in 0..100 {
        assert!(watch.next().now_or_never().is_none(), "the end is not durable");
        tokio::task::yield_now().await;
    }
    disk.change(|state| state.is_held = false);
    assert_eq!(timeout(TIMEOUT, watch.next()).await.expect("durable").expect("the end").len(), 1);
}

#[tokio::test]
async fn a_submit_stream_gets_durable_acknowledgements_before_outcomes() {
    let (engine, disk, mut session) = served_engine();
    let mut stream = SubmitStream::new(engine.clone());
    disk.change(|state| state.is_held = true);
    let batch = Batch { caller: Caller::Embedder, jobs: vec![Ok(job("x"))] };
    assert_eq!(stream.submit(vec![StreamBatch { number: 7, batch, outcomes: true }]), 1);
    let (mut acks, mut ended) = (VecDeque::new(), VecDeque::new());
    let context = &Context::from_waker(Waker::noop());
    assert!(stream.poll_durable(context, &mut acks, &mut ended).is_pending());
    assert!(session.orders().now_or_never().is_none(), "the start is not durable");
    disk.change(|state| state.is_held = false);
    let next = std::future::poll_fn(|context| stream.poll_durable(context, &mut acks, &mut ended));
    timeout(TIMEOUT, next).await.expect("durable").expect("the log works");
    assert_eq!((acks.pop_front().expect("one").batch, ended.len()), (7, 0));
    let orders = timeout(TIMEOUT, session.orders()).await.expect("the attempt starts");
    let Some(Order::Run(assignment)) = orders.front() else { panic!("{orders:?}") };
    disk.change(|state| state.is_held = true);
    session
        .reporter()
        .end(assignment.lease, AttemptEnd::Success(Payload::default()))
        .expect("the attempt runs");
    assert!(stream.poll_durable(context, &mut acks, &mut ended).is_pending());
    disk.change(|state| state.is_held = false);
    let next = std::future::poll_fn(|context| stream.poll_durable(context, &mut acks, &mut ended));
    timeout(TIMEOUT, next).await.expect("durable").expect("the log works");
    assert_eq!((acks.len(), ended.len()), (0, 1));
}

fn hello() -> Hello {
    let spec = SessionSpec { name: "r".to_owned(), kinds: vec![kind()], queues: None, slots: 1 };
    Hello { spec, peer: Peer::default(), instance: uuid::Uuid::now_v7(), held: Vec::new() }
}

#[tokio::test]
async fn a_remote_worker_gets_durable_orders_and_acknowledgements() {
    let (engine, disk) = engine();
    let (worker, _) =
        timeout(TIMEOUT, WorkerSession::connect(&engine, &hello())).await.expect("durable").expect("welcome");
    let mut acks = ReportAcks::new(engine.clone());
    let context = &Context::from_waker(Waker::noop());
    let limit = TakeLimit { bytes: 1 << 20, may_exceed: true };
    disk.change(|state| state.is_held = true);
    submit_now(&engine, [job("x")]);
    assert!(worker.poll_orders(context, limit).is_pending(), "the start is not durable");
    disk.change(|state| state.is_held = false);
    let orders = std::future::poll_fn(|context| worker.poll_orders(context, limit));
    let orders = timeout(TIMEOUT, orders).await.expect("durable").expect("the log works").orders;
    let Some(Order::Run(assignment)) = orders.front() else { panic!("{orders:?}") };
    disk.change(|state| state.is_held = true);
    let end = AttemptUpdate::End(AttemptEnd::Success(Payload::default()));
    let report = AttemptReport { sequence: 1, lease: assignment.lease, update: Ok(end) };
    let frame =
        WorkerFrame { accepted: vec![assignment.lease], reports: vec![report], ..WorkerFrame::default() };
    worker.apply(frame, &mut acks);
    assert!(acks.poll_next(context).is_pending(), "the outcome is not durable");
    disk.change(|state| state.is_held = false);
    let ack = std::future::poll_fn(|context| acks.poll_next(context));
    let ack = timeout(TIMEOUT, ack).await.expect("durable").expect("the log works");
    assert_eq!((ack.sequence, ack.refusals.len()), (1, 0));
}

#[tokio::test]
async fn a_replaced_stream_applies_no_reports() {
    let (engine, _disk) = engine();
    let hello = hello();
    let connected = async || WorkerSession::connect(&engine, &hello).await.expect("welcome");
    let (replaced, _) = timeout(TIMEOUT, connected()).await.expect("durable");
    let (_newer, welcome) = timeout(TIMEOUT, connected()).await.expect("durable");
    assert_eq!(welcome.reports_taken, 0, "the worker resends the report");
    let end = AttemptUpdate::End(AttemptEnd::Cancelled);
    let report = AttemptReport {
        sequence: 1,
        lease: LeaseId::parse(&"7".repeat(32)).expect("an id"),
        update: Ok(end),
    };
    let mut acks = ReportAcks::new(engine.clone());
    replaced.apply(WorkerFrame { reports: vec![report], ..WorkerFrame::default() }, &mut acks);
    assert!(acks.is_empty());
    let (_, welcome) = timeout(TIMEOUT, connected()).await.expect("durable");
    assert_eq!(welcome.reports_taken, 0);
}
