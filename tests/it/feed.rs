//! WatchJobs: every change of every job, once, in order, across lost connections; gaps beyond the ring.

mod cli;
mod client;
mod cost;
mod http;
mod subscribers;

use std::collections::BTreeMap;

use jobstream::proto::v1;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::proto::v1::watch_jobs_response::Message;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::support::{TestServer, echo, event_state, job, refused, wait_for};

/// An open feed. Its first heartbeat was received.
struct Feed {
    stream: Streaming<v1::WatchJobsResponse>,
    cursor: String,
}

impl Feed {
    async fn open(client: &mut JobServiceClient<Channel>, request: v1::WatchJobsRequest) -> Self {
        let opened = wait_for("WatchJobs begins", client.watch_jobs(request)).await;
        let mut feed = Self { stream: opened.expect("an open feed").into_inner(), cursor: String::new() };
        let first = feed.message().await.expect("a message");
        assert!(matches!(first, Message::Heartbeat(_)), "{first:?}");
        feed
    }

    async fn message(&mut self) -> Result<Message, Status> {
        let message = wait_for("a message of WatchJobs", self.stream.message()).await?;
        let message = message.expect("the stream has no end of its own");
        self.cursor = message.cursor;
        Ok(message.message.expect("a message is never empty"))
    }

    /// The next change.
    async fn change(&mut self) -> v1::JobChange {
        loop {
            match self.message().await.expect("an open feed") {
                Message::Change(change) => return change,
                Message::Heartbeat(_) => {}
                Message::Gap(gap) => panic!("{gap:?}"),
            }
        }
    }

    async fn changes(&mut self, count: usize) -> Vec<v1::JobChange> {
        let mut changes = Vec::new();
        while changes.len() < count {
            changes.push(self.change().await);
        }
        changes
    }
}

/// From now on, everything.
fn all() -> v1::WatchJobsRequest {
    v1::WatchJobsRequest::default()
}

fn after(cursor: &str) -> v1::WatchJobsRequest {
    v1::WatchJobsRequest { after_cursor: cursor.to_owned(), ..all() }
}

fn states(changes: &[v1::JobChange]) -> Vec<v1::JobState> {
    changes.iter().filter_map(|change| event_state(change.event.as_ref()?)).collect()
}

/// The sequences of the changes of each job.
fn sequences(changes: &[v1::JobChange]) -> BTreeMap<String, Vec<u32>> {
    let mut sequences = BTreeMap::<_, Vec<_>>::new();
    for change in changes {
        let event = change.event.as_ref().expect("an event");
        sequences.entry(change.job_id.clone()).or_default().push(event.sequence);
    }
    sequences
}

#[tokio::test]
async fn a_feed_has_the_changes_of_all_jobs_without_contents() {
    use v1::JobState::{Queued, Running, Succeeded};
    let server = TestServer::start().await;
    let mut feed = Feed::open(&mut server.jobs(), all()).await;
    let labels = [("env".to_owned(), "prod".to_owned())].into();
    let id = server.submit(v1::JobSpec { labels, queue: "mail".to_owned(), ..echo("secret") }).await;
    let changes = feed.changes(3).await;
    assert_eq!(states(&changes), [Queued, Running, Succeeded]);
    for change in &changes {
        assert_eq!((change.job_id.as_str(), change.queue.as_str()), (id.as_str(), "mail"));
        assert_eq!((change.kind.as_str(), change.labels["env"].as_str()), ("demo.echo", "prod"));
        assert!(!format!("{change:?}").contains("secret"), "{change:?}");
    }
    assert_eq!(server.end(&id).await.text(), "secret");
}

