//! The feed of the Rust client across lost connections.

use std::time::Duration;

use jobstream::client::{Client, ClientOptions, Feed, FeedItem, FeedOptions};
use jobstream::job::{ChangeFilter, JobState, StateSet};

use crate::support::{FaultProxy, TestServer, echo, wait_for};

const CUTS: usize = 10;

struct Fixture {
    server: TestServer,
    proxy: FaultProxy,
    client: Client,
}

impl Fixture {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let proxy = FaultProxy::start(server.address).await;
        let mut options = ClientOptions::default();
        options.keepalive_interval = Duration::from_secs(3600);
        options.retry.first_pause = Duration::from_millis(5);
        let client = wait_for("a connection", Client::connect_with(&proxy.url(), options)).await;
        Self { server, proxy, client: client.expect("the server listens") }
    }
}

/// A feed of outcomes that is open.
async fn open(client: &Client, heartbeat: Duration) -> Feed {
    let ended = ChangeFilter { states: StateSet::ENDED, ..ChangeFilter::default() };
    let mut options = FeedOptions::default();
    options.heartbeat = heartbeat;
    let mut feed = client.watch_jobs_with(&ended, options);
    wait_for("the first heartbeat", feed.next_message()).await.expect("a message").expect("an open feed");
    feed
}

/// The id of the next job that succeeded.
async fn next_id(feed: &mut Feed) -> String {
    let item = wait_for("an item of the feed", feed.next()).await.expect("it has no end");
    let FeedItem::Change(change) = item.expect("an item") else { panic!("a gap") };
    assert_eq!(change.state(), Some(JobState::Succeeded));
    change.job_id.to_string()
}

#[tokio::test]
async fn a_feed_returns_every_change_once_across_disconnects() {
    let fixture = Fixture::start().await;
    let mut feed = open(&fixture.client, Duration::from_secs(15)).await;
    for round in 0..CUTS {
        let before = fixture.server.run_to_end(echo("before")).await.id;
        assert_eq!(next_id(&mut feed).await, before, "round {round}");
        fixture.proxy.cut();
        let while_cut = fixture.server.run_to_end(echo("cut")).await.id;
        assert_eq!(next_id(&mut feed).await, while_cut, "round {round}");
    }
}

#[tokio::test]
async fn a_silent_feed_is_resumed_on_another_connection() {
    let fixture = Fixture::start().await;
    let mut feed = open(&fixture.client, Duration::from_secs(1)).await;
    fixture.proxy.strand();
    let id = fixture.server.run_to_end(echo("x")).await.id;
    assert_eq!(next_id(&mut feed).await, id);
}

#[tokio::test]
async fn another_server_at_the_address_is_a_gap() {
    let fixture = Fixture::start().await;
    let mut feed = open(&fixture.client, Duration::from_secs(15)).await;
    let other = TestServer::start().await;
    fixture.proxy.retarget(other.address);
    fixture.proxy.cut();
    let item = wait_for("an item of the feed", feed.next()).await.expect("it has no end");
    assert_eq!(item.expect("an item"), FeedItem::Gap { missed: 0 });
    let id = other.run_to_end(echo("x")).await.id;
    assert_eq!(next_id(&mut feed).await, id);
    assert!(!feed.cursor().is_empty());
}
