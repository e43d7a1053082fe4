//! Clients that submit, watch, cancel and disconnect at random. Every job ends once, and every OK watch has its end.

use std::collections::BTreeMap;
use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::support::{Ended, TestServer, Watched, job, json as payload, millis, new_id, watch_request};

/// The actions of one client on its job.
#[derive(Debug, Clone)]
struct Scenario {
    kind: Kind,
    /// The milliseconds until a cancel, and its grace period.
    cancel: Option<(u64, i32)>,
    /// For each watcher, the milliseconds until it starts and the messages after which it resumes.
    watchers: Vec<(u64, usize)>,
    resubmits: usize,
}

#[derive(Debug, Clone)]
enum Kind {
    Echo,
    Sleep(u32),
    Count(u32),
    Flaky(u32),
    Panic,
    Stubborn,
}

fn scenarios() -> impl Strategy<Value = Vec<Scenario>> {
    let kind = prop_oneof![
        Just(Kind::Echo),
        (0..30_u32).prop_map(Kind::Sleep),
        (1..5_u32).prop_map(Kind::Count),
        (0..4_u32).prop_map(Kind::Flaky),
        Just(Kind::Panic),
        Just(Kind::Stubborn),
    ];
    let cancel = prop::option::of((0..30_u64, 0..20_i32));
    let watchers = prop::collection::vec((0..30_u64, 1..6_usize), 0..4);
    let scenario = (kind, cancel, watchers, 0..3_usize)
        .prop_map(|(kind, cancel, watchers, resubmits)| Scenario { kind, cancel, watchers, resubmits });
    prop::collection::vec(scenario, 40)
}

fn spec(id: &str, kind: &Kind) -> v1::JobSpec {
    let (kind, input) = match kind {
        Kind::Echo => ("demo.echo", json!("hi")),
        Kind::Sleep(millis) => ("demo.sleep", json!({"seconds": f64::from(*millis) / 1000.0})),
        Kind::Count(to) => ("demo.count", json!({"to": to, "interval_seconds": 0.002})),
        Kind::Flaky(failures) => ("demo.flaky", json!({"failures": failures})),
        Kind::Panic => ("test.panic", json!("chaos")),
        Kind::Stubborn => ("test.stubborn", json!(null)),
    };
    let retry =
        v1::RetryPolicy { max_attempts: 3, initial_backoff: Some(millis(3)), ..v1::RetryPolicy::default() };
    // Ends jobs without a cancel.
    let attempt_timeout = Some(millis(80));
    let payload = Some(payload(input));
    v1::JobSpec { job_id: id.to_owned(), payload, retry: Some(retry), attempt_timeout, ..job(kind) }
}

async fn cancel(mut client: JobServiceClient<Channel>, id: String, after: u64, grace: i32) {
    tokio::time::sleep(Duration::from_millis(after)).await;
    let request = v1::CancelRequest { job_id: id, grace: Some(millis(grace)), ..Default::default() };
    if let Err(status) = client.cancel(request).await {
        assert_eq!(status.code(), tonic::Code::FailedPrecondition, "{status:?}");
    }
}

/// Watches and resumes until a stream ends OK. Returns the outcome.
async fn watch(mut client: JobServiceClient<Channel>, id: String, after: u64, piece: usize) -> v1::Outcome {
    tokio::time::sleep(Duration::from_millis(after)).await;
    let mut seen = BTreeMap::new();
    loop {
        let cursor = seen.last_key_value().map_or(0, |(sequence, _)| *sequence);
        let mut watched = Watched::open(&mut client, watch_request(&id, cursor)).await;
        for _ in 0..piece {
            watched.step().await;
        }
        for event in &watched.events {
            assert!(seen.insert(event.sequence, event.clone()).is_none(), "an event was sent twice");
        }
        if let Some(outcome) = seen.values().find_map(crate::checker::journal::end_of) {
            return outcome.clone();
        }
        assert!(watched.ended.is_none(), "ended without the end: {:?}", watched.ended);
    }
}

/// Runs a scenario and checks all responses.
async fn run_scenario(mut client: JobServiceClient<Channel>, scenario: Scenario) -> Ended {
    let id = new_id();
    let submit = v1::SubmitRequest { job: Some(spec(&id, &scenario.kind)), validate_only: false };
    client.submit(submit.clone()).await.expect("the job is accepted");
    let mut watchers = JoinSet::new();
    for (after, piece) in scenario.watchers {
        watchers.spawn(watch(client.clone(), id.clone(), after, piece));
    }
    let cancelling =
        scenario.cancel.map(|(after, grace)| tokio::spawn(cancel(client.clone(), id.clone(), after, grace)));
    for _ in 0..scenario.resubmits {
        let answer = client.submit(submit.clone()).await.expect("the job is accepted").into_inner();
        assert_eq!(answer.disposition(), v1::Disposition::Existing);
    }
    let wait = Some(millis(20_000));
    let result = client.get_result(v1::GetResultRequest { job_id: id.clone(), wait }).await;
    let result = result.expect("the job is known").into_inner();
    let ended = Ended::of(&id, &result);
    for outcome in watchers.join_all().await {
        assert_eq!(Some(&outcome), result.outcome.as_ref());
    }
    if let Some(cancelling) = cancelling {
        cancelling.await.expect("the cancel is answered");
    }
    let whole = Watched::open(&mut client, watch_request(&id, 0)).await.rest().await;
    assert_eq!(Some(whole.outcome()), result.outcome.as_ref());
    let again = client.get_result(v1::GetResultRequest { job_id: id.clone(), wait: None }).await;
    assert_eq!(Ended::of(&id, &again.expect("the job is known").into_inner()), ended);
    ended
}

#[test]
fn every_job_ends_once_and_every_watcher_sees_that_end() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 8, max_shrink_iters: 0, ..Config::default() });
    let result = runner.run(&scenarios(), |scenarios| {
        runtime.block_on(async {
            let server = TestServer::start().await;
            let count = scenarios.len();
            let mut running = JoinSet::new();
            for (number, scenario) in scenarios.into_iter().enumerate() {
                let client = if number % 8 == 0 { server.new_jobs().await } else { server.jobs() };
                running.spawn(run_scenario(client, scenario));
            }
            let done = tokio::time::timeout(crate::support::TIMEOUT, running.join_all()).await;
            assert_eq!(done.expect("every scenario ends").len(), count);
            assert_eq!(server.info().await.jobs, count as u32);
        });
        Ok(())
    });
    result.unwrap();
}
