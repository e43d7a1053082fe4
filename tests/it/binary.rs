//! The binary as a server: its output, its services and its signals.

mod config_check;
mod failed_start;
mod hints;
mod numbers;
mod orphans;
mod selection;
mod shortage;
mod signals;
mod stderr;
mod unserved;
mod wait;
mod worker;
mod workers;

use std::collections::BTreeSet;
use std::net::{TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{Dev, until, wait_for};

/// A program that ignores SIGTERM. It creates a file once it does.
struct Stuck {
    exec: String,
    mark: PathBuf,
}

impl Stuck {
    fn new(name: &str) -> Self {
        let mark =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stuck-{name}-{}", std::process::id()));
        let exec = format!("stuck=sh -c 'trap \"\" TERM; touch {}; sleep 1000'", mark.display());
        Self { exec, mark }
    }

    async fn ignores_signals(&self) {
        until("the program ignores signals", async || self.mark.exists()).await;
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        // The file is missing if the test failed earlier.
        let _ = std::fs::remove_file(&self.mark);
    }
}

#[tokio::test]
async fn dev_prints_its_address_a_warning_and_commands_to_try() {
    let dev = Dev::start(&["--exec", "upper=tr a-z A-Z"]).await;
    for part in
        ["in-memory: jobs are lost on exit", "demo.flaky", "upper", "jobstream run demo.echo", "grpcurl"]
    {
        assert!(dev.banner.contains(part), "no {part:?} in {}", dev.banner);
    }
    assert_eq!(dev.sh("printf 'make me big' | jobstream run upper - --text").await.trim(), "MAKE ME BIG");
    dev.signal(Signal::INT);
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(0));
    assert!(stderr.contains("1 job ended (1 succeeded)"), "{stderr}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_disables_huge_pages_only_for_itself() {
    let of = |pid: &str| format!("grep THP_enabled /proc/{pid}/status");
    let plain = Dev::start(&[]).await;
    assert_eq!(plain.sh(&of(&plain.id().to_string())).await.trim(), "THP_enabled:\t0");
    let dev = Dev::start(&["--exec", &format!("pages={}", of("self"))]).await;
    assert_eq!(dev.sh("jobstream run pages '' --text").await.trim(), "THP_enabled:\t1");
}

#[tokio::test]
async fn a_server_on_a_public_address_prints_a_warning() {
    let cases: [(&str, &[&str], &str); 4] = [
        ("0.0.0.0:0", &["--allow-anonymous"], "anyone who reaches 0.0.0.0:"),
        ("[::]:0", &["--allow-anonymous", "--exec", "up=tr a-z A-Z"], "DANGER: anyone who reaches [::]:"),
        ("127.0.0.1:0", &["--exec", "up=tr a-z A-Z"], ""),
        ("[::1]:0", &["--allow-anonymous"], ""),
    ];
    for (listen, args, warning) in cases {
        let dev = Dev::start_at(listen, args).await;
        dev.signal(Signal::TERM);
        let (_, stderr) = dev.end().await;
        let output: Vec<_> = stderr.lines().filter(|line| line.contains("anyone who reaches")).collect();
        assert_eq!(output.len(), usize::from(!warning.is_empty()), "{listen}: {stderr}");
        for line in output {
            assert!(line.contains(warning) && line.contains("WARN"), "{line}");
            assert!(line.contains("submit, read and cancel every job"), "{line}");
            let runs_programs = args.contains(&"--exec");
            assert_eq!(line.contains("RUN PROGRAMS on this machine (up)"), runs_programs, "{line}");
        }
    }
}

#[tokio::test]
async fn a_server_on_a_public_address_needs_credentials() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let server =
            format!("{} serve --listen {listen} 2>&1; echo exit $?", env!("CARGO_BIN_EXE_jobstream"));
        let output =
            tokio::process::Command::new("sh").args(["-c", &server]).output().await.expect("a shell");
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        for part in
            ["could submit, read and cancel every job", "--auth-tokens", "--allow-anonymous", "exit 2"]
        {
            assert!(output.contains(part), "{output}");
        }
    }
}

