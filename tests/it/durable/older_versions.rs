//! Data directories of an older version: tests/data/757e859, created by the script there.

use std::path::Path;

use serde_json::Value;
use tonic::Code;

use super::{DataDir, end, try_result};
use crate::support::{Dev, refused};

/// Returns the id of a job of the fixture.
fn id(number: u32) -> String {
    format!("0190c0de-0000-7000-8000-{number:012x}")
}

/// Copies a directory of the fixture. Returns also the jobs as the older version returned them.
fn older(name: &str, args: &[&str]) -> (DataDir, Vec<Value>) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/757e859").join(name);
    let small = ["--segment-bytes", "73728", "--payload-bytes-max", "1KiB"];
    let data_dir = DataDir::new(&[&small, args].concat());
    std::fs::create_dir_all(&data_dir.directory).expect("a directory");
    for file in std::fs::read_dir(&fixture).expect("the fixture") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let name = path.file_name().expect("a name");
            std::fs::copy(&path, data_dir.directory.join(name)).expect("it is copied");
        }
    }
    let lines = std::fs::read_to_string(fixture.join("jobs.jsonl")).expect("the recorded jobs");
    (data_dir, lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

/// Returns a job from the server, with the fields that the older version had.
async fn shown(dev: &Dev, id: &str) -> Value {
    let line = dev.sh(&format!("jobstream jobs get {id} -o jsonl")).await;
    let mut job: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    if let Some(Value::Object(cancellation)) = job.pointer_mut("/outcome/cancellation") {
        assert_eq!(cancellation.remove("principal"), Some("".into()), "{line}");
    }
    job
}

/// Returns the fields that no version and no restart changes.
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
async fn waiting_jobs_of_an_older_version_run() {
    let (mut data_dir, jobs) = older("waiting", &[]);
    for _ in 0..2 {
        let dev = data_dir.start().await;
        let waiting = [1, 2, 3, 6].map(id);
        let is_waiting = |job: &&Value| waiting.iter().any(|id| job["jobId"] == **id);
        assert_eq!(jobs.iter().filter(is_waiting).count(), 4);
        assert_unchanged(&dev, jobs.iter().filter(is_waiting)).await;
        let minted =
            jobs.iter().find(|job| job["spec"]["payload"]["text"] == "minted").expect("the job exists");
        assert_unchanged(&dev, [minted]).await;
        super::ServerEnd::Kill.end(dev).await;
    }
}

#[tokio::test]
async fn finished_jobs_of_an_older_version_are_unchanged() {
    let (mut data_dir, jobs) = older("finished", &[]);
    assert_eq!(jobs.len(), 5);
    for _ in 0..2 {
        let dev = data_dir.start().await;
        assert_unchanged(&dev, &jobs).await;
        let gone = try_result(&dev, &id(15), 0).await.expect_err("it was deleted");
        refused(&gone, Code::NotFound, "JOB_NOT_FOUND");
        let gone = try_result(&dev, &id(16), 0).await.expect_err("it expired");
        refused(&gone, Code::NotFound, "RESULT_EXPIRED");
        super::ServerEnd::Term.end(dev).await;
    }
}

#[tokio::test]
async fn running_jobs_of_an_older_version_run_again() {
    let (mut data_dir, jobs) = older("killed", &[]);
    let dev = data_dir.start().await;
    assert_unchanged(&dev, jobs.iter().filter(|job| is_final(job))).await;
    let pool = shown(&dev, &id(21)).await;
    assert_eq!(pool["attempts"][0]["failure"]["reason"], "WORKER_LOST", "{pool}");
    let outside = shown(&dev, &id(22)).await;
    assert_eq!((&outside["state"], &outside["attempt"]), (&"RUNNING".into(), &1.into()), "{outside}");
    assert_eq!(shown(&dev, &id(23)).await["state"], "QUEUED");
}

#[tokio::test]
async fn evicted_contents_of_an_older_version_are_loaded() {
    let (mut data_dir, jobs) = older("evicted", &["--retention-memory-bytes-max", "0"]);
    assert_eq!(jobs.len(), 30);
    for _ in 0..2 {
        let dev = data_dir.start().await;
        assert_unchanged(&dev, &jobs).await;
        assert_eq!(end(&dev, &id(102)).await.text().len(), 604);
        super::ServerEnd::Kill.end(dev).await;
    }
}
