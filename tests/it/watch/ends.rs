//! The end of a watch: OK if and only if the final event was sent, else an error with a remedy.

use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::JobState;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::support::{
    Chatter, TestServer, Watched, echo, job, json_of, millis, new_id, refused, until, wait_for, watch_request,
};

#[tokio::test]
async fn a_watch_ends_ok_with_every_type_of_outcome() {
    let server = TestServer::start().await;
    let failed = server.submit(job("demo.fail")).await;
    let watched = server.watch_all(&failed, 0).await;
    assert!(matches!(watched.outcome().end, Some(v1::outcome::End::Failure(_))));
    let cancelled = server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    let watched = server.watch(watch_request(&cancelled, 0)).await;
    server.cancel(&cancelled, Duration::from_secs(9)).await.unwrap();
    let watched = watched.rest().await;
    assert!(matches!(watched.outcome().end, Some(v1::outcome::End::Cancellation(_))));
}

#[tokio::test]
async fn a_watch_of_an_unknown_job_is_rejected() {
    let server = TestServer::start().await;
    refused(server.watch_all(&new_id(), 0).await.status(), Code::NotFound, "JOB_NOT_FOUND");
    refused(server.watch_all("", 0).await.status(), Code::InvalidArgument, "INVALID_FIELD");
    let id = server.submit(v1::JobSpec { retention: Some(millis(1)), ..echo("brief") }).await;
    until("the job expires", || async { server.info().await.jobs == 0 }).await;
    refused(server.watch_all(&id, 0).await.status(), Code::NotFound, "RESULT_EXPIRED");
}

#[tokio::test]
async fn a_delete_ends_a_watch_without_the_final_event() {
    let server = TestServer::start().await;
    let chatter = Chatter { outputs: 220, output_bytes: 1_000, ..Chatter::default() };
    let spec = v1::JobSpec { payload: Some(json_of(chatter)), ..job("test.chatter") };
    let ended = server.run_to_end(spec).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let channel = endpoint.initial_stream_window_size(1_024).connect().await.unwrap();
    let mut client = v1::job_service_client::JobServiceClient::new(channel);
    let mut watched = Watched::open(&mut client, watch_request(&ended.id, 0)).await;
    watched.step().await;
    server.delete(&ended.id).await.unwrap();
    let watched = watched.rest().await;
    refused(watched.status(), Code::NotFound, "JOB_NOT_FOUND");
    assert!(!watched.states().contains(&JobState::Succeeded));
}

#[tokio::test]
async fn a_drain_ends_the_watch_of_a_waiting_job_with_a_resume_hint() {
    let server = TestServer::start().await;
    server.pause("default").await;
    let id = server.submit(echo("waits")).await;
    let mut watched = server.watch(watch_request(&id, 0)).await;
    watched.step().await;
    server.shutdown.graceful.cancel();
    let watched = watched.rest().await;
    let details = refused(watched.status(), Code::Unavailable, "DRAINING");
    assert!(details.retry_info().unwrap().retry_delay.unwrap() > Duration::ZERO);
}

#[tokio::test]
async fn watches_of_an_old_connection_end_and_can_be_resumed() {
    let server = TestServer::with(|setup| {
        let limits = &mut setup.server.serve.limits;
        limits.preface_timeout = Duration::from_millis(100);
        limits.connection_age = Duration::from_millis(400);
        limits.connection_age_grace = Duration::from_millis(100);
    })
    .await;
    let id = server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    let watched = server.watch_all(&id, 0).await;
    let details = refused(watched.status(), Code::Unavailable, "CONNECTION_CLOSING");
    assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::ZERO));
    assert_eq!(watched.sequences(), [1, 2]);
    server.gate.open(1);
    let resumed = Watched::open(&mut server.new_jobs().await, watch_request(&id, 2)).await.rest().await;
    resumed.outcome();
    assert_eq!(resumed.sequences(), [3]);
}

#[tokio::test]
async fn the_deadline_of_the_caller_ends_a_watch() {
    let server = TestServer::start().await;
    let id = server.submit(job("test.gate")).await;
    let mut request = tonic::Request::new(watch_request(&id, 0));
    request.set_timeout(Duration::from_millis(500));
    let mut stream = wait_for("WatchResult begins", server.jobs().watch_result(request)).await.unwrap();
    let status = loop {
        match wait_for("a message", stream.get_mut().message()).await {
            Ok(message) => assert!(message.is_some(), "ended OK without the end"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    server.gate.open(1);
    server.end(&id).await.result();
}
