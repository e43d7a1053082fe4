//! Many subscribers, of which one does not read.

use jobstream::proto::v1;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::proto::v1::watch_jobs_response::Message;
use tonic::transport::Endpoint;

use super::{Feed, all, sequences};
use crate::support::{TestServer, batch, echo, job, wait_for};

const SUBSCRIBERS: usize = 1_000;
/// Feeds of one connection.
const OF_CONNECTION: usize = 250;
const JOBS: usize = 40;

async fn feed_memory(server: &TestServer) -> v1::MemoryUse {
    let memory = server.info().await.memory;
    memory.into_iter().find(|memory| memory.category == "feed").expect("the feed")
}

#[tokio::test]
async fn a_thousand_subscribers_receive_every_change_once_although_one_never_reads() {
    let server = TestServer::start().await;
    let mut idle = server.new_jobs().await;
    let _never_read = wait_for("WatchJobs begins", idle.watch_jobs(all())).await.expect("an open feed");
    let mut feeds = Vec::new();
    for _ in 0..(SUBSCRIBERS - 1).div_ceil(OF_CONNECTION) {
        let mut client = server.new_jobs().await;
        for _ in 0..OF_CONNECTION.min(SUBSCRIBERS - 1 - feeds.len()) {
            feeds.push(Feed::open(&mut client, all()).await);
        }
    }
    let read = |mut feed: Feed| tokio::spawn(async move { feed.changes(3 * JOBS).await });
    let readers: Vec<_> = feeds.into_iter().map(read).collect();
    let jobs = (0..JOBS).map(|_| echo("x")).collect();
    server.jobs().batch_submit(v1::BatchSubmitRequest { jobs, atomic: true }).await.expect("jobs");
    let mut first = None;
    for reader in readers {
        let changes = wait_for("every change", reader).await.expect("a reader");
        let first = first.get_or_insert_with(|| changes.clone());
        assert_eq!(changes.len(), 3 * JOBS);
        assert!(changes == *first, "every subscriber has the same order");
    }
    let sequences = sequences(&first.expect("a reader"));
    assert_eq!(sequences.len(), JOBS);
    assert!(sequences.values().all(|of_job| *of_job == [1, 2, 3]), "{sequences:?}");
}

#[tokio::test]
async fn a_reader_behind_the_ring_misses_the_oldest_changes_in_one_gap() {
    const JOBS: usize = 10_000;
    // Far less than the ring has, so that only a reader that does not read is behind.
    const BATCH: usize = 100;
    const RING: i64 = 256 << 10;
    let server = TestServer::with(|setup| setup.engine.feed_bytes = RING as u64).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("an address");
    // The window limits what the client buffers while nothing reads.
    let channel = wait_for("a connection", endpoint.initial_stream_window_size(64 << 10).connect()).await;
    let mut client = JobServiceClient::new(channel.expect("a connection"));
    let mut feed = Feed::open(&mut client, all()).await;
    let mut submitted = Vec::new();
    for _ in 0..JOBS / BATCH {
        let jobs = batch(BATCH).into_iter().map(|spec| v1::JobSpec { kind: job("unserved").kind, ..spec });
        let request = v1::BatchSubmitRequest { jobs: jobs.collect(), atomic: true };
        let answer = server.jobs().batch_submit(request).await.expect("jobs").into_inner();
        let id = |result: v1::SubmitResult| match result.result {
            Some(v1::submit_result::Result::Submitted(submitted)) => submitted.job_id,
            other => panic!("{other:?}"),
        };
        submitted.extend(answer.results.into_iter().map(id));
    }
    let memory = feed_memory(&server).await;
    assert!((RING / 2..=RING).contains(&memory.used_bytes), "{memory:?}");
    assert_eq!(memory.limit_bytes, RING);
    let (mut read, mut gaps) = (Vec::new(), Vec::new());
    while read.last() != submitted.last() {
        match feed.message().await.expect("an open feed") {
            Message::Change(change) => read.push(change.job_id),
            Message::Gap(gap) => gaps.push((read.len(), gap.missed as usize)),
            Message::Heartbeat(_) => {}
        }
    }
    let [(before, missed)] = gaps[..] else { panic!("{gaps:?}") };
    let expected: Vec<_> = submitted[..before].iter().chain(&submitted[before + missed..]).collect();
    assert!(read.iter().eq(expected), "{before} changes, {missed} missed, {} read", read.len());
}
