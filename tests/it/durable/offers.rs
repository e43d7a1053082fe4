//! The number of an attempt that was sent and not accepted is not reused after a kill of the server.

use std::collections::HashSet;

use super::{DataDir, end, submit};
use crate::support::raw_worker::{RawWorker, complete, hello};
use crate::support::{connect, job};

#[tokio::test]
async fn an_attempt_number_is_not_reused_across_kills() {
    let mut data_dir = DataDir::new(&[]);
    let mut sent = HashSet::new();
    let mut dev = data_dir.start().await;
    let id = submit(&dev, job("remote")).await;
    for instance in 1..=4 {
        let channel = connect(dev.address.parse().expect("an address")).await;
        let mut worker = RawWorker::try_open(channel, hello(instance, 1)).await.expect("it is welcome");
        let assignment = worker.assigned(1).await.remove(0);
        assert_eq!(assignment.job_id, id);
        assert!(sent.insert(assignment.attempt), "{} was sent before: {sent:?}", assignment.attempt);
        if instance == 4 {
            worker.report(&assignment.lease_id, complete("done")).await;
            assert_eq!(end(&dev, &id).await.text(), "done", "one attempt is counted");
            break;
        }
        // The worker may run it without an accept.
        dev.kill().await;
        dev = data_dir.start().await;
    }
}
