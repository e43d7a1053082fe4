//! An attempt that a worker was sent and never accepted: whatever becomes of the server, its number is not used again.

use std::collections::HashSet;

use super::{Home, end, submit};
use crate::support::raw_worker::{RawWorker, complete, hello};
use crate::support::{connect, job};

#[tokio::test]
async fn no_two_workers_are_sent_the_same_number_across_kills_of_the_server() {
    let mut home = Home::new(&[]);
    let mut sent = HashSet::new();
    let mut dev = home.start().await;
    let id = submit(&dev, job("remote")).await;
    for instance in 1..=4 {
        let channel = connect(dev.address.parse().expect("an address")).await;
        let mut worker = RawWorker::try_open(channel, hello(instance, 1)).await.expect("it is welcome");
        let assignment = worker.assigned(1).await.remove(0);
        assert_eq!(assignment.job_id, id);
        assert!(sent.insert(assignment.attempt), "{} was sent before: {sent:?}", assignment.attempt);
        if instance == 4 {
            worker.report(&assignment.lease_id, complete("done")).await;
            assert_eq!(end(&dev, &id).await.text(), "done", "one attempt was enough");
            break;
        }
        // It may run it now, though it says nothing.
        dev.kill().await;
        dev = home.start().await;
    }
}
