//! Connection failures between a worker and its server. Both detect them, another worker gets the job, and
//! the first worker reconnects.

use std::time::{Duration, Instant};

use jobstream::client::{Channel, Client, ClientOptions};
use jobstream::proto::v1::{self, JobState, WorkerState};
use jobstream::worker::{RunningWorker, Worker, WorkerStatus};
use tokio::sync::watch;

use super::observer::{HandlerEvent, HandlerObserver};
use crate::support::{
    FaultProxy, Setup, TestServer, Towards, connect_lazy, connect_worker, job, until, wait_for,
};

const PING: Duration = Duration::from_millis(300);
/// Long enough for a worker to detect a silent server before its leases expire.
const LEASE: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_millis(400);
/// A margin for a busy machine beyond three ping intervals.
const SLACK: Duration = Duration::from_secs(1);

async fn server_with_short_timeouts() -> TestServer {
    TestServer::with(|setup: &mut Setup| {
        let core = &mut setup.engine.core;
        (core.ping_interval, core.lease, core.reconnect_grace) = (PING, LEASE, GRACE);
    })
    .await
}

/// Connects a worker of these queues.
async fn connect_to_queues(worker: Worker, channel: impl Into<Channel>, queues: &[&str]) -> RunningWorker {
    connect_worker(worker.queues(queues.iter().copied()), channel).await
}

/// Submits a job and waits until its attempt is accepted.
async fn accepted(server: &TestServer, queue: &str, observer: &mut HandlerObserver) -> String {
    let id = server.submit(v1::JobSpec { queue: queue.to_owned(), ..job("hold") }).await;
    observer.wait_for_event(HandlerEvent::Started, &id).await;
    until("the server knows", async || server.peek(&id).await.state() == JobState::Running).await;
    id
}

async fn worker_notices(mut status: watch::Receiver<WorkerStatus>) -> Instant {
    let left = status.wait_for(|status| matches!(status, WorkerStatus::Connecting { .. }));
    wait_for("the worker notices", left).await.expect("it is running");
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

/// Breaks the connection of a worker with a running attempt, and repairs it after another worker has run the job. The
/// server must detect the fault within this time. The other worker must start after the reconnect grace.
async fn check_fault(
    what: &str,
    within: Duration,
    fault: impl Fn(&FaultProxy),
    repair: impl Fn(&FaultProxy),
) {
    let server = server_with_short_timeouts().await;
    let proxy = FaultProxy::start(server.address).await;
    let (worker, mut first) = HandlerObserver::of("first");
    let running = connect_to_queues(worker, connect_lazy(proxy.url()), &["both", "own"]).await;
    let id = accepted(&server, "both", &mut first).await;
    let (worker, mut second) = HandlerObserver::of("second");
    let _second = connect_to_queues(worker, server.channel(), &["both"]).await;
    let (status, broken) = (running.status(), Instant::now());
    fault(&proxy);
    let (by_worker, by_server, stopped, restarted) = tokio::join!(
        worker_notices(status),
        server_notices(&server, "first"),
        first.wait_for_event(HandlerEvent::Cancelled, &id),
        second.wait_for_event(HandlerEvent::Started, &id),
    );
    let after = [by_worker, by_server, stopped.at, restarted.at].map(|at| at - broken);
    println!(
        "{what}: worker and server detect it after {:?}, the attempt stops after {:?}, the next starts after {:?}",
        &after[..2],
        after[2],
        after[3]
    );
    assert!(after[0] < 3 * PING + SLACK, "{what}");
    assert!(after[1] < within + SLACK && after[3] < within + GRACE + SLACK, "{what}");
    // The worker counts its lease from the last sent heartbeat, whether it arrived or not.
    assert!(after[2] < 3 * PING + LEASE + SLACK, "{what}");
    assert_eq!(restarted.attempt, 2);
    second.gate.open(1);
    let ended = server.end(&id).await;
    assert_eq!(ended.text(), "2 second");
    repair(&proxy);
    let next = accepted(&server, "own", &mut first).await;
    first.gate.open(1);
    assert_eq!(server.end(&next).await.text(), "1 first");
    assert_eq!((server.end(&id).await, server.get(&id).await.attempt), (ended, 2));
}

#[tokio::test]
async fn a_job_is_reassigned_after_a_lost_connection() {
    let cut = |proxy: &FaultProxy| {
        proxy.refuse();
        proxy.cut();
    };
    check_fault("cut", Duration::ZERO, cut, FaultProxy::accept).await;
}

#[tokio::test]
async fn a_job_is_reassigned_after_a_stall_in_both_directions() {
    check_fault("stall", 3 * PING, FaultProxy::stall, FaultProxy::resume).await;
}

#[tokio::test]
async fn a_job_is_reassigned_after_a_stall_towards_the_server() {
    let fault = |proxy: &FaultProxy| proxy.stall_towards(Towards::Server);
    check_fault("no way to the server", 3 * PING, fault, FaultProxy::resume).await;
}

#[tokio::test]
async fn a_job_is_reassigned_after_a_stall_towards_the_worker() {
    let fault = |proxy: &FaultProxy| proxy.stall_towards(Towards::Client);
    // The server receives one reconnect of the worker, and then waits for another timeout.
    check_fault("no way to the worker", 2 * 3 * PING, fault, FaultProxy::resume).await;
}

#[tokio::test]
async fn a_delay_loses_no_attempt() {
    let server = server_with_short_timeouts().await;
    let proxy = FaultProxy::start(server.address).await;
    let (worker, mut observer) = HandlerObserver::of("slow");
    let running = connect_to_queues(worker, connect_lazy(proxy.url()), &["both"]).await;
    let id = accepted(&server, "both", &mut observer).await;
    let (status, begun) = (running.status(), Instant::now());
    proxy.delay(PING / 6);
    let mut others = Vec::new();
    // Longer than a lease without renewal.
    while begun.elapsed() < LEASE + 3 * PING {
        others.push(accepted(&server, "both", &mut observer).await);
    }
    observer.gate.open(others.len() + 1);
    for id in others.iter().chain([&id]) {
        assert_eq!((server.end(id).await.text(), server.get(id).await.attempt), ("1 slow", 1));
    }
    assert!(!status.has_changed().expect("it is running"), "it lost the connection: {:?}", *status.borrow());
}

#[tokio::test]
async fn a_dead_connection_is_replaced() {
    let server = server_with_short_timeouts().await;
    let proxy = FaultProxy::start(server.address).await;
    // The client detects it later than the worker, which first retries on the dead connection.
    let mut options = ClientOptions::default();
    (options.keepalive_interval, options.keepalive_timeout) = (4 * PING, PING);
    let client = Client::connect_with(&proxy.url(), options).await.expect("a server");
    let (worker, mut observer) = HandlerObserver::of("first");
    let running = connect_to_queues(worker, client.channel(), &["both"]).await;
    let id = accepted(&server, "both", &mut observer).await;
    let status = running.status();
    proxy.strand();
    worker_notices(status).await;
    let again = observer.wait_for_event(HandlerEvent::Started, &id).await;
    assert_eq!((again.attempt, proxy.opened()), (2, 2));
    observer.gate.open(1);
    assert_eq!(server.end(&id).await.text(), "2 first");
}
