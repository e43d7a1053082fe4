//! Cancel: waiting jobs end at once. Running ones are notified, and ended by force after the grace period.

use std::time::{Duration, Instant};

use jobstream::proto::v1;
use jobstream::proto::v1::JobState;
use jobstream::proto::v1::job_event::Event;
use jobstream::proto::v1::job_spec::Start;
use tokio::task::JoinSet;
use tonic::Code;

use crate::checker::journal::end_of;
use crate::support::{
    Ended, TestServer, echo, job, json, millis, new_id, refused, seconds, wait_for, watch_request,
};

const LONG: Duration = Duration::from_secs(60);
/// A generous limit for a reaction that takes a tenth of a second on an idle machine.
const AT_ONCE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn cancelling_a_waiting_job_ends_it_at_once() {
    let server = TestServer::start().await;
    server.pause("default").await;
    let scheduled = v1::JobSpec { start: Some(Start::StartDelay(seconds(3600))), ..echo("later") };
    for spec in [echo("queued"), scheduled] {
        let id = server.submit(spec).await;
        let watched = server.watch(watch_request(&id, 0)).await;
        assert_eq!(server.cancel(&id, LONG).await.unwrap().state(), JobState::Cancelled);
        let watched = watched.rest().await;
        watched.outcome();
        let ended = server.end(&id).await;
        let cancellation = ended.cancellation();
        assert_eq!((cancellation.reason.as_str(), cancellation.forced), ("a test", false));
        assert_eq!((ended.sequence, server.get(&id).await.attempt), (2, 0));
    }
}

#[tokio::test]
async fn a_handler_that_observes_the_cancel_ends_at_once() {
    let server = TestServer::start().await;
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let spec =
            v1::JobSpec { payload: Some(json(serde_json::json!({"seconds": 60}))), ..job("demo.sleep") };
        let id = server.submit(spec).await;
        let mut watched = server.watch(watch_request(&id, 0)).await;
        watched.read_to(JobState::Running).await;
        let begin = Instant::now();
        server.cancel(&id, LONG).await.unwrap();
        let watched = watched.rest().await;
        slowest = slowest.max(begin.elapsed());
        watched.outcome();
        assert!(!server.end(&id).await.cancellation().forced);
        let is_cancel_notice = |event: &v1::JobEvent| match &event.event {
            Some(Event::StateChange(change)) => change.cancel_requested,
            _ => false,
        };
        assert!(is_cancel_notice(&watched.events[2]), "{:?}", watched.events);
    }
    println!("a running handler was cancelled within {slowest:?}");
    assert!(slowest < AT_ONCE, "{slowest:?}");
}

