//! Job ids of idempotency keys depend on the log alone.

use super::*;

async fn id_of_key(engine: &Engine) -> JobId {
    timeout(TIMEOUT, engine.job_id_of_key("alice", "order-123"))
        .await
        .expect("it completes")
        .expect("the log works")
}

#[tokio::test]
async fn a_restart_and_a_compaction_preserve_the_ids_of_keys() {
    let (engine, disk) = engine();
    let id = id_of_key(&engine).await;
    assert_eq!(id_of_key(&recovered(&disk)).await, id, "another engine on the same log");
    submit_all(&engine, (0..100).map(|_| job("more"))).await;
    let before = disk.read(|state| state.entries.last().expect("entries").0);
    engine.compact(all(&disk)).await.expect("the log works");
    let is_trimmed = || disk.read(|state| state.entries.iter().all(|(batch, ..)| *batch >= before));
    timeout(TIMEOUT, async {
        while !is_trimmed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the first record of the log is trimmed");
    assert_eq!(id_of_key(&recovered(&disk)).await, id, "after a compaction");
    let other = Engine::new(options(), Clock::system());
    assert_ne!(id_of_key(&other).await, id, "an engine with another secret");
}

#[tokio::test]
async fn no_id_of_a_key_leaves_before_its_secret_is_durable() {
    let disk = MemoryLog::default();
    disk.change(|state| state.is_held = true);
    let (engine, disk) = engine_on(disk, options());
    let mut id = Box::pin(engine.job_id_of_key("alice", "order-123"));
    for _ in 0..100 {
        assert!((&mut id).now_or_never().is_none(), "the secret is not durable");
        tokio::task::yield_now().await;
    }
    disk.change(|state| state.is_held = false);
    timeout(TIMEOUT, id).await.expect("it completes").expect("the log works");
    disk.change(|state| state.is_held = true);
    submit_now(&engine, [job("waits for the disk")]);
    let id = engine.job_id_of_key("alice", "order-123").now_or_never();
    assert!(id.is_some_and(|id| id.is_ok()), "later records delay no id");
}

#[tokio::test]
async fn without_its_secret_a_log_gives_no_id_of_a_key() {
    let disk = MemoryLog::default();
    disk.change(|state| state.is_broken = true);
    let (engine, _) = engine_on(disk, options());
    let id = timeout(TIMEOUT, engine.job_id_of_key("alice", "order-123")).await.expect("it completes");
    assert_eq!(*id.expect_err("the log failed").kind(), ErrorKind::LogFailed);
}
