//! Time during the downtime of a server.

use std::time::Duration;

use jobstream::clock::Clock;
use jobstream::proto::v1::{self, JobState};
use serde_json::Value;

use super::directory::log;
use super::{DataDir, ServerEnd, end, get, submit};
use crate::support::{echo, job, seconds};

fn at(time: Option<prost_types::Timestamp>) -> Duration {
    let time = time.expect("a time");
    Duration::new(time.seconds.unsigned_abs(), time.nanos.unsigned_abs())
}

fn now() -> Duration {
    Duration::from_micros(Clock::system().now().wall.as_micros().unsigned_abs())
}

fn delayed(by: i64) -> v1::JobSpec {
    v1::JobSpec { start: Some(v1::job_spec::Start::StartDelay(seconds(by))), ..echo("in time") }
}

#[tokio::test]
async fn a_job_that_became_due_in_a_downtime_runs_at_the_start() {
    const DELAY: u64 = 8;
    let mut data_dir = DataDir::new(&[]);
    let dev = data_dir.start().await;
    let id = submit(&dev, delayed(DELAY as i64)).await;
    let timeout = Some(seconds(2 * DELAY as i64));
    let limited = submit(&dev, v1::JobSpec { timeout, ..job("unserved") }).await;
    let created = at(get(&dev, &id).await.create_time);
    dev.kill().await;
    // Real time must pass: there is no event to await without a server.
    let due = created + Duration::from_secs(DELAY);
    tokio::time::sleep(due.saturating_sub(now()) + Duration::from_millis(100)).await;
    let dev = data_dir.start().await;
    let started = now();
    assert_eq!(end(&dev, &id).await.text(), "in time");
    let began = at(get(&dev, &id).await.start_time);
    assert!(began >= due && began < started + Duration::from_secs(DELAY / 2), "{began:?}, due at {due:?}");
    // The job timeout excludes downtime.
    assert_eq!(get(&dev, &limited).await.state(), JobState::Queued);
}

#[tokio::test]
async fn an_idle_server_logs_the_time_only_while_a_job_waits_for_it() {
    let (mut waiting, mut idle) = (DataDir::new(&[]), DataDir::new(&[]));
    let (one, other) = (waiting.start().await, idle.start().await);
    submit(&one, delayed(3600)).await;
    submit(&other, job("unserved")).await;
    // Waits for two intervals: heartbeats are visible only in the log of a stopped server.
    tokio::time::sleep(Duration::from_secs(11)).await;
    ServerEnd::Term.end(one).await;
    ServerEnd::Term.end(other).await;
    let beats = async |data_dir: &DataDir| {
        let (_, dump) = log(&["dump"], &[data_dir]).await;
        let lines = dump.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter(|line| line["records"].as_array().is_some_and(Vec::is_empty)).count()
    };
    let (while_waiting, else_) = (beats(&waiting).await, beats(&idle).await);
    assert!((1..=3).contains(&while_waiting) && else_ == 0, "{while_waiting} and {else_}");
}
