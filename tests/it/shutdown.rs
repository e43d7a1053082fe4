//! Shutdown: attempts may finish, waiters are notified, and the server ends in time.

use std::time::{Duration, Instant};

use jobstream::proto::v1::JobState;
use jobstream::worker::CommandHandler;
use jobstream::worker::command::CommandSpec;
use rustix::process::test_kill_process;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::Code;

use crate::support::{Setup, TestServer, Watched, echo, job, refused, until, wait_for, watch_request};

/// The limit of a shutdown after the drain timeout.
const MARGIN: Duration = Duration::from_secs(1);

fn draining_for(drain: Duration) -> impl FnOnce(&mut Setup) {
    move |setup| setup.server.drain_timeout = drain
}

/// Registers `test.stuck`, a program that ignores TERM and logs its process id.
fn with_stuck_command(setup: &mut Setup) {
    let mut spec = CommandSpec::new("sh");
    spec.args = vec!["-c".to_owned(), "trap '' TERM; echo $$ >&2; while :; do sleep 0.05; done".to_owned()];
    spec.inherited_env = vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())];
    let worker = std::mem::take(&mut setup.worker);
    setup.worker = worker.command("test.stuck", CommandHandler::new(spec));
}

#[tokio::test]
async fn a_server_with_watches_silent_peers_and_a_stuck_command_ends() {
    let drain = Duration::from_secs(1);
    let mut server = TestServer::with(|setup| {
        draining_for(drain)(setup);
        with_stuck_command(setup);
    })
    .await;
    let id = server.submit(job("test.stuck")).await;
    let process = server.watch(watch_request(&id, 0)).await.process_id().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(server.address).await.expect("a listening socket"));
    }
    let mut watches = JoinSet::new();
    for _ in 0..10 {
        let client = server.new_jobs().await;
        for _ in 0..100 {
            let (mut client, request) = (client.clone(), watch_request(&id, 0));
            watches.spawn(async move { Watched::open(&mut client, request).await.rest().await });
        }
    }
    until("everybody watches", || async { server.info().await.watchers == 1_000 }).await;
    let begin = Instant::now();
    server.shutdown.graceful.cancel();
    let report = server.report().await;
    let took = begin.elapsed();
    println!("shutdown with a drain of {drain:?} took {took:?}: {report:?}");
    assert!(took >= drain && took < drain + MARGIN, "{took:?}");
    assert_eq!((report.attempts_aborted, report.jobs_left), (1, 1));
    let watches = wait_for("every watch ends", watches.join_all()).await;
    for watched in &watches {
        refused(watched.status(), Code::Unavailable, "DRAINING");
    }
    let is_gone = || async { test_kill_process(process).is_err() };
    until("the stuck process is gone", is_gone).await;
}

#[tokio::test]
async fn a_running_job_finishes_and_its_watchers_get_the_end() {
    let mut server = TestServer::with(draining_for(Duration::from_secs(20))).await;
    let id = server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    let mut watched = server.watch(watch_request(&id, 0)).await;
    watched.read_to(JobState::Running).await;
    let (mut client, gate) = (server.jobs(), server.gate.clone());
    let request = jobstream::proto::v1::GetResultRequest {
        job_id: id.clone(),
        wait: Some(crate::support::seconds(20)),
    };
    let waiting = tokio::spawn(async move { client.get_result(request).await });
    until("both wait", || async { server.info().await.watchers == 2 }).await;
    let begin = Instant::now();
    server.shutdown.graceful.cancel();
    until("the drain begins", || async { server.info().await.draining }).await;
    gate.open(1);
    watched.rest().await.outcome();
    let answer = wait_for("the waiter is answered", waiting).await.unwrap().unwrap();
    assert_eq!(answer.get_ref().state(), JobState::Succeeded);
    let report = server.report().await;
    assert_eq!((report.attempts_aborted, report.jobs_left, report.tasks_left), (0, 0, 0));
    assert!(begin.elapsed() < Duration::from_secs(5), "it ended {:?} after an empty drain", begin.elapsed());
}

#[tokio::test]
async fn waits_for_jobs_that_will_not_run_end_at_once() {
    let server = TestServer::with(draining_for(Duration::from_secs(20))).await;
    let running = server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    let id = server.submit(job("nobody.serves.this")).await;
    let watched = server.watch(watch_request(&id, 0)).await;
    let result = server.try_result(&id, Duration::from_secs(20));
    let begin = Instant::now();
    let stop = async {
        until("both wait", || async { server.info().await.watchers == 2 }).await;
        server.shutdown.graceful.cancel();
    };
    let (result, watched, ()) = tokio::join!(result, watched.rest(), stop);
    refused(&result.unwrap_err(), Code::Unavailable, "DRAINING");
    refused(watched.status(), Code::Unavailable, "DRAINING");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(server.peek(&running).await.state(), JobState::Running);
}

