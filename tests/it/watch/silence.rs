//! Heartbeats and blocked readers.

use std::time::{Duration, Instant};

use jobstream::proto::v1;
use jobstream::proto::v1::JobState;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::support::{
    Chatter, TestServer, Watched, echo, job, json_of, millis, refused, seconds, until, wait_for,
    watch_request,
};

#[tokio::test]
async fn an_idle_watch_gets_heartbeats_and_the_end() {
    let server = TestServer::start().await;
    let id = server.submit(job("test.gate")).await;
    let request = v1::WatchResultRequest { heartbeat: Some(seconds(1)), ..watch_request(&id, 0) };
    let mut watched = server.watch(request).await;
    watched.read_to(JobState::Running).await;
    let begin = Instant::now();
    watched.step().await;
    assert_eq!(watched.heartbeats, [v1::Heartbeat { sequence: 2 }]);
    let silence = begin.elapsed();
    assert!((800..3_000).contains(&silence.as_millis()), "{silence:?}");
    server.gate.open(1);
    watched.rest().await.outcome();
}

#[tokio::test]
async fn a_run_gets_heartbeats_too() {
    let server = TestServer::start().await;
    let request =
        v1::RunRequest { job: Some(job("test.gate")), heartbeat: Some(seconds(1)), ..Default::default() };
    let mut stream = wait_for("Run begins", server.jobs().run(request)).await.unwrap().into_inner();
    let heartbeat = loop {
        let message = wait_for("a message", stream.message()).await.unwrap().unwrap().message.unwrap();
        if let v1::run_response::Message::Heartbeat(heartbeat) = message {
            break heartbeat;
        }
    };
    assert_eq!(heartbeat.sequence, 2);
}

#[tokio::test]
async fn heartbeat_intervals_out_of_range_are_rejected() {
    let server = TestServer::start().await;
    let id = server.submit(echo("hi")).await;
    for heartbeat in [millis(999), millis(0), seconds(-1), seconds(3_601)] {
        let request = v1::WatchResultRequest { heartbeat: Some(heartbeat), ..watch_request(&id, 0) };
        let watched = server.watch(request).await;
        let details = refused(watched.status(), Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "heartbeat");
    }
}

#[tokio::test]
async fn a_blocked_reader_delays_no_other_watch_and_misses_no_end() {
    let server = TestServer::start().await;
    server.pause("default").await;
    let chatter = Chatter { progress: 50, outputs: 12, output_bytes: 16_384, ..Chatter::default() };
    let id = server.submit(v1::JobSpec { payload: Some(json_of(chatter)), ..job("test.chatter") }).await;

    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let channel = endpoint.initial_stream_window_size(1_024).connect().await.unwrap();
    let mut client = v1::job_service_client::JobServiceClient::new(channel);
    let silent = Watched::open(&mut client, watch_request(&id, 0)).await;

    let mut readers = JoinSet::new();
    for _ in 0..9 {
        let client = server.new_jobs().await;
        for _ in 0..111 {
            let (mut client, request) = (client.clone(), watch_request(&id, 0));
            readers.spawn(async move { Watched::open(&mut client, request).await.rest().await });
        }
    }
    until("everybody watches", || async { server.info().await.watchers == 1_000 }).await;
    let begin = Instant::now();
    server.resume("default").await;
    let readers = wait_for("every other watch ends", readers.join_all()).await;
    println!("999 watchers saw the end within {:?}", begin.elapsed());
    assert_eq!(readers.len(), 999);
    let outcome = readers[0].outcome();
    assert!(readers.iter().all(|reader| reader.outcome() == outcome));
    assert_eq!(server.info().await.watchers, 1);
    assert_eq!(silent.rest().await.outcome(), outcome);
    assert!(begin.elapsed() < Duration::from_secs(30));
}
