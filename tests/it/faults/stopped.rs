//! Worker processes that are stopped past their lease and then go on: they come too late, and do no harm.

use rustix::process::Signal;

use super::host::Host;
use super::is_running;
use crate::support::{Dev, until};

/// Times that leave a second between the end of a lease and that of the connection.
const TERMS: [&str; 4] =
    ["--demo=false", "--worker-lease=2s", "--worker-ping-interval=1s", "--worker-reconnect-grace=300ms"];

async fn submit(dev: &Dev, queue: &str) -> String {
    dev.sh(&format!("jobstream submit held --queue {queue}")).await.trim().to_owned()
}

/// Worker `late` is stopped with a job that worker `other` gets then, and goes on to complete it once this has come true.
async fn comes_too_late(is_time: impl AsyncFn(&Dev)) {
    let dev = Dev::start(&TERMS).await;
    let mut late = Host::start(&dev.address, "late", "both,own", 1).await;
    let id = submit(&dev, "both").await;
    let holding = format!("holding {id}");
    late.says(&holding).await;
    until("the server knows", async || is_running(&dev, &id).await).await;
    late.signal(Signal::STOP);
    let mut other = Host::start(&dev.address, "other", "both", 1).await;
    other.says(&holding).await;
    is_time(&dev).await;
    late.let_go().await;
    late.signal(Signal::CONT);
    // It has one slot: this job runs once the server has heard of the end of the other.
    let next = submit(&dev, "own").await;
    late.says(&format!("holding {next}")).await;
    assert!(is_running(&dev, &id).await, "the late end moved the job");
    other.let_go().await;
    late.let_go().await;
    assert_eq!(dev.sh(&format!("jobstream result {id} --wait")).await, "2 other");
    assert_eq!(dev.sh(&format!("jobstream result {next} --wait")).await, "1 late");
    let events = dev.sh(&format!("jobstream watch {id} -o jsonl")).await;
    assert_eq!(events.matches("\"outcome\"").count(), 1, "{events}");
}

#[tokio::test]
async fn a_worker_that_was_stopped_past_its_lease_completes_nothing() {
    comes_too_late(async |_| {}).await;
}

#[tokio::test]
async fn nor_does_one_that_was_stopped_until_it_was_cut_off() {
    let is_cut_off =
        async |dev: &Dev| dev.sh("jobstream workers ls").await.contains("\tlate\tSTREAM\tDISCONNECTED\t");
    comes_too_late(async |dev| until("it is cut off", async || is_cut_off(dev).await).await).await;
}
