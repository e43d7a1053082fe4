//! The cost of subscribers whose filter matches nothing: memory of each, and processor time of each change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use tokio::time::interval;
use tonic::transport::Channel;

use super::{Feed, all};
use crate::support::{Dev, batch, connect, echo};

/// Feeds of one connection.
const OF_CONNECTION: usize = 250;
const SUBSCRIBERS: usize = 1_000;
/// Jobs of a load at full speed. Each has 3 changes.
const BURST_JOBS: usize = 100_000;
/// Jobs of a load of 100 jobs a second.
const PACED_JOBS: usize = 1_000;
const PACE: Duration = Duration::from_millis(10);

/// The processor time of the server.
fn cpu(dev: &Dev) -> Duration {
    /// Of a clock tick on Linux.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", dev.id())).expect("it runs on Linux");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let fields: Vec<_> = fields.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<u32>().expect("a number");
    TICK * (ticks(11) + ticks(12))
}

/// Runs a load. Returns the processor time of the server for each change.
async fn cpu_of_change(dev: &Dev, client: &mut JobServiceClient<Channel>, is_paced: bool) -> Duration {
    let before = cpu(dev);
    let jobs = if is_paced { PACED_JOBS } else { BURST_JOBS };
    let mut pace = interval(PACE);
    let mut last = String::new();
    for _ in 0..if is_paced { jobs } else { jobs / 1_000 } {
        let jobs = if is_paced { vec![echo("x")] } else { batch(1_000) };
        let answer = client.batch_submit(v1::BatchSubmitRequest { jobs, atomic: true }).await.expect("jobs");
        if let Some(v1::submit_result::Result::Submitted(submitted)) =
            answer.into_inner().results.pop().and_then(|result| result.result)
        {
            last = submitted.job_id;
        }
        if is_paced {
            pace.tick().await;
        }
    }
    let wait = Some(prost_types::Duration { seconds: 30, nanos: 0 });
    client.get_result(v1::GetResultRequest { job_id: last, wait }).await.expect("a result");
    (cpu(dev) - before) / (3 * jobs as u32)
}

#[tokio::test]
#[ignore = "measures memory and processor time: run it in release"]
async fn idle_subscribers_cost_little() {
    let dev = Dev::start(&["--retention-bytes-max", "64MiB"]).await;
    let mut client = JobServiceClient::new(dev.channel());
    let mut feeds = Vec::new();
    for subscribers in [0, 1, 100, SUBSCRIBERS] {
        let before = dev.memory_bytes("VmRSS");
        let opened = subscribers - feeds.len();
        while feeds.len() < subscribers {
            let channel = connect(dev.address.parse().expect("an address")).await;
            let mut client = JobServiceClient::new(channel);
            for _ in 0..OF_CONNECTION.min(subscribers - feeds.len()) {
                let request = v1::WatchJobsRequest { kind: "none".to_owned(), ..all() };
                feeds.push(Feed::open(&mut client, request).await);
            }
        }
        let each = dev.memory_bytes("VmRSS").saturating_sub(before) / opened.max(1);
        let costs = costs(&dev, &mut client).await;
        println!("{subscribers} subscribers that match nothing: {each} bytes each; {costs}");
    }
    drop(feeds);
    let mut feed = Feed::open(&mut client.clone(), all()).await;
    let received = Arc::new(AtomicUsize::new(0));
    let counter = received.clone();
    let reader = tokio::spawn(async move {
        while feed.message().await.is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let costs = costs(&dev, &mut client).await;
    reader.abort();
    println!("1 subscriber that matches all: {costs}; {} messages", received.load(Ordering::Relaxed));
}

/// The costs of a change in both loads.
async fn costs(dev: &Dev, client: &mut JobServiceClient<Channel>) -> String {
    // Warm up.
    cpu_of_change(dev, client, false).await;
    let burst = cpu_of_change(dev, client, false).await;
    let paced = cpu_of_change(dev, client, true).await;
    let memory = dev.memory_bytes("VmRSS") >> 20;
    format!(
        "a change costs {burst:?} at full speed, {paced:?} at 300 changes a second; the server has {memory} MiB"
    )
}
