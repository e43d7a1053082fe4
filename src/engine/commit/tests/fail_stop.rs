//! Fail-stop: after the first failed append every call fails.

use super::*;
use crate::engine::SubmitStream;
use crate::job::{AttemptEnd, EventTypes, JobFilter};

/// Makes the next append fail and waits until the engine has failed.
async fn fail(engine: &Engine, disk: &MemoryLog) {
    disk.change(|state| state.is_broken = true);
    assert_failed(submit(engine, job("never durable")).await);
    timeout(TIMEOUT, engine.log_failure()).await.expect("the engine has failed");
}

#[track_caller]
fn assert_failed<T>(answer: Result<T>) {
    let error = answer.err().expect("the log failed");
    assert_eq!(*error.kind(), ErrorKind::LogFailed, "{error}");
}

#[tokio::test]
async fn every_call_after_the_first_failure_fails() {
    let (engine, disk) = engine();
    let spec = SessionSpec { name: "w".to_owned(), kinds: vec![kind()], queues: None, slots: 1 };
    let mut session = engine.open_session(&spec, None);
    let id = submit(&engine, job("durable")).await.expect("the job is accepted").id;
    let orders = timeout(TIMEOUT, session.orders()).await.expect("the attempt starts");
    let Some(Order::Run(assignment)) = orders.front() else { panic!("{orders:?}") };
    fail(&engine, &disk).await;
    assert_failed(submit(&engine, job("x")).await);
    assert_failed(engine.run(job("x"), EventTypes::ALL).await);
    assert_failed(engine.validate(&job("x")).await);
    assert_failed(engine.result(id, None).await);
    assert_failed(engine.result(id, Some(tokio::time::Instant::now() + TIMEOUT)).await);
    assert_failed(engine.job(id).await);
    assert_failed(engine.jobs(&JobFilter::default(), None, PAGE).await);
    assert_failed(engine.watch(id, 0, EventTypes::ALL).await);
    assert_failed(engine.cancel(id, "why", Duration::ZERO).await);
    assert_failed(engine.retry(id, |_| ()).await);
    assert_failed(engine.delete(id).await);
    assert_failed(engine.queues("", 10).await);
    assert_failed(engine.pause_queue("q").await);
    assert_failed(engine.resume_queue("q").await);
    assert_failed(engine.purge_queue("q").await);
    assert_failed(engine.workers(0, 10).await);
    assert_failed(engine.drain_workers("w", Duration::ZERO).await);
    assert_failed(engine.info().await);
    assert_failed(session.reporter().end(assignment.lease, AttemptEnd::Success(Payload::default())));
    assert!(session.orders().now_or_never().is_none(), "no attempt starts");
}

#[tokio::test]
async fn waiting_calls_and_streams_end_with_the_failure() {
    let (engine, disk) = engine();
    let id = submit(&engine, job("waits")).await.expect("it is durable").id;
    let mut watch = engine.watch(id, 1, EventTypes::ALL).await.expect("it is durable");
    let mut stream = SubmitStream::new(engine.clone());
    let (mut acks, mut ended) = (std::collections::VecDeque::new(), std::collections::VecDeque::new());
    let context = &Context::from_waker(Waker::noop());
    assert!(stream.poll_durable(context, &mut acks, &mut ended).is_pending());
    let until = tokio::time::Instant::now() + TIMEOUT;
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.result(id, Some(until)).await }
    });
    let watching = tokio::spawn(async move { watch.next().await });
    tokio::task::yield_now().await;
    let before = disk.read(|state| state.requests);
    fail(&engine, &disk).await;
    assert_failed(timeout(TIMEOUT, waiting).await.expect("it ends").expect("no panic"));
    assert_failed(timeout(TIMEOUT, watching).await.expect("it ends").expect("no panic"));
    assert_failed(
        timeout(TIMEOUT, std::future::poll_fn(|context| stream.poll_durable(context, &mut acks, &mut ended)))
            .await
            .expect("it ends"),
    );
    assert_eq!(disk.read(|state| state.requests), before + 1, "no append follows the failed one");
}

#[tokio::test]
async fn admission_waiters_of_a_full_log_are_woken_by_its_failure() {
    let (engine, disk) = engine();
    disk.change(|state| state.level = Some(SpaceLevel::Critical));
    engine.pause_queue("q").await.expect("it is durable");
    timeout(TIMEOUT, async {
        while engine.has_capacity() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("admission is refused");
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.submit(job("waits")).await }
    });
    tokio::task::yield_now().await;
    disk.change(|state| state.is_broken = true);
    engine.command(|state, _, effects| state.core.pause_queue("breaks", effects)).value.expect("a name");
    assert_failed(engine.durable().await);
    assert_failed(timeout(TIMEOUT, waiting).await.expect("it ends").expect("no panic"));
}
