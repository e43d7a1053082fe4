//! A remote worker with a real server and a fault-injecting proxy between them.

use std::time::Duration;

use jobstream::job::Payload;
use jobstream::proto::v1;
use jobstream::worker::{JobContext, RemoteOptions, Worker, WorkerEnd, WorkerStatus};

use crate::support::{
    FaultProxy, Gate, Setup, TestServer, connect_lazy, connect_worker, job, text, until, wait_for,
};

/// Returns handlers for the in-process pool and for a remote worker.
fn handlers(gate: &Gate) -> Worker {
    let (waiting, stubborn) = (gate.clone(), gate.clone());
    Worker::new()
        .name("elsewhere")
        .inline_handler("test.echo", |job| Ok(job.payload))
        .raw_handler("test.events", |context: JobContext| async move {
            context.progress_of(3.0, 3.0, "steps");
            context.output(Payload::text("chunk")).await?;
            context.log("line");
            Ok(Payload::text(format!("{} {}", context.attempt(), context.queue())))
        })
        .raw_handler("test.gated", move |context| {
            let gate = waiting.clone();
            async move {
                context.unless_cancelled(gate.pass()).await?;
                Ok(context.payload().clone())
            }
        })
        .dedicated_handler("test.stubborn_thread", 1, move |_| {
            let gate = stubborn.clone();
            async move {
                gate.pass().await;
                std::future::pending().await
            }
        })
}

fn job_with_text(kind: &str) -> v1::JobSpec {
    v1::JobSpec { payload: Some(text("hi")), ..job(kind) }
}

/// Submits a job whose handler waits at the gate, and waits until its attempt is accepted. An unaccepted one may be
/// released.
async fn accepted(server: &TestServer, kind: &str, gate: &Gate) -> String {
    let id = server.submit(job_with_text(kind)).await;
    gate.arrival().await;
    let job = id.as_str();
    let is_running = || async move { server.peek(job).await.state() == v1::JobState::Running };
    until("the server knows that it runs", is_running).await;
    id
}

/// Runs `test.events`. Returns a description of its events.
async fn describe_events(server: &TestServer) -> Vec<String> {
    let id = server.submit(job_with_text("test.events")).await;
    let watched = server.watch_all(&id, 0).await;
    let events = watched.events.iter().filter_map(|event| event.event.clone());
    let mut descriptions: Vec<_> = events
        .filter_map(|event| match event {
            v1::job_event::Event::Progress(progress) => Some(format!("{progress:?}")),
            v1::job_event::Event::Output(output) => Some(format!("{output:?}")),
            v1::job_event::Event::Log(log) => Some(format!("{log:?}")),
            v1::job_event::Event::StateChange(change) => change.outcome.map(|outcome| format!("{outcome:?}")),
        })
        .collect();
    // Progress may be out of order: only the newest is retained.
    descriptions.sort();
    descriptions
}

#[tokio::test]
async fn handlers_behave_the_same_in_the_pool_and_remotely() {
    let here = TestServer::with(|setup: &mut Setup| setup.worker = handlers(&Gate::new())).await;
    let there = TestServer::start().await;
    let running = connect_worker(handlers(&Gate::new()), there.channel()).await;
    let seen = describe_events(&here).await;
    assert_eq!((seen.len(), &seen), (4, &describe_events(&there).await));
    for server in [&here, &there] {
        assert_eq!(*server.run_to_end(job_with_text("test.echo")).await.result(), text("hi"));
    }
    assert_eq!(running.drain(Duration::from_secs(10)).await, 0);
}

#[tokio::test]
async fn a_worker_connects_through_a_client() {
    let server = TestServer::start().await;
    let address = format!("http://{}", server.address);
    let client = jobstream::client::Client::connect(&address).await.expect("a server");
    let running = handlers(&Gate::new()).connect(&client, RemoteOptions::default()).expect("valid names");
    assert_eq!(*server.run_to_end(job_with_text("test.echo")).await.result(), text("hi"));
    assert_eq!(running.stop(Duration::from_secs(10)).await, 0);
}

