//! Fault injection: each system call of a server fails once. It loses no acknowledged job.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::load::Load;
use super::reader::{check_removed, find_all};
use super::{DataDir, jobs};
use crate::checker::rules::check;

/// The system calls of the log and their injected errors.
const FAULTS: [Fault; 6] = [
    Fault { call: "pwrite64", error: "EIO" },
    Fault { call: "pwrite64", error: "ENOSPC" },
    Fault { call: "fdatasync", error: "EIO" },
    Fault { call: "fsync", error: "EIO" },
    Fault { call: "rename", error: "EIO" },
    Fault { call: "openat", error: "ENOSPC" },
];
/// The jobs that end on each server that does not fail before.
const JOBS: usize = 600;
/// Successive servers with fewer calls than the failing one, after which the test stops. The number of calls varies.
const UNAFFECTED_MAX: usize = 3;

#[derive(Debug, Clone, Copy)]
struct Fault {
    call: &'static str,
    error: &'static str,
}

/// The effect of a fault on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FaultEffect {
    /// The server did not start.
    Refused,
    Failed,
    /// The server made fewer calls.
    Unaffected,
}

/// Returns whether strace can inject faults. Fails if strace is installed and does not work.
pub(super) async fn can_inject() -> bool {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=fsync", "true"]).stdin(Stdio::null());
    match command.output().await {
        Err(_) => {
            println!("strace is not installed: skipped");
            false
        }
        Ok(output) => {
            assert!(
                output.status.success(),
                "strace cannot trace: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            true
        }
    }
}

/// Successive servers on one directory, each with one failing call, under constant load.
struct FaultTest {
    data_dir: DataDir,
    load: Option<Load>,
    trace: String,
}

impl FaultTest {
    fn new() -> Self {
        let name = format!("trace-{}", uuid::Uuid::now_v7());
        let trace = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).display().to_string();
        Self { data_dir: DataDir::new(&[]), load: None, trace }
    }

    /// Runs a server whose call of this number, from 1, fails in each of its threads.
    async fn inject(&mut self, fault: Fault, number: usize) -> FaultEffect {
        let Fault { call, error } = fault;
        let script = self.traced(call, &format!("error={error}:when={number}"));
        let mut dev = match self.data_dir.try_start_in(&script).await {
            Ok(dev) => dev,
            Err((Some(70), _)) => {
                self.check_trace(fault, number);
                return FaultEffect::Failed;
            }
            Err((code, stderr)) => {
                assert_eq!(code, Some(10), "{fault:?}, number {number}: {stderr}");
                assert!(stderr.contains("cannot open the log"), "{fault:?}, number {number}: {stderr}");
                return FaultEffect::Refused;
            }
        };
        let load = self.load.get_or_insert_with(|| Load::start(&dev, 7));
        tokio::select! {
            () = load.wait_for_ends(JOBS) => {
                dev.kill().await;
                return FaultEffect::Unaffected;
            }
            status = dev.child.wait() => drop(status.expect("a status")),
        }
        let (code, stderr) = dev.end().await;
        assert_eq!(code, Some(70), "{fault:?}, number {number}: {stderr}");
        self.check_trace(fault, number);
        FaultEffect::Failed
    }

    /// Makes each call fail in turn until no call is left. Returns the number of failed calls.
    async fn inject_each(&mut self, fault: Fault, unaffected_max: usize) -> usize {
        let (mut failed, mut unaffected) = (0, 0);
        for number in 1.. {
            let effect = self.inject(fault, number).await;
            println!("{fault:?}, number {number}: {effect:?}");
            match effect {
                FaultEffect::Unaffected => unaffected += 1,
                FaultEffect::Refused | FaultEffect::Failed => (failed, unaffected) = (failed + 1, 0),
            }
            if unaffected == unaffected_max {
                break;
            }
        }
        failed
    }

    /// Returns the script of a server with a fault in its calls of this name.
    fn traced(&self, call: &str, what: &str) -> String {
        let tracing = format!("strace -D -f -qq --seccomp-bpf -o {} -e trace={call}", self.trace);
        // The process also opens other files.
        let names =
            ["segment-000000000000000%.log", "spare-000000000000000%.log", "spare-000000000000000%.new"];
        let numbered = (1..5).flat_map(|number| names.map(|name| name.replace('%', &number.to_string())));
        let path = |name| format!("-P {}/{name}", self.data_dir.directory.display());
        let paths =
            if call == "openat" { numbered.map(path).collect::<Vec<_>>().join(" ") } else { String::new() };
        format!("exec {tracing} {paths} -e inject={call}:{what} \"$@\"")
    }

    /// Checks that no call of the writer thread follows the failed one.
    fn check_trace(&self, fault: Fault, number: usize) {
        let trace = std::fs::read_to_string(&self.trace).expect("a trace");
        let mut calls = trace.lines().skip_while(|line| !line.contains("(INJECTED)"));
        let writer = calls.next().and_then(|line| line.split_whitespace().next()).expect("it was injected");
        let again = calls.find(|line| fault.call != "openat" && line.starts_with(writer));
        let is_end = again.is_none_or(|line| line.contains("+++"));
        assert!(is_end, "{fault:?}, number {number}, and then {again:?}");
    }

    /// Checks the final state against all responses.
    async fn end(mut self) {
        let dev = self.data_dir.start().await;
        let mut load = self.load.take().expect("some server started");
        load.wait_for_ends(JOBS).await;
        let journal = load.finish().await;
        println!("{} jobs sent, {} acknowledged", journal.traces.len(), journal.acknowledged());
        let mut jobs = jobs(&dev);
        let found = find_all(&mut jobs).await;
        let mut breaches = check(&journal, &found, usize::MAX);
        breaches.extend(check_removed(&mut jobs, &journal).await);
        assert!(breaches.is_empty(), "{} breaches: {:.2000}", breaches.len(), breaches.join("\n"));
    }
}

