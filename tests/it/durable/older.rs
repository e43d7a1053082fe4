//! Data directories that an older version left: tests/data/757e859, made by the script there.

use std::path::Path;

use serde_json::Value;
use tonic::Code;

use super::{Home, end, try_result};
use crate::support::{Dev, refused};

/// The id of the fixture's job with this number.
fn id(number: u32) -> String {
    format!("0190c0de-0000-7000-8000-{number:012x}")
}

/// A copy of a directory of the fixture, and what the older version showed of its jobs.
fn older(name: &str, args: &[&str]) -> (Home, Vec<Value>) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/757e859").join(name);
    let small = ["--segment-bytes", "73728", "--payload-bytes-max", "1KiB"];
    let home = Home::new(&[&small, args].concat());
    std::fs::create_dir_all(&home.directory).expect("a directory");
    for file in std::fs::read_dir(&fixture).expect("the fixture") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let name = path.file_name().expect("a name");
            std::fs::copy(&path, home.directory.join(name)).expect("it is copied");
        }
    }
    let lines = std::fs::read_to_string(fixture.join("jobs.jsonl")).expect("what it showed");
    (home, lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

/// What the server shows of a job now.
async fn shown(dev: &Dev, id: &str) -> Value {
    let line = dev.sh(&format!("jobstream jobs get {id} -o jsonl")).await;
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// What of a job no version and no restart changes.
fn lasting(job: &Value) -> Vec<&Value> {
    let spec = ["kind", "queue", "payload", "priority", "labels"].map(|field| &job["spec"][field]);
    let own = ["jobId", "createTime", "finishTime", "expireTime", "state", "outcome", "attempt", "sequence"];
    spec.into_iter().chain(own.map(|field| &job[field])).collect()
}

async fn assert_unchanged(dev: &Dev, jobs: impl IntoIterator<Item = &Value>) {
    for before in jobs {
        let now = shown(dev, before["jobId"].as_str().expect("an id")).await;
        assert_eq!(lasting(&now), lasting(before));
    }
}

fn is_final(job: &Value) -> bool {
    ["SUCCEEDED", "FAILED", "CANCELLED"].contains(&job["state"].as_str().expect("a state"))
}

#[tokio::test]
async fn jobs_that_waited_under_an_older_version_wait_and_run() {
    let (mut home, jobs) = older("waiting", &[]);
    for _ in 0..2 {
        let dev = home.start().await;
        let waiting = [1, 2, 3, 6].map(id);
        let is_waiting = |job: &&Value| waiting.iter().any(|id| job["jobId"] == **id);
        assert_eq!(jobs.iter().filter(is_waiting).count(), 4);
        assert_unchanged(&dev, jobs.iter().filter(is_waiting)).await;
        let minted = jobs.iter().find(|job| job["spec"]["payload"]["text"] == "minted").expect("it is there");
        assert_unchanged(&dev, [minted]).await;
        super::By::Kill.end(dev).await;
    }
}

#[tokio::test]
async fn jobs_that_ended_under_an_older_version_are_shown_as_they_were() {
    let (mut home, jobs) = older("finished", &[]);
    assert_eq!(jobs.len(), 5);
    for _ in 0..2 {
        let dev = home.start().await;
        assert_unchanged(&dev, &jobs).await;
        let gone = try_result(&dev, &id(15), 0).await.expect_err("it was deleted");
        refused(&gone, Code::NotFound, "JOB_NOT_FOUND");
        let gone = try_result(&dev, &id(16), 0).await.expect_err("it expired");
        refused(&gone, Code::NotFound, "RESULT_EXPIRED");
        super::By::Term.end(dev).await;
    }
}

#[tokio::test]
async fn jobs_that_ran_when_an_older_version_was_killed_run_again() {
    let (mut home, jobs) = older("killed", &[]);
    let dev = home.start().await;
    assert_unchanged(&dev, jobs.iter().filter(|job| is_final(job))).await;
    let pool = shown(&dev, &id(21)).await;
    assert_eq!(pool["attempts"][0]["failure"]["reason"], "WORKER_LOST", "{pool}");
    let outside = shown(&dev, &id(22)).await;
    assert_eq!((&outside["state"], &outside["attempt"]), (&"RUNNING".into(), &1.into()), "{outside}");
    assert_eq!(shown(&dev, &id(23)).await["state"], "QUEUED");
}

#[tokio::test]
async fn contents_that_an_older_version_evicted_are_read_from_its_segments() {
    let (mut home, jobs) = older("evicted", &["--retention-memory-bytes-max", "0"]);
    assert_eq!(jobs.len(), 30);
    for _ in 0..2 {
        let dev = home.start().await;
        assert_unchanged(&dev, &jobs).await;
        assert_eq!(end(&dev, &id(102)).await.text().len(), 604);
        super::By::Kill.end(dev).await;
    }
}