#[tokio::test]
async fn the_exit_code_is_that_of_the_outcome() {
    let dev = Dev::start(&[]).await;
    let script = "jobstream -q run demo.echo '\"x\"' && code=0 || code=$?; echo $code
        jobstream -q run demo.fail && code=0 || code=$?; echo $code
        id=$(jobstream submit demo.sleep '{\"seconds\": 60}'); jobstream -q jobs cancel $id
        jobstream -q result $id --wait && code=0 || code=$?; echo $code
        jobstream -q result 0190c0de-0000-7000-8000-000000000001 && code=0 || code=$?; echo $code
        id=$(jobstream submit demo.sleep '{\"seconds\": 60}')
        jobstream -q result $id --wait=10ms && code=0 || code=$?; echo $code";
    let stdout = dev.sh(script).await;
    let codes: Vec<_> = stdout.lines().filter(|line| line.parse::<i32>().is_ok()).collect();
    assert_eq!(codes, ["0", "1", "3", "5", "6"], "{stdout}");
}

#[tokio::test]
async fn a_signal_lets_running_jobs_finish() {
    let dev = Dev::start(&[]).await;
    let id = dev.sh("jobstream submit demo.sleep '{\"seconds\": 0.5}'").await;
    dev.signal(Signal::TERM);
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(0), "{id}");
    assert!(stderr.contains("draining") && stderr.contains("1 job ended (1 succeeded)"), "{stderr}");
}

#[tokio::test]
async fn a_second_signal_ends_at_once_and_lists_unfinished_jobs() {
    let stuck = Stuck::new("second-signal");
    let dev = Dev::start(&["--drain-timeout", "1h", "--exec", &stuck.exec]).await;
    dev.sh("jobstream submit stuck && jobstream submit demo.sleep '{\"seconds\": 1000}'").await;
    stuck.ignores_signals().await;
    let begun = Instant::now();
    dev.signal(Signal::TERM);
    // The second signal is sent after the first one is handled.
    let mut dev = dev;
    let mut lines = BufReader::new(dev.child.stderr.take().expect("a pipe")).lines();
    let line = wait_for("the server logs the drain", lines.next_line()).await.expect("text").expect("a line");
    assert!(line.contains("draining"), "{line}");
    dev.signal(Signal::INT);
    let mut rest = String::new();
    while let Some(line) = wait_for("stderr ends", lines.next_line()).await.expect("text") {
        rest.push_str(&line);
    }
    let status = wait_for("the server ends", dev.child.wait()).await.expect("a status");
    assert_eq!(status.code(), Some(0));
    assert!(rest.contains("attempts_aborted=2") && rest.contains("2 lost"), "{rest}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_stuck_command_does_not_delay_the_shutdown() {
    let stuck = Stuck::new("drain");
    let dev = Dev::start(&["--drain-timeout", "300ms", "--exec", &stuck.exec]).await;
    dev.sh("jobstream submit stuck").await;
    stuck.ignores_signals().await;
    let begun = Instant::now();
    dev.signal(Signal::TERM);
    let (code, stderr) = dev.end().await;
    let took = begun.elapsed();
    assert_eq!(code, Some(0));
    assert!(stderr.contains("attempts_aborted=1"), "{stderr}");
    // The drain timeout, one second, and a margin for a busy machine.
    assert!(took < Duration::from_millis(300 + 1000 + 700), "{took:?}");
}

#[tokio::test]
async fn name_is_served_on_each_of_its_addresses() {
    let dev = Dev::start_at("localhost:0", &[]).await;
    let port = dev.address.rsplit_once(':').expect("a port").1;
    let addresses = ("localhost", 0).to_socket_addrs().expect("localhost has an address");
    // An address that this machine does not have is skipped.
    let possible = addresses.filter(|address| TcpListener::bind(address).is_ok());
    let hosts = possible.map(|mut address| {
        address.set_port(port.parse().expect("a number"));
        address.to_string()
    });
    let hosts: BTreeSet<_> = hosts.collect();
    assert!(!hosts.is_empty());
    for host in hosts.into_iter().chain([format!("localhost:{port}")]) {
        let run = format!("jobstream -q run demo.echo 1 --address {host}");
        assert_eq!(dev.sh(&run).await.trim(), "1", "{host}");
    }
}
