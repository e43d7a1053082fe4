//! `jobstream worker` in a separate process: its output and its shutdown.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jobstream::proto::v1::JobState;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use rustix::process::{Signal, test_kill_process};

use crate::support::{Dev, Remote, Watched, connect, new_id, until, wait_for, watch_request};

/// A program, as the `--exec` of a kind, that waits for its result on a named pipe.
struct Gate {
    pipe: PathBuf,
    exec: String,
}

impl Gate {
    fn new(kind: &str) -> Self {
        let pipe = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("gate-{}", new_id()));
        let exec = format!("{kind}=cat '{}'", pipe.display());
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success());
        Self { pipe, exec }
    }

    async fn open(&self, result: &str) {
        wait_for("the program reads", tokio::fs::write(&self.pipe, result)).await.expect("a pipe");
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // A remaining file is harmless.
        let _ = std::fs::remove_file(&self.pipe);
    }
}

async fn watch(dev: &Dev, id: &str) -> Watched {
    let channel = connect(dev.address.parse().expect("an address")).await;
    Watched::open(&mut JobServiceClient::new(channel), watch_request(id, 0)).await
}

/// Submits a job of this kind and waits until it runs. Returns its id.
async fn running(dev: &Dev, kind: &str) -> String {
    let id = dev.sh(&format!("jobstream submit {kind}")).await.trim().to_owned();
    watch(dev, &id).await.read_to(JobState::Running).await;
    id
}

/// A program that ignores TERM and logs its process id.
const STUCK: &str = "stuck=sh -c 'trap \"\" TERM; echo $$ >&2; while :; do sleep 0.05; done'";

#[tokio::test]
async fn a_worker_waits_for_its_server_and_reconnects() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let mut remote = Remote::start(&address, &["--exec", "upper=tr a-z A-Z", "--name", "far"]);
    let line = remote.wait_for_line("connecting to").await;
    assert!(line.contains("worker far serves upper of every queue"), "{line}");
    let line = remote.wait_for_line("cannot reach the server").await;
    assert!(line.contains("refused") && line.contains("trying again"), "{line}");
    for _ in 0..2 {
        let mut dev = Dev::start_at(&address, &[]).await;
        let line = remote.wait_for_line("connected to").await;
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!("(server {version}), 8 slots, kinds: upper");
        assert!(line.starts_with(&format!("connected to http://{address} as w")), "{line}");
        assert!(line.ends_with(&expected), "{line}");
        assert_eq!(
            dev.sh("printf 'make me big' | jobstream -q run upper - --text").await.trim(),
            "MAKE ME BIG"
        );
        dev.child.kill().await.expect("it runs");
        let line = remote.wait_for_line("lost the server").await;
        assert!(line.contains("trying again; running attempts continue"), "{line}");
    }
}

#[tokio::test]
async fn a_signal_lets_running_attempts_finish() {
    let (dev, gate) = (Dev::start(&[]).await, Gate::new("gate"));
    let mut remote = Remote::connected(&dev, &["--exec", &gate.exec, "--drain-timeout", "25s"]).await;
    let id = running(&dev, "gate").await;
    remote.signal(Signal::TERM);
    remote.wait_for_line("draining 1 job, up to 25s").await;
    gate.open("in time").await;
    remote.wait_for_line("stopped").await;
    assert_eq!(remote.ended().await, Some(0));
    assert_eq!(dev.sh(&format!("jobstream result {id} --wait")).await, "in time");
    assert!(!dev.sh("jobstream workers ls").await.contains("STREAM"), "it left");
}

