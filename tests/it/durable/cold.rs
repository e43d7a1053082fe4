//! Finished jobs whose payloads, results and events are on disk alone: nobody who reads them sees a difference.

use std::process::Stdio;

use jobstream::proto::v1;
use serde_json::json as value;
use tokio::process::Command;

use super::kept::look;
use super::{Home, end, jobs, remove, submit, watch};
use crate::support::{Dev, data, echo, job, json, millis, until, wait_for};

const BOUND: [&str; 2] = ["--data-bytes-max", "136MiB"];
const IN_MEMORY: [&str; 2] = ["--retention-memory-bytes-max", "0"];

/// Jobs that ended, of every sort: with a large payload, output, progress, failed attempts, a failure.
async fn jobs_of_every_sort(dev: &Dev) -> Vec<String> {
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

/// The list with payloads, oldest first, without those that come later.
async fn list(dev: &Dev, count: usize) -> Vec<v1::Job> {
    let request = v1::ListJobsRequest { page_size: 1000, include_payloads: true, ..Default::default() };
    let page = wait_for("ListJobs answers", jobs(dev).list_jobs(request)).await.expect("a list").into_inner();
    page.jobs.into_iter().rev().take(count).collect()
}

type Seen = (v1::Job, v1::GetResultResponse, Vec<v1::JobEvent>);

async fn check(dev: &Dev, seen: &[Seen], listed: &[v1::Job], when: &str) {
    for before in seen {
        let now = look(dev, &before.0.job_id).await;
        assert!(now == *before, "{when}: {:#?} instead of {:#?}", now.0, before.0);
    }
    assert!(list(dev, seen.len()).await == listed, "the list {when}");
}

/// Whether a file of the directory holds these words.
async fn holds(home: &Home, words: &str) -> bool {
    let mut grep = Command::new("grep");
    let status = grep.args(["-rqF", words]).arg(&home.directory).stderr(Stdio::null()).status();
    wait_for("grep ends", status).await.expect("it starts").success()
}

/// Writes until the segment that was written is given back.
async fn until_given_back(dev: &Dev, home: &Home) {
    let files = std::fs::read_dir(&home.directory).expect("a directory");
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
async fn every_read_is_the_same_from_memory_and_from_disk() {
    let shout = ["--exec", "shout=sh -c 'echo loud >&2; cat | wc -c'"];
    let mut home = Home::new(&[BOUND, shout].concat());
    let mut dev = home.start().await;
    let ids = jobs_of_every_sort(&dev).await;
    let mut seen = Vec::new();
    for id in &ids {
        seen.push(look(&dev, id).await);
    }
    let mut listed = list(&dev, seen.len()).await;
    dev.kill().await;
    home.args = [BOUND, shout, IN_MEMORY].concat().into_iter().map(str::to_owned).collect();
    dev = home.start().await;
    check(&dev, &seen, &listed, "after a restart").await;
    // Others are followed to their end, and are on disk alone from then on.
    for spec in [echo(&"words ".repeat(500)), job("demo.stream")] {
        let id = submit(&dev, spec).await;
        let events = watch(&dev, &id, 0).await.rest().await.events;
        let now = look(&dev, &id).await;
        assert_eq!(now.2, events);
        seen.push(now);
    }
    listed = list(&dev, seen.len()).await;
    let secret = "a secret of which nothing may be left";
    let deleted = submit(&dev, echo(secret)).await;
    end(&dev, &deleted).await;
    remove(&dev, &deleted).await;
    assert!(holds(&home, secret).await);
    for round in 0..2 {
        until_given_back(&dev, &home).await;
        check(&dev, &seen, &listed, "after it was written again").await;
        until("it is gone", async || !holds(&home, secret).await).await;
        dev.kill().await;
        dev = home.start().await;
        check(&dev, &seen, &listed, &format!("after kill {round}")).await;
    }
    let again = dev.sh(&format!("jobstream jobs retry {}", ids[0])).await;
    assert!(!again.is_empty());
}
