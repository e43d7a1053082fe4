//! A restart restores all acknowledged state.

use std::collections::HashMap;

use jobstream::proto::v1::{self, JobState};
use tonic::Code;

use super::{DataDir, ServerEnd, end, get, submit, try_result, watch};
use crate::support::{Dev, echo, job, json, millis, refused, seconds, text, until};

/// Reads a job, its result and its events.
pub(super) async fn read_job(dev: &Dev, id: &str) -> (v1::Job, v1::GetResultResponse, Vec<v1::JobEvent>) {
    let job = get(dev, id).await;
    let mut watched = watch(dev, id, 0).await;
    while watched.events.last().is_none_or(|event| event.sequence < job.sequence) {
        assert!(watched.step().await, "{id} is at {}: {:#?}", job.sequence, watched.events);
    }
    (job, try_result(dev, id, 0).await.expect("the job exists"), watched.events)
}

/// Returns the spec of the first job.
fn done() -> v1::JobSpec {
    let labels = HashMap::from([("tenant".to_owned(), "a".to_owned())]);
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
    let trace_context =
        Some(v1::TraceContext { traceparent, baggage: "a=b".to_owned(), ..Default::default() });
    v1::JobSpec { labels, priority: 3, trace_context, ..echo("done") }
}

/// Submits jobs in every waiting and final state.
async fn jobs_of_every_type(dev: &Dev) -> Vec<String> {
    dev.sh("jobstream queues pause held").await;
    let held = v1::JobSpec { queue: "held".to_owned(), ..done() };
    let specs = [
        done(),
        v1::JobSpec {
            payload: Some(json(serde_json::json!({"to": 3, "interval_seconds": 0.01}))),
            ..job("demo.count")
        },
        job("demo.fail"),
        v1::JobSpec {
            retry: Some(v1::RetryPolicy {
                max_attempts: 3,
                initial_backoff: Some(millis(1)),
                ..Default::default()
            }),
            ..job("demo.flaky")
        },
        v1::JobSpec { payload: Some(text("unserved")), ..job("unknown") },
        v1::JobSpec { start: Some(v1::job_spec::Start::StartDelay(seconds(3600))), ..echo("later") },
        held.clone(),
        held,
    ];
    let mut ids = Vec::new();
    for spec in specs {
        ids.push(submit(dev, spec).await);
    }
    for id in &ids[..4] {
        end(dev, id).await;
    }
    dev.sh(&format!("jobstream jobs cancel {} --reason enough", ids[7])).await;
    ids
}

async fn acknowledged_state_survives(by: ServerEnd) {
    let mut data_dir = DataDir::new(&[]);
    let mut dev = data_dir.start().await;
    let ids = jobs_of_every_type(&dev).await;
    let deleted = submit(&dev, echo("deleted")).await;
    end(&dev, &deleted).await;
    dev.sh(&format!("jobstream jobs rm {deleted}")).await;
    let short = submit(&dev, v1::JobSpec { retention: Some(seconds(1)), ..echo("short") }).await;
    until("it expires", async || try_result(&dev, &short, 0).await.is_err()).await;
    let mut seen = Vec::new();
    for id in &ids {
        seen.push(read_job(&dev, id).await);
    }
    // Two restarts: recovered state must be durable too.
    for _ in 0..2 {
        by.end(dev).await;
        dev = data_dir.start().await;
        for (id, before) in ids.iter().zip(&seen) {
            assert_eq!(read_job(&dev, id).await, *before, "{by:?}");
        }
        let gone = try_result(&dev, &deleted, 0).await.expect_err("it was deleted");
        refused(&gone, Code::NotFound, "JOB_NOT_FOUND");
        let expired = try_result(&dev, &short, 0).await.expect_err("it expired");
        refused(&expired, Code::NotFound, "RESULT_EXPIRED");
        let queues = dev.sh("jobstream queues ls").await;
        assert!(queues.contains("held\tyes") || queues.contains("held\ttrue"), "{queues}");
        assert_eq!(dev.sh("jobstream jobs ls --label tenant=a").await.lines().count(), 3);
    }
    assert_eq!(get(&dev, &ids[5]).await.state(), JobState::Scheduled);
    dev.sh("jobstream queues resume held").await;
    assert_eq!(end(&dev, &ids[6]).await.text(), "done");
    let again = v1::JobSpec { job_id: ids[0].clone(), ..done() };
    assert_eq!(submit(&dev, again).await, ids[0], "the same job, not another one");
    assert_eq!(get(&dev, &ids[0]).await, seen[0].0);
}

#[tokio::test]
async fn acknowledged_state_survives_a_kill() {
    acknowledged_state_survives(ServerEnd::Kill).await;
}

#[tokio::test]
async fn acknowledged_state_survives_a_graceful_shutdown() {
    acknowledged_state_survives(ServerEnd::Term).await;
}

#[tokio::test]
async fn downtime_counts_for_delays() {
    let mut data_dir = DataDir::new(&[]);
    let dev = data_dir.start().await;
    let delayed = v1::JobSpec { start: Some(v1::job_spec::Start::StartDelay(millis(1500))), ..echo("late") };
    let id = submit(&dev, delayed).await;
    let before = get(&dev, &id).await;
    assert_eq!(before.state(), JobState::Scheduled);
    dev.kill().await;
    let dev = data_dir.start().await;
    assert_eq!(end(&dev, &id).await.text(), "late");
}