#[tokio::test]
async fn a_handler_that_ignores_the_cancel_is_ended_after_the_grace_period() {
    let server = TestServer::start().await;
    let id = server.submit(job("test.stubborn")).await;
    server.gate.arrival().await;
    let begin = Instant::now();
    let answer = server.cancel(&id, Duration::from_millis(400)).await.unwrap();
    assert_eq!(answer.state(), JobState::Running);
    assert!(server.get(&id).await.cancel_requested);
    let ended = server.end(&id).await;
    let took = begin.elapsed();
    assert!(ended.cancellation().forced);
    assert!(took >= Duration::from_millis(400) && took < Duration::from_millis(400) + AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn without_a_grace_period_the_job_is_ended_at_once() {
    let server = TestServer::start().await;
    let id = server.submit(job("test.stubborn")).await;
    server.gate.arrival().await;
    assert_eq!(server.cancel(&id, Duration::ZERO).await.unwrap().state(), JobState::Cancelled);
    assert!(server.end(&id).await.cancellation().forced);
}

#[tokio::test]
async fn a_second_cancel_may_only_shorten_the_grace_period() {
    let server = TestServer::start().await;
    let id = server.submit(job("test.stubborn")).await;
    server.gate.arrival().await;
    server.cancel(&id, LONG).await.unwrap();
    let begin = Instant::now();
    server.cancel(&id, Duration::from_millis(200)).await.unwrap();
    server.cancel(&id, LONG).await.unwrap();
    assert!(server.end(&id).await.cancellation().forced);
    assert!(begin.elapsed() < AT_ONCE + AT_ONCE, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_handler_ended_by_force_frees_its_slot() {
    let server = TestServer::with(|setup| {
        let worker = std::mem::take(&mut setup.worker);
        setup.worker = worker.slots(1);
    })
    .await;
    let id = server.submit(job("test.stubborn")).await;
    server.gate.arrival().await;
    let next = server.submit(job("test.gate")).await;
    server.cancel(&id, Duration::ZERO).await.unwrap();
    server.gate.arrival().await;
    server.gate.open(2);
    server.end(&next).await.result();
}

#[tokio::test]
async fn cancelling_a_finished_job_changes_nothing() {
    let server = TestServer::start().await;
    let done = server.run_to_end(echo("done")).await;
    let failed = server.run_to_end(job("demo.fail")).await;
    for (ended, state) in [(done, "SUCCEEDED"), (failed, "FAILED")] {
        let status = server.cancel(&ended.id, LONG).await.unwrap_err();
        let details = refused(&status, Code::FailedPrecondition, "ILLEGAL_STATE");
        let facts = &details.error_info().unwrap().metadata;
        assert_eq!((facts["state"].as_str(), facts["job_id"].as_str()), (state, ended.id.as_str()));
        assert!(facts["allowed"].contains("RUNNING"), "{facts:?}");
        assert_eq!(server.end(&ended.id).await, ended);
    }
    server.pause("default").await;
    let id = server.submit(echo("queued")).await;
    let first = server.cancel(&id, LONG).await.unwrap();
    assert_eq!(server.cancel(&id, LONG).await.unwrap(), first);
    refused(&server.cancel(&new_id(), LONG).await.unwrap_err(), Code::NotFound, "JOB_NOT_FOUND");
}

#[tokio::test]
async fn a_cancelled_job_is_not_retried() {
    let server = TestServer::start().await;
    let retry = v1::RetryPolicy { max_attempts: 50, ..Default::default() };
    let id = server.submit(v1::JobSpec { retry: Some(retry), ..job("test.gate") }).await;
    server.gate.arrival().await;
    server.cancel(&id, LONG).await.unwrap();
    server.end(&id).await.cancellation();
    assert_eq!(server.get(&id).await.attempt, 1);
}

#[tokio::test]
async fn a_cancel_during_the_back_off_ends_the_job() {
    let server = TestServer::start().await;
    let retry =
        v1::RetryPolicy { max_attempts: 9, initial_backoff: Some(seconds(600)), ..Default::default() };
    let id = server.submit(v1::JobSpec { retry: Some(retry), ..job("demo.flaky") }).await;
    let mut watched = server.watch(watch_request(&id, 0)).await;
    watched.read_to(JobState::Scheduled).await;
    assert_eq!(server.cancel(&id, LONG).await.unwrap().state(), JobState::Cancelled);
    watched.rest().await.outcome();
}

#[tokio::test]
async fn a_cancel_concurrent_with_the_end_leaves_one_outcome() {
    let server = TestServer::start().await;
    let mut races = JoinSet::new();
    for number in 0..300 {
        let (mut client, id) = (server.jobs(), new_id());
        races.spawn(async move {
            let pause = json(serde_json::json!({"seconds": f64::from(number % 30) / 100.0}));
            let spec = v1::JobSpec { job_id: id.clone(), payload: Some(pause), ..job("demo.sleep") };
            client.submit(v1::SubmitRequest { job: Some(spec), validate_only: false }).await.unwrap();
            let request =
                v1::CancelRequest { job_id: id.clone(), grace: Some(millis(1)), ..Default::default() };
            let mut other = client.clone();
            let (answer, watched) = tokio::join!(
                other.cancel(request),
                crate::support::Watched::open(&mut client, watch_request(&id, 0))
            );
            let watched = watched.rest().await;
            let request = v1::GetResultRequest { job_id: id.clone(), wait: None };
            let result = client.get_result(request).await.unwrap().into_inner();
            assert_eq!(Some(watched.outcome()), result.outcome.as_ref());
            assert_eq!(watched.events.iter().filter_map(end_of).count(), 1);
            match answer {
                Ok(answer) if answer.get_ref().state() == JobState::Cancelled => {
                    Ended::of(&id, &result).cancellation();
                }
                Ok(_) => {}
                Err(status) => drop(refused(&status, Code::FailedPrecondition, "ILLEGAL_STATE")),
            }
            result.state()
        });
    }
    let ends = wait_for("every race ends", races.join_all()).await;
    let cancelled = ends.iter().filter(|state| **state == JobState::Cancelled).count();
    println!("{cancelled} of {} cancels won", ends.len());
}

#[tokio::test]
async fn a_disconnected_run_cancels_its_job_only_on_request() {
    let server = TestServer::start().await;
    for cancel_on_disconnect in [true, false] {
        let id = new_id();
        let spec = v1::JobSpec { job_id: id.clone(), ..job("test.gate") };
        let request = v1::RunRequest { job: Some(spec), cancel_on_disconnect, ..Default::default() };
        let stream = wait_for("Run begins", server.jobs().run(request)).await.unwrap();
        server.gate.arrival().await;
        drop(stream);
        if cancel_on_disconnect {
            assert!(server.end(&id).await.cancellation().reason.contains("disconnected"));
        } else {
            server.gate.open(1);
            server.end(&id).await.result();
        }
    }
}
