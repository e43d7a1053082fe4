//! Attempts of a remote worker after a kill and restart of its server.

use jobstream::client::Client;
use jobstream::worker::{RemoteOptions, WorkerStatus};

use super::is_running;
use super::observer::{HandlerEvent, HandlerObserver};
use crate::support::{Dev, until, wait_for};

/// Submits a job and waits until its attempt is accepted.
async fn running(dev: &Dev, kind: &str, observer: &mut HandlerObserver) -> String {
    let id = dev.sh(&format!("jobstream submit {kind}")).await.trim().to_owned();
    observer.wait_for_event(HandlerEvent::Started, &id).await;
    until("the server knows", async || is_running(dev, &id).await).await;
    id
}

#[tokio::test]
async fn attempts_unknown_to_a_restarted_server_are_stopped() {
    let mut dev = Dev::start(&["--demo=false"]).await;
    let (worker, mut observer) = HandlerObserver::of("survivor");
    let client = Client::connect(&dev.address).await.expect("a server");
    let worker = worker.slots(3).connect(&client, RemoteOptions::default()).expect("valid names");
    let cancellable = running(&dev, "hold", &mut observer).await;
    let stubborn = running(&dev, "stubborn", &mut observer).await;
    let mut status = worker.status();
    dev.child.kill().await.expect("it is running");
    let lost = status.wait_for(|status| matches!(status, WorkerStatus::Connecting { .. }));
    wait_for("the worker notices", lost).await.expect("it is running");
    assert!(
        !observer.has_seen_event(HandlerEvent::Cancelled) && !observer.has_seen_event(HandlerEvent::Dropped),
        "attempts continue without a server"
    );
    let dev = Dev::start_at(&dev.address, &["--demo=false"]).await;
    observer.wait_for_event(HandlerEvent::Cancelled, &cancellable).await;
    observer.wait_for_event(HandlerEvent::Dropped, &stubborn).await;
    assert!(wait_for("it is connected", worker.connected()).await);
    let slots =
        async || dev.sh("jobstream workers ls").await.contains("\tsurvivor\tSTREAM\tCONNECTED\t0/3\t");
    until("their slots are free", slots).await;
    let next = running(&dev, "hold", &mut observer).await;
    observer.gate.open(1);
    assert_eq!(dev.sh(&format!("jobstream result {next} --wait")).await, "1 survivor");
    assert_eq!(
        dev.sh("jobstream jobs ls").await.lines().count(),
        1,
        "the ends of unknown attempts create no job"
    );
}
