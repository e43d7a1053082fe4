//! Many short jobs watched to their ends: no end is missed.

use std::time::{Duration, Instant};

use jobstream::proto::v1;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::support::{TestServer, Watched, echo, job, new_id, watch_request};

const TASKS: usize = 32;

/// Submits a job and watches it with another call. In every other round the job ends on a thread of the
/// pool while the watch opens, else before the response of Submit.
async fn round(client: &mut JobServiceClient<Channel>, number: usize) {
    let spec = if number.is_multiple_of(2) { echo("instant") } else { job("test.headers") };
    let job_id = new_id();
    let spec = v1::JobSpec { job_id: job_id.clone(), ..spec };
    let request = v1::SubmitRequest { job: Some(spec), validate_only: false };
    client.submit(request).await.expect("the job is accepted");
    let watched = Watched::open(client, watch_request(&job_id, 0)).await.rest().await;
    watched.outcome();
    assert_eq!(watched.sequences(), [1, 2, 3]);
}

async fn rounds(count: usize) {
    let server = TestServer::start().await;
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let mut client = if task % 4 == 0 { server.new_jobs().await } else { server.jobs() };
        tasks.spawn(async move {
            for number in 0..count / TASKS {
                round(&mut client, number).await;
            }
        });
    }
    let done = tokio::time::timeout(Duration::from_secs(600), tasks.join_all()).await;
    assert!(done.is_ok(), "the rounds took too long");
    let took = begin.elapsed();
    println!(
        "{count} rounds of submit and watch in {took:?}, {:.0} a second",
        count as f64 / took.as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_watches_miss_no_end() {
    rounds(20_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow without optimization: run it in release"]
async fn a_hundred_thousand_watches_miss_no_end() {
    rounds(100_000).await;
}
