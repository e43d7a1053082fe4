//! The feed of all jobs on a log: no change is read before it is durable.

use super::*;
use crate::engine::FeedItem;
use crate::job::ChangeFilter;

#[tokio::test]
async fn a_change_is_read_once_it_is_durable() {
    let (engine, disk) = engine();
    let mut changes = engine.watch_jobs(ChangeFilter::default(), None).expect("a subscription");
    let first = submit(&engine, job("durable")).await.expect("it is durable").id;
    let items = timeout(TIMEOUT, changes.next()).await.expect("a change").expect("no error");
    assert!(matches!(&items[..], [FeedItem::Change { change, .. }] if change.job_id == first), "{items:?}");
    disk.change(|state| state.is_held = true);
    submit_now(&engine, [job("waits")]);
    for _ in 0..100 {
        assert!(changes.next().now_or_never().is_none(), "the disk has not synced");
        tokio::task::yield_now().await;
    }
    disk.change(|state| state.is_held = false);
    let items = timeout(TIMEOUT, changes.next()).await.expect("a change").expect("no error");
    assert!(matches!(&items[..], [FeedItem::Change { .. }]), "{items:?}");
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
