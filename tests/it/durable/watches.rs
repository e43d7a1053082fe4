//! Watches resume after a kill of their server.

use jobstream::client::{Client, ClientOptions, WatchItem};
use serde_json::{Value, json};

use super::{DataDir, submit, watch};
use crate::support::{job, json as payload, wait_for};
use jobstream::proto::v1::{self, JobState};

#[tokio::test]
async fn a_watch_resumes_after_a_restart_without_gap_or_repetition() {
    let mut data_dir = DataDir::new(&[]);
    let dev = data_dir.start().await;
    let chunks = json!({"chunks": 40, "interval_seconds": 0.05});
    let id = submit(&dev, v1::JobSpec { payload: Some(payload(chunks)), ..job("demo.stream") }).await;
    let mut watched = watch(&dev, &id, 0).await;
    while watched.events.len() < 12 {
        assert!(watched.step().await);
    }
    dev.kill().await;
    // Messages in flight before the kill count too.
    let mut before = watched.rest().await;
    assert!(before.status().code() != tonic::Code::Ok);
    let dev = data_dir.start().await;
    let after =
        watch(&dev, &id, before.events.last().expect("the watch has events").sequence).await.rest().await;
    after.outcome();
    before.events.extend(after.events);
    let last = before.events.len() as u32;
    assert_eq!(before.sequences(), (1..=last).collect::<Vec<_>>(), "{:?}", after.gaps);
    let again = watch(&dev, &id, 0).await.rest().await;
    assert_eq!(again.events, before.events);
    let states = before.states();
    assert_eq!(states.iter().filter(|state| **state == JobState::Running).count(), 2, "{states:?}");
}

#[tokio::test]
async fn a_client_watches_its_job_across_a_restart() {
    let mut data_dir = DataDir::new(&[]);
    let dev = data_dir.start().await;
    let client = Client::lazy(&dev.address, ClientOptions::default()).expect("an address");
    let input = json!({"to": 20, "interval_seconds": 0.1});
    let job = client.job("demo.count").json(&input).unwrap().submit::<Value>().await.unwrap();
    let mut watch = job.watch();
    let mut sequences = Vec::new();
    let (mut victim, mut revived) = (Some(dev), None);
    while let Some(item) = wait_for("an item", watch.next()).await {
        if let WatchItem::Event(event) = item.expect("the watch resumes") {
            sequences.push(event.sequence);
        }
        if sequences.len() == 6
            && let Some(dev) = victim.take()
        {
            dev.kill().await;
            revived = Some(data_dir.start().await);
        }
    }
    assert!(sequences.is_sorted_by(|one, next| one < next), "{sequences:?}");
    wait_for("the result", job.into_future()).await.expect("the job succeeds");
    assert!(revived.is_some());
}