#[tokio::test]
async fn thousands_of_short_jobs_each_end_once() {
    let server = TestServer::start().await;
    let _running = connect_worker(handlers(&Gate::new()), server.channel()).await;
    let ids: Vec<_> = (0..1000).map(|_| crate::support::new_id()).collect();
    for round in 0..5 {
        let jobs = ids.iter().map(|id| v1::JobSpec {
            job_id: id.replacen('0', &round.to_string(), 1),
            ..job_with_text("test.echo")
        });
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
async fn cancels_notify_handlers_and_end_those_that_ignore_them() {
    let gate = Gate::new();
    let server = TestServer::start().await;
    let _running = connect_worker(handlers(&gate), server.channel()).await;
    for (kind, forced) in [("test.gated", false), ("test.stubborn_thread", true)] {
        let id = accepted(&server, kind, &gate).await;
        server.cancel(&id, Duration::from_millis(300)).await.expect("it is running");
        let cancelled = server.end(&id).await;
        assert_eq!(cancelled.cancellation().forced, forced, "{kind}");
        // The only slot is free: the next job starts.
        let next = accepted(&server, kind, &gate).await;
        server.cancel(&next, Duration::ZERO).await.expect("it is running");
        server.end(&next).await;
    }
}

#[tokio::test]
async fn a_lost_connection_loses_no_attempt() {
    let gate = Gate::new();
    let server = TestServer::with(|setup: &mut Setup| {
        setup.engine.core.reconnect_grace = Duration::from_secs(20);
    })
    .await;
    let proxy = FaultProxy::start(server.address).await;
    let running = connect_worker(handlers(&gate), connect_lazy(proxy.url())).await;
    let ids = [accepted(&server, "test.gated", &gate).await, accepted(&server, "test.gated", &gate).await];
    let mut status = running.status();
    proxy.cut();
    wait_for(
        "the disconnect is detected",
        status.wait_for(|status| matches!(status, WorkerStatus::Connecting { .. })),
    )
    .await
    .expect("it is running");
    gate.open(2);
    for id in &ids {
        assert_eq!(*server.end(id).await.result(), text("hi"));
        assert_eq!(server.get(id).await.attempt, 1);
    }
    assert!(wait_for("the worker is back", running.connected()).await);
}

#[tokio::test]
async fn attempts_released_by_a_drain_run_on_the_next_worker() {
    let gate = Gate::new();
    let server = TestServer::start().await;
    let first = connect_worker(handlers(&gate), server.channel()).await;
    let id = accepted(&server, "test.stubborn_thread", &gate).await;
    let second = Worker::new().raw_handler("test.stubborn_thread", |_| async { Ok(Payload::text("second")) });
    let _second = connect_worker(second, server.channel()).await;
    assert_eq!(first.drain(Duration::from_millis(200)).await, 0);
    assert_eq!(*server.end(&id).await.result(), text("second"));
}

#[tokio::test]
async fn an_operators_drain_ends_a_worker_and_a_server_shutdown_does_not() {
    let server = TestServer::start().await;
    let running = connect_worker(handlers(&Gate::new()), server.channel()).await;
    let WorkerStatus::Connected { worker_ids, .. } = running.status().borrow().clone() else {
        panic!("connected")
    };
    assert_eq!(worker_ids.len(), 3);
    let request = v1::DrainWorkerRequest { worker: worker_ids[0].clone(), ..Default::default() };
    server.admin().drain_worker(request).await.expect("the worker exists");
    assert!(matches!(wait_for("it ends", running.wait()).await, WorkerEnd::Drained));

    let mut going = TestServer::start().await;
    let coming = TestServer::start().await;
    let proxy = FaultProxy::start(going.address).await;
    let running = connect_worker(handlers(&Gate::new()), connect_lazy(proxy.url())).await;
    let mut status = running.status();
    proxy.retarget(coming.address);
    going.shutdown.graceful.cancel();
    going.report().await;
    wait_for("it leaves", status.wait_for(|status| matches!(status, WorkerStatus::Connecting { .. })))
        .await
        .expect("it is running");
    assert!(wait_for("it goes to the next server", running.connected()).await);
    assert_eq!(*coming.run_to_end(job_with_text("test.echo")).await.result(), text("hi"));
}
