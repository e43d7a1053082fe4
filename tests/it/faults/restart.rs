//! A server that is killed and started again, and what its worker then does with its attempts.

use jobstream::client::Client;
use jobstream::worker::{RemoteOptions, WorkerStatus};

use super::is_running;
use super::witness::{Seen, Witness};
use crate::support::{Dev, until, wait_for};

/// Submits a job and waits until its handler runs and the server knows.
async fn running(dev: &Dev, kind: &str, witness: &mut Witness) -> String {
    let id = dev.sh(&format!("jobstream submit {kind}")).await.trim().to_owned();
    witness.sees(Seen::Began, &id).await;
    until("the server knows", async || is_running(dev, &id).await).await;
    id
}

#[tokio::test]
async fn attempts_that_a_restarted_server_does_not_know_are_stopped() {
    let mut dev = Dev::start(&["--demo=false"]).await;
    let (worker, mut witness) = Witness::of("survivor");
    let client = Client::connect(&dev.address).await.expect("a server");
    let worker = worker.slots(3).connect(&client, RemoteOptions::default()).expect("good names");
    let listening = running(&dev, "hold", &mut witness).await;
    let deaf = running(&dev, "deaf", &mut witness).await;
    let mut status = worker.status();
    dev.child.kill().await.expect("it runs");
    let lost = status.wait_for(|status| matches!(status, WorkerStatus::Connecting { .. }));
    wait_for("the worker notices", lost).await.expect("it runs");
    assert!(!witness.has_seen(Seen::Told) && !witness.has_seen(Seen::Dropped), "what runs goes on meanwhile");
    let dev = Dev::start_at(&dev.address, &["--demo=false"]).await;
    witness.sees(Seen::Told, &listening).await;
    witness.sees(Seen::Dropped, &deaf).await;
    assert!(wait_for("it is connected", worker.connected()).await);
    let slots =
        async || dev.sh("jobstream workers ls").await.contains("\tsurvivor\tSTREAM\tCONNECTED\t0/3\t");
    until("their slots are free", slots).await;
    let next = running(&dev, "hold", &mut witness).await;
    witness.gate.open(1);
    assert_eq!(dev.sh(&format!("jobstream result {next} --wait")).await, "1 survivor");
    assert_eq!(dev.sh("jobstream jobs ls").await.lines().count(), 1, "the ends of the others made no job");
}
