//! Worker processes that are stopped past the end of their lease and then continue: their late results are rejected.

use rustix::process::Signal;

use super::host::Host;
use super::is_running;
use crate::support::{Dev, until};

/// The lease ends a second before the ping timeout.
const TERMS: [&str; 4] =
    ["--demo=false", "--worker-lease=2s", "--worker-ping-interval=1s", "--worker-reconnect-grace=300ms"];

async fn submit(dev: &Dev, queue: &str) -> String {
    dev.sh(&format!("jobstream submit held --queue {queue}")).await.trim().to_owned()
}

/// Stops worker `late` until worker `other` has its job and a condition holds. Then `late` completes the job.
async fn check_late_result(is_time: impl AsyncFn(&Dev)) {
    let dev = Dev::start(&TERMS).await;
    let mut late = Host::start(&dev.address, "late", "both,own", 1).await;
    let id = submit(&dev, "both").await;
    let holding = format!("holding {id}");
    late.wait_for_line(&holding).await;
    until("the server knows", async || is_running(&dev, &id).await).await;
    late.signal(Signal::STOP);
    let mut other = Host::start(&dev.address, "other", "both", 1).await;
    other.wait_for_line(&holding).await;
    is_time(&dev).await;
    late.release_job().await;
    late.signal(Signal::CONT);
    // It has one slot: this job runs after the server has received the late end.
    let next = submit(&dev, "own").await;
    late.wait_for_line(&format!("holding {next}")).await;
    assert!(is_running(&dev, &id).await, "the late end changed the job");
    other.release_job().await;
    late.release_job().await;
    assert_eq!(dev.sh(&format!("jobstream result {id} --wait")).await, "2 other");
    assert_eq!(dev.sh(&format!("jobstream result {next} --wait")).await, "1 late");
    let events = dev.sh(&format!("jobstream watch {id} -o jsonl")).await;
    assert_eq!(events.matches("\"outcome\"").count(), 1, "{events}");
}

#[tokio::test]
async fn a_worker_stopped_past_its_lease_cannot_complete_its_job() {
    check_late_result(async |_| {}).await;
}

#[tokio::test]
async fn a_worker_stopped_past_its_disconnect_cannot_complete_its_job() {
    let is_disconnected =
        async |dev: &Dev| dev.sh("jobstream workers ls").await.contains("\tlate\tSTREAM\tDISCONNECTED\t");
    check_late_result(async |dev| {
        until("the worker is disconnected", async || is_disconnected(dev).await).await
    })
    .await;
}
