//! The Rust client with a real server and a fault-injecting proxy between them.

mod calls;
mod follow;
mod results;
mod rpc;
mod run;
mod submit;
mod unavailable;

use std::time::Duration;

use jobstream::client::{Client, ClientOptions, Watch, WatchItem};
use jobstream::job::{Event, EventBody, JobState};

use crate::support::{FaultProxy, Setup, TestServer, wait_for};

/// A client connected through a proxy.
struct Fixture {
    server: TestServer,
    proxy: FaultProxy,
    client: Client,
}

impl Fixture {
    async fn start() -> Self {
        Self::with(|_| {}, |_| {}).await
    }

    async fn with(server: impl FnOnce(&mut Setup), client: impl FnOnce(&mut ClientOptions)) -> Self {
        let server = TestServer::with(server).await;
        let proxy = FaultProxy::start(server.address).await;
        // Keepalives are off by default: a test enables what it needs.
        let mut options = ClientOptions::default();
        options.keepalive_interval = Duration::from_secs(3600);
        options.retry.first_pause = Duration::from_millis(5);
        client(&mut options);
        let client = wait_for("a connection", Client::connect_with(&proxy.url(), options)).await;
        let client = client.expect("the server listens");
        // The handshake is complete after the first response.
        wait_for("a first answer", client.server_info()).await.expect("an answer");
        Self { server, proxy, client }
    }
}

/// Returns the next event.
async fn event(watch: &mut Watch) -> Event {
    let item = wait_for("an item of the watch", watch.next()).await.expect("the job has not ended");
    let WatchItem::Event(event) = item.expect("an item") else { panic!("no event") };
    event
}

/// Returns the new state of a state event.
fn state_of(event: &Event) -> Option<JobState> {
    match &event.body {
        EventBody::State(change) => Some(change.state),
        _ => None,
    }
}

/// Reads events until the job is in this state. Returns the events.
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
