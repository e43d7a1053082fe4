//! Queues: pause, resume, purge and list; order of starts; wait reasons.

use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::job_spec::Start;
use jobstream::proto::v1::{JobState, WaitReason};
use tonic::{Code, Status};

use crate::support::{
    Chatter, TestServer, echo, job, json_of, refused, seconds, text, until, wait_for, watch_request,
};

fn in_queue(queue: &str, spec: v1::JobSpec) -> v1::JobSpec {
    v1::JobSpec { queue: queue.to_owned(), ..spec }
}

async fn list(server: &TestServer, page_size: u32, page_token: &str) -> v1::ListQueuesResponse {
    let request = v1::ListQueuesRequest { page_size, page_token: page_token.to_owned() };
    wait_for("ListQueues answers", server.admin().list_queues(request)).await.expect("a page").into_inner()
}

/// Returns a queue from the list.
async fn listed(server: &TestServer, name: &str) -> Option<v1::Queue> {
    list(server, 0, "").await.queues.into_iter().find(|queue| queue.queue == name)
}

async fn purge(server: &TestServer, queue: &str) -> Result<u32, Status> {
    let request = v1::PurgeQueueRequest { queue: queue.to_owned() };
    let answer = wait_for("PurgeQueue answers", server.admin().purge_queue(request)).await;
    answer.map(|answer| answer.into_inner().purged)
}

/// Starts a server with one slot for async handlers, so that one `test.gate` blocks all other jobs.
async fn server_with_one_slot() -> TestServer {
    TestServer::with(|setup| {
        let worker = std::mem::take(&mut setup.worker);
        setup.worker = worker.slots(1);
    })
    .await
}

#[tokio::test]
async fn a_paused_queue_starts_no_jobs_until_it_is_resumed() {
    let server = TestServer::start().await;
    let running = server.submit(in_queue("slow", job("test.gate"))).await;
    server.gate.arrival().await;
    server.pause("slow").await;
    server.pause("slow").await;
    let waiting = server.submit(in_queue("slow", echo("waits"))).await;
    let answer = server.peek(&waiting).await;
    assert_eq!((answer.state(), answer.wait_reason()), (JobState::Queued, WaitReason::QueuePaused));
    server.run_to_end(echo("another queue runs")).await.result();
    server.gate.open(1);
    server.end(&running).await.result();
    assert_eq!(server.peek(&waiting).await.state(), JobState::Queued);
    let queue = listed(&server, "slow").await.unwrap();
    assert!(queue.paused && queue.oldest_queued_age.is_some());
    server.resume("slow").await;
    server.end(&waiting).await.result();
    assert!(!listed(&server, "slow").await.unwrap().paused);
}

#[tokio::test]
async fn purge_cancels_waiting_jobs_and_not_running_ones() {
    let server = TestServer::start().await;
    let running = server.submit(in_queue("slow", job("test.gate"))).await;
    server.gate.arrival().await;
    server.pause("slow").await;
    let mut ids = Vec::new();
    for number in 0..600 {
        let start = (number % 3 == 0).then(|| Start::StartDelay(seconds(600)));
        ids.push(server.submit(in_queue("slow", v1::JobSpec { start, ..echo("waits") })).await);
    }
    let other = server.submit(job("nobody.serves.this")).await;
    let watched = server.watch(watch_request(&ids[0], 0)).await;
    assert_eq!(purge(&server, "slow").await.unwrap(), 600);
    watched.rest().await.outcome();
    for id in ids.iter().step_by(50) {
        let ended = server.end(id).await;
        assert_eq!(
            (ended.cancellation().reason.as_str(), ended.cancellation().forced),
            ("queue purged", false)
        );
    }
    assert_eq!(purge(&server, "slow").await.unwrap(), 0);
    assert_eq!(server.peek(&running).await.state(), JobState::Running);
    assert_eq!(server.peek(&other).await.state(), JobState::Queued);
    let counts = listed(&server, "slow").await.unwrap().counts.unwrap();
    assert_eq!((counts.running, counts.cancelled, counts.queued, counts.scheduled), (1, 600, 0, 0));
}

#[tokio::test]
async fn queues_are_listed_by_name_in_pages_with_their_counts() {
    let server = TestServer::start().await;
    for name in ["b", "a/1", "c", "B"] {
        server.run_to_end(in_queue(name, echo("hi"))).await.result();
    }
    server.run_to_end(in_queue("b", job("demo.fail"))).await.failure();
    server
        .submit(in_queue("b", v1::JobSpec { start: Some(Start::StartDelay(seconds(60))), ..echo("x") }))
        .await;
    server.pause("empty").await;
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let page = list(&server, 2, &token).await;
        assert!(page.queues.len() <= 2);
        names.extend(page.queues.into_iter().map(|queue| queue.queue));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["B", "a/1", "b", "c", "empty"]);
    let queue = listed(&server, "b").await.unwrap();
    let counts = queue.counts.unwrap();
    assert_eq!((counts.succeeded, counts.failed, counts.scheduled), (1, 1, 1));
    assert!(queue.accepted_per_second > 0.0 && queue.finished_per_second > 0.0);
    server.resume("empty").await;
    assert_eq!(listed(&server, "empty").await, None);
}

