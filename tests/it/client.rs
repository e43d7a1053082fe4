//! The Rust client and a real server, with a proxy between them that fails on command.

mod calls;
mod follow;
mod gone;
mod results;
mod rpc;
mod run;
mod submit;

use std::time::Duration;

use jobstream::client::{Client, ClientOptions, Watch, WatchItem};
use jobstream::job::{Event, EventBody, JobState};

use crate::support::{FaultProxy, Setup, TestServer, wait_for};

/// A client, connected through the proxy.
struct Scene {
    server: TestServer,
    proxy: FaultProxy,
    client: Client,
}

impl Scene {
    async fn start() -> Self {
        Self::with(|_| {}, |_| {}).await
    }

    async fn with(server: impl FnOnce(&mut Setup), client: impl FnOnce(&mut ClientOptions)) -> Self {
        let server = TestServer::with(server).await;
        let proxy = FaultProxy::start(server.address).await;
        // Only what a test is about finds a dead connection.
        let mut options = ClientOptions::default();
        options.keepalive_interval = Duration::from_secs(3600);
        options.retry.first_pause = Duration::from_millis(5);
        client(&mut options);
        let client = wait_for("a connection", Client::connect_with(&proxy.url(), options)).await;
        let client = client.expect("the server listens");
        // What two peers tell each other when they meet is behind us.
        wait_for("a first answer", client.server_info()).await.expect("an answer");
        Self { server, proxy, client }
    }
}

/// The next event.
async fn event(watch: &mut Watch) -> Event {
    let item = wait_for("an item of the watch", watch.next()).await.expect("the job has not ended");
    let WatchItem::Event(event) = item.expect("an item") else { panic!("no event") };
    event
}

/// The state that an event moved its job to, if it did.
fn state_of(event: &Event) -> Option<JobState> {
    match &event.body {
        EventBody::State(change) => Some(change.state),
        _ => None,
    }
}

/// Reads on until the job is in this state; answers the events on the way.
async fn read_to(watch: &mut Watch, state: JobState) -> Vec<Event> {
    let mut events = Vec::new();
    while events.last().and_then(state_of) != Some(state) {
        events.push(event(watch).await);
    }
    events
}

fn sequences(events: &[Event]) -> Vec<u32> {
    events.iter().map(|event| event.sequence).collect()
}