#[tokio::test]
async fn attempts_unfinished_at_the_drain_timeout_are_released() {
    let dev = Dev::start(&[]).await;
    let mut remote = Remote::connected(&dev, &["--exec", STUCK, "--drain-timeout", "100ms"]).await;
    let id = running(&dev, "stuck").await;
    let process = watch(&dev, &id).await.process_id().await;
    remote.signal(Signal::INT);
    remote.wait_for_line("stopped").await;
    assert_eq!(remote.ended().await, Some(0));
    until("its program is gone", async || test_kill_process(process).is_err()).await;
    let gate = Gate::new("stuck");
    let _other = Remote::connected(&dev, &["--exec", &gate.exec]).await;
    gate.open("by another").await;
    assert_eq!(dev.sh(&format!("jobstream result {id} --wait")).await, "by another");
    let attempts = dev.sh(&format!("jobstream jobs get {id} -o json")).await;
    assert!(attempts.contains("\"maxAttempts\": 1") && !attempts.contains("failure"), "{attempts}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let dev = Dev::start(&[]).await;
    let mut remote = Remote::connected(&dev, &["--exec", STUCK, "--drain-timeout", "1h"]).await;
    let id = running(&dev, "stuck").await;
    let process = watch(&dev, &id).await.process_id().await;
    remote.signal(Signal::TERM);
    remote.wait_for_line("draining 1 job, up to 1h").await;
    let begun = Instant::now();
    remote.signal(Signal::TERM);
    remote.wait_for_line("ending at once").await;
    assert_eq!(remote.ended().await, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    until("its program is gone", async || test_kill_process(process).is_err()).await;
    until("its job waits again", async || dev.sh("jobstream jobs ls").await.contains("\tQUEUED\t")).await;
}

#[tokio::test]
async fn an_operator_can_drain_a_worker_by_name() {
    let (dev, gate) = (Dev::start(&[]).await, Gate::new("gate"));
    let mut remote = Remote::connected(&dev, &["--exec", &gate.exec, "--name", "far"]).await;
    let id = running(&dev, "gate").await;
    let drained = dev.sh("jobstream workers drain far --within 25s 2>&1").await;
    assert!(drained.contains("\tfar\tSTREAM\tDRAINING\t1/8\tgate\t"), "{drained}");
    assert!(drained.contains("draining 1 worker with 1 job running, up to 25s"), "{drained}");
    remote.wait_for_line("an operator drains this worker: finishing 1 job").await;
    gate.open("in time").await;
    remote.wait_for_line("drained by an operator").await;
    assert_eq!(remote.ended().await, Some(0));
    assert_eq!(dev.sh(&format!("jobstream result {id} --wait")).await, "in time");
}

#[tokio::test]
async fn sigkill_leaves_no_program_and_the_job_is_reassigned() {
    let dev = Dev::start(&[]).await;
    let mut remote = Remote::connected(&dev, &["--exec", STUCK]).await;
    let id = running(&dev, "stuck").await;
    let process = watch(&dev, &id).await.process_id().await;
    remote.signal(Signal::KILL);
    remote.wait_for_line("jobstream was killed; stopped 1 commands it left").await;
    until("its program is gone", async || test_kill_process(process).is_err()).await;
    let gate = Gate::new("stuck");
    let _other = Remote::connected(&dev, &["--exec", &gate.exec]).await;
    gate.open("by another").await;
    assert_eq!(dev.sh(&format!("jobstream result {id} --wait")).await, "by another");
    let attempts = dev.sh(&format!("jobstream jobs get {id} -o json")).await;
    assert!(attempts.contains("WORKER_LOST") && attempts.contains("\"attempt\": 2"), "{attempts}");
}

#[tokio::test]
async fn a_file_and_flags_configure_a_worker() {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("worker-commands.toml");
    let text = "[commands.upper]\nprogram = 'tr'\nargs = ['a-z', 'A-Z']\nslots = 3\n";
    std::fs::write(&file, text).expect("a file");
    let dev = Dev::start(&["--demo=false"]).await;
    let file = ["--config", file.to_str().expect("UTF-8")];
    let remote = Remote::connected(&dev, &[&file[..], &["--queue", "a", "--queue", "b"]].concat()).await;
    let listed = dev.sh("jobstream workers ls").await;
    assert!(listed.contains("\t0/3\tupper\ta,b\t"), "{listed}");
    let id = remote.child.id().expect("it runs");
    assert!(listed.contains(&format!("-{id}\tSTREAM\tCONNECTED\t")), "{listed}");
    let both = [&file[..], &["--slots", "5", "--exec", "echo=cat", "--name", "both"]].concat();
    let mut both = Remote::start(&dev.address, &both);
    let line = both.wait_for_line("connected to").await;
    assert!(line.contains("10 slots, kinds: echo, upper"), "{line}");
    let listed = dev.sh("jobstream workers ls").await;
    assert_eq!(listed.matches("\tboth\tSTREAM\tCONNECTED\t0/5\t").count(), 2, "{listed}");
}
