//! Shutdown of a server with a slow sync: it waits at most for its drain timeout and a second.

use std::path::Path;
use std::time::{Duration, Instant};

use jobstream::proto::v1::{JobState, SubmitRequest};
use rustix::process::Signal;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::injected::can_inject;
use super::{DataDir, jobs, try_result};
use crate::support::{Dev, echo, until, wait_for};

/// The duration of a sync after the start.
const SYNC: Duration = Duration::from_secs(8);
/// The limit of a shutdown after the drain timeout, with a margin for a busy machine.
const MARGIN: Duration = Duration::from_millis(1000 + 500);

/// A server with a slow sync in flight, and the jobs acknowledged before.
struct Slow {
    data_dir: DataDir,
    dev: Dev,
    acknowledged: Vec<String>,
    trace: String,
    _waiting: JoinHandle<()>,
}

impl Slow {
    async fn start(drain: &str) -> Self {
        let name = format!("trace-{}", uuid::Uuid::now_v7());
        let trace = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).display().to_string();
        let mut data_dir = DataDir::new(&["--drain-timeout", drain]);
        let slow = format!("delay_enter={}s:when=8+", SYNC.as_secs());
        let script = format!(
            "exec strace -D -f -qq --seccomp-bpf -o {trace} -e trace=fdatasync -e inject=fdatasync:{slow} \"$@\""
        );
        let dev = data_dir.try_start_in(&script).await.expect("the process starts");
        let mut acknowledged = Vec::new();
        let waiting = loop {
            let mut client = jobs(&dev);
            let request = SubmitRequest { job: Some(echo("durable")), validate_only: false };
            let mut answer = tokio::spawn(async move { client.submit(request).await });
            match timeout(SYNC / 8, &mut answer).await {
                Ok(answer) => {
                    let answer = answer.expect("no panic").expect("the job is accepted");
                    acknowledged.push(answer.into_inner().job_id);
                }
                Err(_) => break tokio::spawn(async move { drop(answer.await) }),
            }
        };
        Self { data_dir, dev, acknowledged, trace, _waiting: waiting }
    }

    /// Checks that the server exits with 0 and loses no acknowledged job. Returns the time of its shutdown.
    async fn ends(self, by: Signal) -> Duration {
        let Self { mut data_dir, mut dev, acknowledged, trace, _waiting } = self;
        let begun = Instant::now();
        dev.signal(by);
        let process = format!("/proc/{}/stat", dev.id());
        until("the server ends", async || has_exited(&process)).await;
        let took = begun.elapsed();
        // strace holds the process until the delayed sync ends.
        let status = wait_for("the server is gone", dev.child.wait()).await.expect("a status");
        assert_eq!(status.code(), Some(0));
        let _ = std::fs::remove_file(trace);
        let dev = data_dir.start().await;
        for id in acknowledged {
            let result = try_result(&dev, &id, 20).await.expect("it was acknowledged");
            assert_eq!(result.state(), JobState::Succeeded);
        }
        dev.kill().await;
        took
    }
}

/// Returns whether a process has exited, also with a traced thread.
fn has_exited(stat: &str) -> bool {
    std::fs::read_to_string(stat).map_or(true, |stat| stat.contains(") Z "))
}

/// Returns whether its health is not serving. Other calls wait for the disk.
async fn drains(dev: &Dev) -> bool {
    let request = HealthCheckRequest { service: String::new() };
    let answer = wait_for("Check answers", HealthClient::new(dev.channel()).check(request)).await;
    answer.expect("the job exists").get_ref().status() == ServingStatus::NotServing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_sync_does_not_delay_the_shutdown() {
    if !can_inject().await {
        return;
    }
    let took = Slow::start("1s").await.ends(Signal::TERM).await;
    assert!(took < Duration::from_secs(1) + MARGIN, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_a_server_during_a_slow_sync() {
    if !can_inject().await {
        return;
    }
    // One measurement may be late on a busy machine.
    let mut took = Vec::new();
    while took.len() < 3 && took.last().is_none_or(|took| *took > Duration::from_millis(100)) {
        let slow = Slow::start("1h").await;
        slow.dev.signal(Signal::TERM);
        until("it drains", || drains(&slow.dev)).await;
        took.push(slow.ends(Signal::INT).await);
    }
    assert!(took.iter().any(|took| *took <= Duration::from_millis(100)), "{took:?}");
}
