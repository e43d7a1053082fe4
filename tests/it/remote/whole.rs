//! A worker and a real server, joined by a connection that breaks when the test says so.

use std::time::Duration;

use jobstream::job::Payload;
use jobstream::proto::v1;
use jobstream::worker::{JobContext, RemoteOptions, RunningWorker, Worker, WorkerEnd, WorkerStatus};
use tonic::transport::{Channel, Endpoint};

use crate::support::{FaultProxy, Gate, Setup, TestServer, job, text, until, wait_for};

/// One set of handlers for both places.
fn handlers(gate: &Gate) -> Worker {
    let (waiting, deaf) = (gate.clone(), gate.clone());
    Worker::new()
        .name("elsewhere")
        .inline_handler("place.echo", |job| Ok(job.payload))
        .raw_handler("place.told", |context: JobContext| async move {
            context.progress_of(3.0, 3.0, "steps");
            context.output(Payload::text("chunk")).await?;
            context.log("line");
            Ok(Payload::text(format!("{} {}", context.attempt(), context.queue())))
        })
        .raw_handler("place.gate", move |context| {
            let gate = waiting.clone();
            async move {
                context.unless_cancelled(gate.pass()).await?;
                Ok(context.payload().clone())
            }
        })
        .dedicated_handler("place.deaf", 1, move |_| {
            let gate = deaf.clone();
            async move {
                gate.pass().await;
                std::future::pending().await
            }
        })
}

fn lazy(url: String) -> Channel {
    Endpoint::from_shared(url).expect("an address").connect_lazy()
}

async fn joined(worker: Worker, channel: Channel) -> RunningWorker {
    let running = worker.connect(channel, RemoteOptions::default()).expect("good names");
    assert!(wait_for("the worker is connected", running.connected()).await);
    running
}

fn place(kind: &str) -> v1::JobSpec {
    v1::JobSpec { payload: Some(text("hi")), ..job(kind) }
}

/// Submits a job whose handler arrives at the gate, and waits until the server knows: what a worker has not accepted yet
/// it may be given back.
async fn accepted(server: &TestServer, kind: &str, gate: &Gate) -> String {
    let id = server.submit(place(kind)).await;
    gate.arrival().await;
    let job = id.as_str();
    let is_running = || async move { server.peek(job).await.state() == v1::JobState::Running };
    until("the server knows that it runs", is_running).await;
    id
}

/// What a watcher of `place.told` sees of it.
async fn told(server: &TestServer) -> Vec<String> {
    let id = server.submit(place("place.told")).await;
    let watched = server.watch_all(&id, 0).await;
    let events = watched.events.iter().filter_map(|event| event.event.clone());
    let mut told: Vec<_> = events
        .filter_map(|event| match event {
            v1::job_event::Event::Progress(progress) => Some(format!("{progress:?}")),
            v1::job_event::Event::Output(output) => Some(format!("{output:?}")),
            v1::job_event::Event::Log(log) => Some(format!("{log:?}")),
            v1::job_event::Event::StateChange(change) => change.outcome.map(|outcome| format!("{outcome:?}")),
        })
        .collect();
    // Progress may overtake: only the newest is kept.
    told.sort();
    told
}

#[tokio::test]
async fn the_same_handlers_do_the_same_in_both_places() {
    let here = TestServer::with(|setup: &mut Setup| setup.worker = handlers(&Gate::new())).await;
    let there = TestServer::start().await;
    let running = joined(handlers(&Gate::new()), there.channel()).await;
    let seen = told(&here).await;
    assert_eq!((seen.len(), &seen), (4, &told(&there).await));
    for server in [&here, &there] {
        assert_eq!(*server.run_to_end(place("place.echo")).await.result(), text("hi"));
    }
    assert_eq!(running.drain(Duration::from_secs(10)).await, 0);
}

#[tokio::test]
async fn a_client_leads_a_worker_to_its_server() {
    let server = TestServer::start().await;
    let address = format!("http://{}", server.address);
    let client = jobstream::client::Client::connect(&address).await.expect("a server");
    let running = handlers(&Gate::new()).connect(&client, RemoteOptions::default()).expect("good names");
    assert_eq!(*server.run_to_end(place("place.echo")).await.result(), text("hi"));
    assert_eq!(running.stop(Duration::from_secs(10)).await, 0);
}

