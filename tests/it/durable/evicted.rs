//! Eviction of finished jobs: reads of evicted contents return the same.

use std::process::Stdio;

use jobstream::proto::v1;
use serde_json::json as value;
use tokio::process::Command;

use super::restart::read_job;
use super::{DataDir, end, jobs, remove, submit, watch};
use crate::support::{Dev, data, echo, job, json, millis, until, wait_for};

const BOUND: [&str; 2] = ["--data-bytes-max", "136MiB"];
const IN_MEMORY: [&str; 2] = ["--retention-memory-bytes-max", "0"];

/// Runs one job of each type: large payload, output, progress, failed attempts, failure.
async fn jobs_of_every_type(dev: &Dev) -> Vec<String> {
    let words = "a few words ".repeat(1000);
    let retry = v1::RetryPolicy { max_attempts: 3, initial_backoff: Some(millis(1)), ..Default::default() };
    let specs = [
        echo(&words),
        echo("a word"),
        v1::JobSpec {
            payload: Some(json(value!({"chunks": 40, "interval_seconds": 0.001}))),
            ..job("demo.stream")
        },
        v1::JobSpec {
            payload: Some(json(value!({"to": 3, "interval_seconds": 0.001}))),
            ..job("demo.count")
        },
        v1::JobSpec { payload: Some(json(value!({"message": words}))), ..job("demo.fail") },
        v1::JobSpec { retry: Some(retry), ..job("demo.flaky") },
        v1::JobSpec { payload: Some(data(words.into_bytes())), ..job("shout") },
    ];
    let mut ids = Vec::new();
    for spec in specs {
        let id = submit(dev, spec).await;
        end(dev, &id).await;
        ids.push(id);
    }
    ids
}

/// Lists the oldest jobs with payloads.
async fn list(dev: &Dev, count: usize) -> Vec<v1::Job> {
    let request = v1::ListJobsRequest { page_size: 1000, include_payloads: true, ..Default::default() };
    let page = wait_for("ListJobs answers", jobs(dev).list_jobs(request)).await.expect("a list").into_inner();
    page.jobs.into_iter().rev().take(count).collect()
}

type Seen = (v1::Job, v1::GetResultResponse, Vec<v1::JobEvent>);

async fn check(dev: &Dev, seen: &[Seen], listed: &[v1::Job], when: &str) {
    for before in seen {
        let now = read_job(dev, &before.0.job_id).await;
        assert!(now == *before, "{when}: {:#?} instead of {:#?}", now.0, before.0);
    }
    assert!(list(dev, seen.len()).await == listed, "the list {when}");
}

/// Returns whether a file of the directory contains a text.
async fn holds(data_dir: &DataDir, words: &str) -> bool {
    let mut grep = Command::new("grep");
    let status = grep.args(["-rqF", words]).arg(&data_dir.directory).stderr(Stdio::null()).status();
    wait_for("grep ends", status).await.expect("the process starts").success()
}

/// Appends until the active segment is reclaimed.
async fn until_reclaimed(dev: &Dev, data_dir: &DataDir) {
    let files = std::fs::read_dir(&data_dir.directory).expect("a directory");
    let names = files.map(|file| file.expect("a file").path());
    let newest = names.filter(|path| path.to_string_lossy().contains("segment-")).max().expect("a segment");
    let content = data(vec![7; 900_000]);
    while newest.exists() {
        let id = submit(dev, v1::JobSpec { payload: Some(content.clone()), ..job("demo.echo") }).await;
        end(dev, &id).await;
        remove(dev, &id).await;
    }
}

#[tokio::test]
async fn reads_of_resident_and_evicted_jobs_are_equal() {
    let shout = ["--exec", "shout=sh -c 'echo loud >&2; cat | wc -c'"];
    let mut data_dir = DataDir::new(&[BOUND, shout].concat());
    let mut dev = data_dir.start().await;
    let ids = jobs_of_every_type(&dev).await;
    let mut seen = Vec::new();
    for id in &ids {
        seen.push(read_job(&dev, id).await);
    }
    let mut listed = list(&dev, seen.len()).await;
    dev.kill().await;
    data_dir.args = [BOUND, shout, IN_MEMORY].concat().into_iter().map(str::to_owned).collect();
    dev = data_dir.start().await;
    check(&dev, &seen, &listed, "after a restart").await;
    // Other jobs end under a watch and are evicted.
    for spec in [echo(&"words ".repeat(500)), job("demo.stream")] {
        let id = submit(&dev, spec).await;
        let events = watch(&dev, &id, 0).await.rest().await.events;
        let now = read_job(&dev, &id).await;
        assert_eq!(now.2, events);
        seen.push(now);
    }
    listed = list(&dev, seen.len()).await;
    let secret = "a secret of which nothing may be left";
    let deleted = submit(&dev, echo(secret)).await;
    end(&dev, &deleted).await;
    remove(&dev, &deleted).await;
    assert!(holds(&data_dir, secret).await);
    for round in 0..2 {
        until_reclaimed(&dev, &data_dir).await;
        check(&dev, &seen, &listed, "after a compaction").await;
        until("it is gone", async || !holds(&data_dir, secret).await).await;
        dev.kill().await;
        dev = data_dir.start().await;
        check(&dev, &seen, &listed, &format!("after kill {round}")).await;
    }
    let again = dev.sh(&format!("jobstream jobs retry {}", ids[0])).await;
    assert!(!again.is_empty());
}