impl Drop for FaultTest {
    fn drop(&mut self) {
        // The file is missing without an injection.
        let _ = std::fs::remove_file(&self.trace);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_job_is_lost_after_an_early_or_late_call_fails() {
    if !can_inject().await {
        return;
    }
    let mut fault_test = FaultTest::new();
    // The first calls create the log. The later ones run under load.
    let mut effect = Vec::new();
    for (fault, number) in [(4, 1), (2, 2), (0, 4), (2, 20), (2, 9), (0, 15), (1, 9), (0, 6), (2, 1)] {
        effect.push(fault_test.inject(FAULTS[fault], number).await);
    }
    println!("{effect:?}");
    let count = |how| effect.iter().filter(|effect| **effect == how).count();
    assert!(count(FaultEffect::Refused) >= 3 && count(FaultEffect::Failed) >= 3, "{effect:?}");
    fault_test.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_seconds_is_not_a_failure() {
    if !can_inject().await {
        return;
    }
    let mut fault_test = FaultTest::new();
    fault_test.data_dir.start().await.kill().await;
    let script = fault_test.traced("fdatasync", "delay_enter=2s:when=6+20");
    let dev = fault_test.data_dir.try_start_in(&script).await.expect("the process starts");
    let load = fault_test.load.insert(Load::start(&dev, 8));
    load.wait_for_ends(300).await;
    dev.kill().await;
    fault_test.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute and more: run it by its name"]
async fn no_acknowledged_job_is_lost_after_any_call_that_fails() {
    if !can_inject().await {
        return;
    }
    for fault in FAULTS {
        let mut fault_test = FaultTest::new();
        let refused = fault_test.inject_each(fault, 1).await;
        let failed = fault_test.inject_each(fault, UNAFFECTED_MAX).await;
        println!("{fault:?}: {refused} calls of a new log, {failed} of one that is there");
        assert!(refused > 0, "{fault:?} never happens");
        fault_test.end().await;
    }
}