#[tokio::test]
async fn thousands_of_short_jobs_each_end_once() {
    let server = TestServer::start().await;
    let _running = joined(handlers(&Gate::new()), server.channel()).await;
    let ids: Vec<_> = (0..1000).map(|_| crate::support::new_id()).collect();
    for round in 0..5 {
        let jobs = ids
            .iter()
            .map(|id| v1::JobSpec { job_id: id.replacen('0', &round.to_string(), 1), ..place("place.echo") });
        let request = v1::BatchSubmitRequest { jobs: jobs.collect(), ..Default::default() };
        wait_for("BatchSubmit answers", server.jobs().batch_submit(request)).await.expect("accepted");
    }
    until("all have ended", || async { ended(&server).await == 5000 }).await;
}

async fn ended(server: &TestServer) -> u32 {
    let request = v1::ListQueuesRequest::default();
    let queues = server.admin().list_queues(request).await.expect("an answer").into_inner().queues;
    queues.iter().filter_map(|queue| queue.counts).map(|counts| counts.succeeded).sum()
}

#[tokio::test]
async fn a_cancel_reaches_the_handler_and_force_ends_one_that_does_not_listen() {
    let gate = Gate::new();
    let server = TestServer::start().await;
    let _running = joined(handlers(&gate), server.channel()).await;
    for (kind, forced) in [("place.gate", false), ("place.deaf", true)] {
        let id = accepted(&server, kind, &gate).await;
        server.cancel(&id, Duration::from_millis(300)).await.expect("it runs");
        let cancelled = server.end(&id).await;
        assert_eq!(cancelled.cancellation().forced, forced, "{kind}");
        // Its slot is free again: the next one of one slot arrives.
        let next = accepted(&server, kind, &gate).await;
        server.cancel(&next, Duration::ZERO).await.expect("it runs");
        server.end(&next).await;
    }
}

#[tokio::test]
async fn a_cut_connection_costs_no_attempt() {
    let gate = Gate::new();
    let server = TestServer::with(|setup: &mut Setup| {
        setup.engine.core.reconnect_grace = Duration::from_secs(20);
    })
    .await;
    let proxy = FaultProxy::start(server.address).await;
    let running = joined(handlers(&gate), lazy(proxy.url())).await;
    let ids = [accepted(&server, "place.gate", &gate).await, accepted(&server, "place.gate", &gate).await];
    let mut status = running.status();
    proxy.cut();
    wait_for(
        "the cut is noticed",
        status.wait_for(|status| matches!(status, WorkerStatus::Connecting { .. })),
    )
    .await
    .expect("it runs");
    gate.open(2);
    for id in &ids {
        assert_eq!(*server.end(id).await.result(), text("hi"));
        assert_eq!(server.get(id).await.attempt, 1);
    }
    assert!(wait_for("the worker is back", running.connected()).await);
}

#[tokio::test]
async fn a_drain_gives_back_what_runs_to_the_next_worker() {
    let gate = Gate::new();
    let server = TestServer::start().await;
    let first = joined(handlers(&gate), server.channel()).await;
    let id = accepted(&server, "place.deaf", &gate).await;
    let second = Worker::new().raw_handler("place.deaf", |_| async { Ok(Payload::text("second")) });
    let _second = joined(second, server.channel()).await;
    assert_eq!(first.drain(Duration::from_millis(200)).await, 0);
    assert_eq!(*server.end(&id).await.result(), text("second"));
}

#[tokio::test]
async fn an_operators_drain_ends_it_and_a_shutdown_of_the_server_does_not() {
    let server = TestServer::start().await;
    let running = joined(handlers(&Gate::new()), server.channel()).await;
    let WorkerStatus::Connected { worker_ids, .. } = running.status().borrow().clone() else {
        panic!("connected")
    };
    assert_eq!(worker_ids.len(), 3);
    let request = v1::DrainWorkerRequest { worker: worker_ids[0].clone(), ..Default::default() };
    server.admin().drain_worker(request).await.expect("it is known");
    assert!(matches!(wait_for("it ends", running.wait()).await, WorkerEnd::Drained));

    let mut going = TestServer::start().await;
    let coming = TestServer::start().await;
    let proxy = FaultProxy::start(going.address).await;
    let running = joined(handlers(&Gate::new()), lazy(proxy.url())).await;
    let mut status = running.status();
    proxy.retarget(coming.address);
    going.shutdown.graceful.cancel();
    going.report().await;
    wait_for("it leaves", status.wait_for(|status| matches!(status, WorkerStatus::Connecting { .. })))
        .await
        .expect("it runs");
    assert!(wait_for("it goes to the next server", running.connected()).await);
    assert_eq!(*coming.run_to_end(place("place.echo")).await.result(), text("hi"));
}