#[tokio::test]
async fn a_queue_is_removed_with_its_last_job() {
    let server = TestServer::start().await;
    let ended = server.run_to_end(in_queue("brief", echo("hi"))).await;
    assert!(listed(&server, "brief").await.is_some());
    server.delete(&ended.id).await.unwrap();
    assert_eq!(listed(&server, "brief").await, None);
    refused(&purge(&server, "brief").await.unwrap_err(), Code::NotFound, "QUEUE_NOT_FOUND");
}

#[tokio::test]
async fn jobs_start_by_priority_and_then_in_acceptance_order() {
    let server = server_with_one_slot().await;
    let blocker = server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    let payload = Some(json_of(Chatter::default()));
    let mut jobs = Vec::new();
    for (at, priority) in [0, 100, -100, 0, 5, 100, -100, 5, 0, 100, 5, -100].into_iter().enumerate() {
        let queue = ["a", "b", "c"][at / 2 % 3];
        let spec = v1::JobSpec { priority, payload: payload.clone(), ..job("test.chatter") };
        jobs.push((priority, queue, at, server.submit(in_queue(queue, spec)).await));
    }
    server.gate.open(1);
    server.end(&blocker).await;
    let mut started = Vec::new();
    for (priority, queue, at, id) in jobs {
        server.end(&id).await.result();
        let time = server.get(&id).await.start_time.map(|time| (time.seconds, time.nanos));
        started.push((time, priority, queue, at));
    }
    started.sort_unstable_by_key(|(time, ..)| *time);
    assert!(started.is_sorted_by_key(|(_, priority, ..)| -priority), "{started:?}");
    started.sort_by_key(|(_, priority, queue, _)| (-priority, *queue));
    let is_earlier = |one: &(_, i32, &str, usize), next: &(_, i32, &str, usize)| {
        (one.1, one.2) != (next.1, next.2) || one.3 < next.3
    };
    assert!(started.is_sorted_by(is_earlier), "{started:?}");
}

#[tokio::test]
async fn the_wait_reason_is_in_the_job_the_result_and_the_first_event() {
    let server = server_with_one_slot().await;
    server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    server.pause("paused").await;
    let retry = v1::RetryPolicy { max_attempts: 2, initial_backoff: Some(seconds(60)), ..Default::default() };
    let cases = [
        (v1::JobSpec { start: Some(Start::StartDelay(seconds(60))), ..echo("x") }, WaitReason::NotDue),
        (in_queue("paused", echo("x")), WaitReason::QueuePaused),
        (job("nobody.serves.this"), WaitReason::NoWorker),
        (job("demo.count"), WaitReason::WorkersBusy),
    ];
    for (spec, reason) in cases {
        let id = server.submit(spec).await;
        assert_eq!(server.peek(&id).await.wait_reason(), reason);
        assert_eq!(server.get(&id).await.wait_reason(), reason);
        let mut watched = server.watch(watch_request(&id, 0)).await;
        watched.step().await;
        let Some(v1::job_event::Event::StateChange(change)) = &watched.events[0].event else { panic!() };
        assert_eq!(change.wait_reason(), reason);
    }
    let server = TestServer::start().await;
    let id = server.submit(v1::JobSpec { retry: Some(retry), ..job("demo.flaky") }).await;
    let backs_off = || async { server.peek(&id).await.wait_reason() == WaitReason::BackOff };
    until("the first attempt fails", backs_off).await;
    let seen = server.get(&id).await;
    assert!(seen.next_attempt_time.is_some() && seen.attempts[0].failure.is_some());
}

#[tokio::test]
async fn unserved_kinds_of_waiting_jobs_are_listed() {
    let server = TestServer::start().await;
    server.submit(in_queue("q", job("zebra"))).await;
    server.submit(in_queue("q", job("ape"))).await;
    server.submit(in_queue("q", echo("served"))).await;
    assert_eq!(listed(&server, "q").await.unwrap().unserved_kinds, ["ape", "zebra"]);
    let kinds = server.info().await.kinds;
    assert!(kinds.is_sorted() && kinds.contains(&"demo.echo".to_owned()), "{kinds:?}");
}

#[tokio::test]
async fn a_delayed_job_starts_after_its_delay_and_not_before() {
    let server = TestServer::start().await;
    let start = Some(Start::StartDelay(crate::support::millis(300)));
    let begin = std::time::Instant::now();
    let ended =
        server.run_to_end(v1::JobSpec { start, payload: Some(text("due")), ..job("demo.echo") }).await;
    assert_eq!(ended.result(), &text("due"));
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
    let states = server.watch_all(&ended.id, 0).await.states();
    assert_eq!(states, [JobState::Scheduled, JobState::Queued, JobState::Running, JobState::Succeeded]);
}
