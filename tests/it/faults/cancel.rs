//! Latency of cancels to a remote handler among a thousand running ones.

use std::time::{Duration, Instant};

use jobstream::client::Client;
use jobstream::proto::v1;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::worker::RemoteOptions;

use super::SLACK;
use super::observer::{HandlerEvent, HandlerObserver};
use crate::support::{Dev, connect, job, new_id, until, wait_for};

const JOBS: usize = 1_000;
/// One in this many jobs is cancelled.
const STEP: usize = 20;

async fn runs(dev: &Dev) -> usize {
    dev.sh("jobstream jobs ls --state running --limit 1000").await.lines().count()
}

/// Returns the latencies from the call to the handler, sorted.
async fn cancels() -> Vec<Duration> {
    let dev = Dev::start(&["--demo=false"]).await;
    let (worker, mut observer) = HandlerObserver::of("busy");
    let client = Client::connect(&dev.address).await.expect("a server");
    let _running = worker.slots(JOBS as u32).connect(&client, RemoteOptions::default()).expect("valid names");
    let mut jobs = JobServiceClient::new(connect(dev.address.parse().expect("an address")).await);
    let ids: Vec<_> = (0..JOBS).map(|_| new_id()).collect();
    let specs = ids.iter().map(|id| v1::JobSpec { job_id: id.clone(), ..job("hold") }).collect();
    jobs.batch_submit(v1::BatchSubmitRequest { jobs: specs, ..Default::default() }).await.expect("accepted");
    for id in &ids {
        observer.wait_for_event(HandlerEvent::Started, id).await;
    }
    until("all run", async || runs(&dev).await == JOBS).await;
    let mut took = Vec::new();
    for id in ids.iter().step_by(STEP) {
        let request = v1::CancelRequest { job_id: id.clone(), reason: "a test".to_owned(), grace: None };
        let begun = Instant::now();
        wait_for("Cancel answers", jobs.cancel(request)).await.expect("it is running");
        took.push(observer.wait_for_event(HandlerEvent::Cancelled, id).await.at - begun);
    }
    assert_eq!(took.len(), JOBS / STEP);
    assert!(!observer.has_seen_event(HandlerEvent::Cancelled), "other handlers were cancelled");
    took.sort();
    println!(
        "cancels reached their handlers within {:?}, at worst {:?}",
        took[took.len() / 2],
        took[took.len() - 1]
    );
    took
}

#[tokio::test]
async fn a_cancel_reaches_one_of_a_thousand_remote_handlers() {
    assert!(cancels().await[JOBS / STEP - 1] < SLACK);
}

#[tokio::test]
#[ignore = "measures a latency: run it in release"]
async fn a_cancel_reaches_one_of_a_thousand_handlers_within_100_ms() {
    assert!(cancels().await[JOBS / STEP - 1] < Duration::from_millis(100));
}
