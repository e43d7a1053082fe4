//! After the first failed append every call is refused.

use super::*;
use crate::engine::{PageBounds, SubmitStream};
use crate::job::{AttemptEnd, EventTypes, JobFilter};

const PAGE: PageBounds = PageBounds { jobs: 100, bytes: 1 << 20, with_payloads: true };

/// Has the next append fail, and waits until the engine knows.
async fn fail(engine: &Engine, disk: &MemoryLog) {
    disk.change(|state| state.is_broken = true);
    is_refused(submit(engine, job("never durable")).await);
    timeout(PATIENCE, engine.log_failure()).await.expect("it is known");
}

#[track_caller]
fn is_refused<T>(answer: Result<T>) {
    let error = answer.err().expect("the log failed");
    assert_eq!(*error.kind(), ErrorKind::LogFailed, "{error}");
}

#[tokio::test]
async fn every_call_after_the_first_failure_is_refused() {
    let (engine, disk) = engine();
    let spec = SessionSpec { name: "w".to_owned(), kinds: vec![kind()], queues: None, slots: 1 };
    let mut session = engine.open_session(&spec, None);
    let id = submit(&engine, job("durable")).await.expect("it is accepted").id;
    let orders = timeout(PATIENCE, session.orders()).await.expect("it starts");
    let Some(Order::Run(assignment)) = orders.front() else { panic!("{orders:?}") };
    fail(&engine, &disk).await;
    is_refused(submit(&engine, job("x")).await);
    is_refused(engine.run(job("x"), EventTypes::ALL).await);
    is_refused(engine.validate(&job("x")).await);
    is_refused(engine.result(id, None).await);
    is_refused(engine.result(id, Some(tokio::time::Instant::now() + PATIENCE)).await);
    is_refused(engine.job(id).await);
    is_refused(engine.jobs(&JobFilter::default(), None, PAGE).await);
    is_refused(engine.watch(id, 0, EventTypes::ALL).await);
    is_refused(engine.cancel(id, "why", Duration::ZERO).await);
    is_refused(engine.retry(id, |_| ()).await);
    is_refused(engine.delete(id).await);
    is_refused(engine.queues("", 10).await);
    is_refused(engine.pause_queue("q").await);
    is_refused(engine.resume_queue("q").await);
    is_refused(engine.purge_queue("q").await);
    is_refused(engine.workers(0, 10).await);
    is_refused(engine.drain_workers("w", Duration::ZERO).await);
    is_refused(engine.info().await);
    is_refused(session.reporter().end(assignment.lease, AttemptEnd::Success(Payload::default())));
    assert!(session.orders().now_or_never().is_none(), "nothing more is started");
}

#[tokio::test]
async fn every_waiting_call_and_stream_ends_with_the_failure() {
    let (engine, disk) = engine();
    let id = submit(&engine, job("waits")).await.expect("it is durable").id;
    let mut watch = engine.watch(id, 1, EventTypes::ALL).await.expect("it is durable");
    let mut stream = SubmitStream::new(engine.clone());
    let (mut acks, mut ended) = (std::collections::VecDeque::new(), std::collections::VecDeque::new());
    let context = &Context::from_waker(Waker::noop());
    assert!(stream.poll_durable(context, &mut acks, &mut ended).is_pending());
    let until = tokio::time::Instant::now() + PATIENCE;
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.result(id, Some(until)).await }
    });
    let watching = tokio::spawn(async move { watch.next().await });
    tokio::task::yield_now().await;
    let before = disk.read(|state| state.requests);
    fail(&engine, &disk).await;
    is_refused(timeout(PATIENCE, waiting).await.expect("it ends").expect("no panic"));
    is_refused(timeout(PATIENCE, watching).await.expect("it ends").expect("no panic"));
    is_refused(
        timeout(
            PATIENCE,
            std::future::poll_fn(|context| stream.poll_durable(context, &mut acks, &mut ended)),
        )
        .await
        .expect("it ends"),
    );
    assert_eq!(disk.read(|state| state.requests), before + 1, "no append follows the failed one");
}

#[tokio::test]
async fn callers_held_back_by_a_full_log_are_released_by_its_failure() {
    let (engine, disk) = engine();
    disk.change(|state| state.level = Some(SpaceLevel::Critical));
    engine.pause_queue("q").await.expect("it is written");
    timeout(PATIENCE, async {
        while engine.has_capacity() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is tight");
    let held = tokio::spawn({
        let engine = engine.clone();
        async move { engine.submit(job("held back")).await }
    });
    tokio::task::yield_now().await;
    disk.change(|state| state.is_broken = true);
    engine.command(|state, _, effects| state.core.pause_queue("breaks", effects)).value.expect("a name");
    is_refused(engine.durable().await);
    is_refused(timeout(PATIENCE, held).await.expect("it ends").expect("no panic"));
}
