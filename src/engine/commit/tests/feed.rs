//! The feed of all jobs and a watch on a log: no change is read before it is durable.

use super::*;
use crate::engine::FeedItem;
use crate::job::{ChangeFilter, EventTypes};

#[tokio::test]
async fn a_change_is_read_once_it_is_durable() {
    let (engine, disk) = engine();
    let mut changes = engine.watch_jobs(ChangeFilter::default(), None).expect("a subscription");
    let first = submit(&engine, job("durable")).await.expect("it is durable").id;
    let items = timeout(TIMEOUT, changes.next()).await.expect("a change").expect("no error");
    assert!(matches!(&items[..], [FeedItem::Change { change, .. }] if change.job_id == first), "{items:?}");
    disk.change(|state| state.is_held = true);
    let cursor = changes.cursor();
    submit_now(&engine, [job("waits")]);
    for _ in 0..100 {
        assert!(changes.next().now_or_never().is_none(), "the disk has not synced");
        tokio::task::yield_now().await;
    }
    assert_eq!(changes.cursor(), cursor, "a caller that resumes after it gets the change");
    disk.change(|state| state.is_held = false);
    let items = timeout(TIMEOUT, changes.next()).await.expect("a change").expect("no error");
    let [FeedItem::Change { cursor, .. }] = items[..] else { panic!("{items:?}") };
    assert_eq!(changes.cursor(), cursor);
}

#[tokio::test]
async fn the_sequence_of_a_watch_is_that_of_its_last_durable_event() {
    let (engine, disk) = engine();
    let id = submit(&engine, job("durable")).await.expect("it is durable").id;
    let mut watch = engine.watch(id, 0, EventTypes::ALL).await.expect("a job");
    timeout(TIMEOUT, watch.next()).await.expect("an event").expect("no error");
    assert_eq!(watch.sequence(), 1);
    disk.change(|state| state.is_held = true);
    let cancelled = tokio::spawn({
        let engine = engine.clone();
        async move { engine.cancel(id, "enough", Duration::ZERO).await }
    });
    for _ in 0..100 {
        assert!(watch.next().now_or_never().is_none(), "the disk has not synced");
        tokio::task::yield_now().await;
    }
    assert_eq!(watch.sequence(), 1);
    disk.change(|state| state.is_held = false);
    timeout(TIMEOUT, watch.next()).await.expect("the end").expect("no error");
    assert_eq!(watch.sequence(), 2);
    cancelled.await.expect("no panic").expect("it was cancelled");
}

#[tokio::test]
async fn an_idle_feed_ends_when_the_log_fails() {
    let (engine, disk) = engine();
    let mut changes = engine.watch_jobs(ChangeFilter::default(), None).expect("a subscription");
    assert!(changes.next().now_or_never().is_none());
    disk.change(|state| state.is_broken = true);
    submit(&engine, job("lost")).await.expect_err("the append fails");
    let error = timeout(TIMEOUT, changes.next()).await.expect("an end").expect_err("the log failed");
    assert_eq!(*error.kind(), ErrorKind::LogFailed);
    let error = engine.watch_jobs(ChangeFilter::default(), None).err().expect("a refusal");
    assert_eq!(*error.kind(), ErrorKind::LogFailed);
}