#[tokio::test]
async fn no_attempt_starts_while_draining() {
    let mut server = TestServer::with(|setup| {
        draining_for(Duration::from_secs(20))(setup);
        let worker = std::mem::take(&mut setup.worker);
        setup.worker = worker.slots(1);
    })
    .await;
    let running = server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    let waiting = server.submit(job("test.gate")).await;
    server.shutdown.graceful.cancel();
    until("the drain begins", || async { server.info().await.draining }).await;
    let answer = server.peek(&waiting).await;
    assert_eq!(answer.wait_reason(), jobstream::proto::v1::WaitReason::Draining);
    let watched = server.watch(watch_request(&running, 0)).await;
    server.gate.open(2);
    watched.rest().await.outcome();
    assert_eq!(server.report().await.jobs_left, 1);
}

#[tokio::test]
async fn a_forced_shutdown_ends_the_server_at_once() {
    let mut server = TestServer::with(|setup| {
        draining_for(Duration::from_secs(25))(setup);
        with_stuck_command(setup);
    })
    .await;
    let stuck = server.submit(job("test.stuck")).await;
    let process = server.watch(watch_request(&stuck, 0)).await.process_id().await;
    server.submit(job("test.stubborn")).await;
    server.gate.arrival().await;
    let watched = server.watch(watch_request(&stuck, 0)).await;
    server.shutdown.graceful.cancel();
    until("the drain begins", || async { server.info().await.draining }).await;
    let begin = Instant::now();
    server.shutdown.now.cancel();
    let report = server.report().await;
    let took = begin.elapsed();
    println!("the second word ended the server within {took:?}");
    assert!(took < MARGIN, "{took:?}");
    assert_eq!((report.attempts_aborted, report.jobs_left), (2, 2));
    assert!(watched.rest().await.ended.is_some_and(|ended| ended.is_err()));
    let is_gone = || async { test_kill_process(process).is_err() };
    until("the stuck process is gone", is_gone).await;
}

#[tokio::test]
async fn an_idle_server_ends_at_once() {
    let mut server = TestServer::start().await;
    server.run_to_end(echo("before")).await;
    let begin = Instant::now();
    server.shutdown.graceful.cancel();
    let report = server.report().await;
    assert!(begin.elapsed() < MARGIN, "{:?}", begin.elapsed());
    assert_eq!((report.attempts_aborted, report.jobs_left, report.tasks_left), (0, 0, 0));
    assert_eq!((report.listener.connections_aborted, report.listener.requests_aborted), (0, 0));
    TcpStream::connect(server.address).await.expect_err("the listener is closed");
}

#[tokio::test]
async fn a_submit_stream_ends_with_an_error_when_its_connection_closes() {
    let mut server = TestServer::with(draining_for(Duration::from_millis(300))).await;
    let (requests, receiver) = tokio::sync::mpsc::channel(4);
    let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = server.jobs().submit_stream(receiver).await.unwrap().into_inner();
    let spec = jobstream::proto::v1::SubmitStreamRequest {
        batch: 1,
        jobs: vec![job("test.stubborn")],
        outcomes: true,
    };
    requests.send(spec).await.unwrap();
    server.gate.arrival().await;
    server.shutdown.graceful.cancel();
    let status = loop {
        match wait_for("an answer", answers.message()).await {
            Ok(answer) => assert!(answer.is_some(), "ended OK without the outcome"),
            Err(status) => break status,
        }
    };
    refused(&status, Code::Unavailable, "CONNECTION_CLOSING");
    assert_eq!(server.report().await.attempts_aborted, 1);
}

#[tokio::test]
async fn health_is_not_serving_before_the_drain_is_reported() {
    let server = TestServer::with(draining_for(Duration::from_secs(20))).await;
    server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(server.channel());
    let watched = server.watch(watch_request(&server.submit(job("nobody.serves.this")).await, 0)).await;
    server.shutdown.graceful.cancel();
    let watched = watched.rest().await;
    refused(watched.status(), Code::Unavailable, "DRAINING");
    for service in ["", "jobstream.v1.JobService", "jobstream.v1.AdminService"] {
        let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let answer = wait_for("Check answers", health.check(request)).await.unwrap();
        let not_serving = tonic_health::pb::health_check_response::ServingStatus::NotServing;
        assert_eq!(answer.get_ref().status(), not_serving, "{service:?}");
    }
}