#[tokio::test]
async fn a_filter_selects_changes_by_state_kind_queue_label_and_outcome() {
    let server = TestServer::start().await;
    let label = |value: &str| [("env".to_owned(), value.to_owned())].into();
    let requests = [
        v1::WatchJobsRequest { states: vec![v1::JobState::Running.into()], ..all() },
        v1::WatchJobsRequest { kind: "test.headers".to_owned(), ..all() },
        v1::WatchJobsRequest { queue: "mail".to_owned(), ..all() },
        v1::WatchJobsRequest { labels: label("prod"), ..all() },
        v1::WatchJobsRequest { include: v1::JobChanges::Outcomes.into(), ..all() },
    ];
    let mut feeds = Vec::new();
    for request in requests {
        feeds.push(Feed::open(&mut server.jobs(), request).await);
    }
    let specs = [
        v1::JobSpec { labels: label("test"), ..echo("a") },
        job("test.headers"),
        v1::JobSpec { queue: "mail".to_owned(), ..echo("c") },
        v1::JobSpec { labels: label("prod"), ..echo("d") },
    ];
    let mut ids = Vec::new();
    for spec in specs {
        ids.push(server.submit(spec).await);
        server.end(&ids[ids.len() - 1]).await;
    }
    for (feed, only) in feeds.iter_mut().zip([None, Some(1), Some(2), Some(3), None]) {
        match only {
            Some(index) => {
                let changes = feed.changes(3).await;
                assert!(changes.iter().all(|change| change.job_id == ids[index]), "{changes:?}");
            }
            None => {
                let changes = feed.changes(4).await;
                assert!(changes.iter().map(|change| &change.job_id).eq(&ids), "{changes:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_feed_resumes_after_any_message() {
    let server = TestServer::start().await;
    let mut feed = Feed::open(&mut server.jobs(), all()).await;
    let begin = feed.cursor.clone();
    for words in ["a", "b"] {
        server.run_to_end(echo(words)).await;
    }
    let mut cursors = vec![begin];
    let mut changes = Vec::new();
    for _ in 0..6 {
        changes.push(feed.change().await);
        cursors.push(feed.cursor.clone());
    }
    drop(feed);
    server.run_to_end(echo("while nobody watches")).await;
    for (index, cursor) in cursors.iter().enumerate() {
        let resumed = Feed::open(&mut server.jobs(), after(cursor)).await.changes(9 - index).await;
        assert_eq!(resumed[..6 - index], changes[index..]);
    }
}

#[tokio::test]
async fn a_cursor_of_another_server_is_one_gap_and_a_bad_one_is_refused() {
    let (server, other) = (TestServer::start().await, TestServer::start().await);
    let _open = Feed::open(&mut other.jobs(), all()).await;
    let id = other.submit(job("unserved")).await;
    let cursor = Feed::open(&mut server.jobs(), all()).await.cursor;
    let mut feed = Feed::open(&mut other.jobs(), after(&cursor)).await;
    let gap = feed.message().await.expect("a message");
    assert!(matches!(gap, Message::Gap(v1::FeedGap { missed: 0 })), "{gap:?}");
    assert_eq!(feed.change().await.job_id, id);
    for text in ["x", &format!("{}f", feed.cursor)] {
        let status = server.jobs().watch_jobs(after(text)).await.map(drop);
        if text == "x" {
            refused(&status.expect_err("a refusal"), Code::InvalidArgument, "INVALID_FIELD");
            continue;
        }
        let status = other.jobs().watch_jobs(after(text)).await.map(drop).expect_err("a refusal");
        refused(&status, Code::InvalidArgument, "INVALID_FIELD");
    }
}

#[tokio::test]
async fn a_shutdown_ends_a_feed_after_the_last_change() {
    let mut server = TestServer::start().await;
    let mut feed = Feed::open(&mut server.jobs(), all()).await;
    let id = server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    server.shutdown.graceful.cancel();
    server.gate.open(1);
    let status = loop {
        match feed.message().await {
            Ok(Message::Change(change)) => assert_eq!(change.job_id, id),
            Ok(other) => panic!("{other:?}"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    server.report().await;
}

#[tokio::test]
async fn an_open_feed_counts_as_a_watch() {
    let server = TestServer::with(|setup| setup.engine.watchers_max = 1).await;
    let feed = Feed::open(&mut server.jobs(), all()).await;
    let status = server.jobs().watch_jobs(all()).await.map(drop).expect_err("a refusal");
    refused(&status, Code::ResourceExhausted, "TOO_MANY_WATCHERS");
    drop(feed);
    wait_for("the watch is released", async {
        while server.jobs().watch_jobs(all()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
