//! A connection between a worker and its server that fails in every way: both notice, the work goes on elsewhere, and
//! once it is whole again so does the worker.

use std::time::{Duration, Instant};

use jobstream::client::{Client, ClientOptions};
use jobstream::proto::v1::{self, JobState, WorkerState};
use jobstream::worker::{RemoteOptions, RunningWorker, Worker, WorkerStatus};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

use super::witness::{Seen, Witness};
use crate::support::{FaultProxy, Setup, TestServer, Towards, job, until, wait_for};

const PING: Duration = Duration::from_millis(300);
/// So long that a worker without its server notices by its silence before its leases run out.
const LEASE: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_millis(400);
/// What either side may take beyond three ping intervals, on a busy machine.
const SLACK: Duration = Duration::from_secs(1);

async fn impatient_server() -> TestServer {
    TestServer::with(|setup: &mut Setup| {
        let core = &mut setup.engine.core;
        (core.ping_interval, core.lease, core.reconnect_grace) = (PING, LEASE, GRACE);
    })
    .await
}

fn lazy(url: String) -> Channel {
    Endpoint::from_shared(url).expect("an address").connect_lazy()
}

/// A worker of these queues that is connected.
async fn joined(worker: Worker, channel: Channel, queues: &[&str]) -> RunningWorker {
    let worker = worker.queues(queues.iter().copied());
    let running = worker.connect(channel, RemoteOptions::default()).expect("good names");
    assert!(wait_for("it is connected", running.connected()).await);
    running
}

/// Submits a job of this queue and waits until its handler runs and the server knows.
async fn accepted(server: &TestServer, queue: &str, witness: &mut Witness) -> String {
    let id = server.submit(v1::JobSpec { queue: queue.to_owned(), ..job("hold") }).await;
    witness.sees(Seen::Began, &id).await;
    until("the server knows", async || server.peek(&id).await.state() == JobState::Running).await;
    id
}

async fn worker_notices(mut status: watch::Receiver<WorkerStatus>) -> Instant {
    let left = status.wait_for(|status| matches!(status, WorkerStatus::Connecting { .. }));
    wait_for("the worker notices", left).await.expect("it runs");
    Instant::now()
}

async fn server_notices(server: &TestServer, name: &str) -> Instant {
    let is_missed = async || {
        let request = v1::ListWorkersRequest::default();
        let workers = server.admin().list_workers(request).await.expect("an answer").into_inner().workers;
        workers.iter().any(|worker| worker.name == name && worker.state() == WorkerState::Disconnected)
    };
    until("the server notices", is_missed).await;
    Instant::now()
}

/// Breaks the connection of a worker that runs a job, and mends it once another worker has done the job. Within this time
/// of the fault the server must notice it; the other worker must begin the grace after that.
async fn survives(what: &str, within: Duration, fault: impl Fn(&FaultProxy), mend: impl Fn(&FaultProxy)) {
    let server = impatient_server().await;
    let proxy = FaultProxy::start(server.address).await;
    let (worker, mut first) = Witness::of("first");
    let running = joined(worker, lazy(proxy.url()), &["both", "own"]).await;
    let id = accepted(&server, "both", &mut first).await;
    let (worker, mut second) = Witness::of("second");
    let _second = joined(worker, server.channel(), &["both"]).await;
    let (status, broken) = (running.status(), Instant::now());
    fault(&proxy);
    let (by_worker, by_server, told, again) = tokio::join!(
        worker_notices(status),
        server_notices(&server, "first"),
        first.sees(Seen::Told, &id),
        second.sees(Seen::Began, &id),
    );
    let after = [by_worker, by_server, told.at, again.at].map(|at| at - broken);
    println!(
        "{what}: worker and server notice after {:?}, it stops after {:?}, the other begins after {:?}",
        &after[..2],
        after[2],
        after[3]
    );
    assert!(after[0] < 3 * PING + SLACK, "{what}");
    assert!(after[1] < within + SLACK && after[3] < within + GRACE + SLACK, "{what}");
    // The last heartbeat that left counts for the worker, whether it arrived or not.
    assert!(after[2] < 3 * PING + LEASE + SLACK, "{what}");
    assert_eq!(again.attempt, 2);
    second.gate.open(1);
    let ended = server.end(&id).await;
    assert_eq!(ended.text(), "2 second");
    mend(&proxy);
    let next = accepted(&server, "own", &mut first).await;
    first.gate.open(1);
    assert_eq!(server.end(&next).await.text(), "1 first");
    assert_eq!((server.end(&id).await, server.get(&id).await.attempt), (ended, 2));
}

#[tokio::test]
async fn a_cut_that_lasts() {
    let cut = |proxy: &FaultProxy| {
        proxy.refuse();
        proxy.cut();
    };
    survives("cut", Duration::ZERO, cut, FaultProxy::accept).await;
}

#[tokio::test]
async fn a_stall_of_both_directions() {
    survives("stall", 3 * PING, FaultProxy::stall, FaultProxy::resume).await;
}

#[tokio::test]
async fn a_worker_that_the_server_does_not_hear() {
    let fault = |proxy: &FaultProxy| proxy.stall_towards(Towards::Server);
    survives("no way to the server", 3 * PING, fault, FaultProxy::resume).await;
}

#[tokio::test]
async fn a_server_that_the_worker_does_not_hear() {
    let fault = |proxy: &FaultProxy| proxy.stall_towards(Towards::Client);
    // The server hears it once more, trying to come back at once, and waits for another silence.
    survives("no way to the worker", 2 * 3 * PING, fault, FaultProxy::resume).await;
}

#[tokio::test]
async fn a_delay_costs_no_attempt() {
    let server = impatient_server().await;
    let proxy = FaultProxy::start(server.address).await;
    let (worker, mut witness) = Witness::of("slow");
    let running = joined(worker, lazy(proxy.url()), &["both"]).await;
    let id = accepted(&server, "both", &mut witness).await;
    let (status, begun) = (running.status(), Instant::now());
    proxy.delay(PING / 6);
    let mut others = Vec::new();
    // Longer than a lease that nobody renews.
    while begun.elapsed() < LEASE + 3 * PING {
        others.push(accepted(&server, "both", &mut witness).await);
    }
    witness.gate.open(others.len() + 1);
    for id in others.iter().chain([&id]) {
        assert_eq!((server.end(id).await.text(), server.get(id).await.attempt), ("1 slow", 1));
    }
    assert!(!status.has_changed().expect("it runs"), "it lost its server: {:?}", *status.borrow());
}

#[tokio::test]
async fn a_connection_that_is_dead_and_says_nothing_is_replaced() {
    let server = impatient_server().await;
    let proxy = FaultProxy::start(server.address).await;
    // Later than the worker, which then tries the dead connection again.
    let mut options = ClientOptions::default();
    (options.keepalive_interval, options.keepalive_timeout) = (4 * PING, PING);
    let client = Client::connect_with(&proxy.url(), options).await.expect("a server");
    let (worker, mut witness) = Witness::of("first");
    let running = joined(worker, client.channel(), &["both"]).await;
    let id = accepted(&server, "both", &mut witness).await;
    let status = running.status();
    proxy.strand();
    worker_notices(status).await;
    let again = witness.sees(Seen::Began, &id).await;
    assert_eq!((again.attempt, proxy.opened()), (2, 2));
    witness.gate.open(1);
    assert_eq!(server.end(&id).await.text(), "2 first");
}
