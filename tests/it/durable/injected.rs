//! System calls of a server that fail, one at a time: after it nothing is acknowledged, and everything is that was.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::load::Load;
use super::reader::{check_removed, find_all};
use super::{Home, jobs};
use crate::checker::rules::check;

/// The calls that the log is written with, and what they fail with.
const FAULTS: [Fault; 6] = [
    Fault { call: "pwrite64", error: "EIO" },
    Fault { call: "pwrite64", error: "ENOSPC" },
    Fault { call: "fdatasync", error: "EIO" },
    Fault { call: "fsync", error: "EIO" },
    Fault { call: "rename", error: "EIO" },
    Fault { call: "openat", error: "ENOSPC" },
];
/// Jobs that end under each server, if it does not fail before.
const JOBS: usize = 600;
/// Servers in a row that make fewer calls than the one that is to fail: how many they make is not the same each time.
const UNHARMED_MAX: usize = 3;

#[derive(Debug, Clone, Copy)]
struct Fault {
    call: &'static str,
    error: &'static str,
}

/// How a server fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fared {
    /// It did not start.
    Refused,
    Failed,
    /// It made fewer calls than that.
    Unharmed,
}

/// Whether calls can be made to fail here. A machine without strace is told, one where it fails is no place for this.
pub(super) async fn can_inject() -> bool {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=fsync", "true"]).stdin(Stdio::null());
    match command.output().await {
        Err(_) => {
            println!("strace is not here: skipped");
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

/// Servers on one directory, each with one call that fails, and clients that go on all the while.
struct Victims {
    home: Home,
    load: Option<Load>,
    trace: String,
}

impl Victims {
    fn new() -> Self {
        let name = format!("trace-{}", uuid::Uuid::now_v7());
        let trace = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).display().to_string();
        Self { home: Home::new(&[]), load: None, trace }
    }

    /// A server whose call of this number fails, in each of its threads, counted from 1.
    async fn inject(&mut self, fault: Fault, number: usize) -> Fared {
        let Fault { call, error } = fault;
        let script = self.traced(call, &format!("error={error}:when={number}"));
        let mut dev = match self.home.try_start_in(&script).await {
            Ok(dev) => dev,
            Err((Some(70), _)) => {
                self.check_trace(fault, number);
                return Fared::Failed;
            }
            Err((code, stderr)) => {
                assert_eq!(code, Some(10), "{fault:?}, number {number}: {stderr}");
                assert!(stderr.contains("cannot keep jobs"), "{fault:?}, number {number}: {stderr}");
                return Fared::Refused;
            }
        };
        let load = self.load.get_or_insert_with(|| Load::start(&dev, 7));
        tokio::select! {
            () = load.goes_on(JOBS) => {
                dev.kill().await;
                return Fared::Unharmed;
            }
            status = dev.child.wait() => drop(status.expect("a status")),
        }
        let (code, stderr) = dev.end().await;
        assert_eq!(code, Some(70), "{fault:?}, number {number}: {stderr}");
        self.check_trace(fault, number);
        Fared::Failed
    }

    /// Each call in turn, until so many servers in a row make fewer. Answers how many calls failed.
    async fn inject_each(&mut self, fault: Fault, unharmed_max: usize) -> usize {
        let (mut failed, mut unharmed) = (0, 0);
        for number in 1.. {
            let fared = self.inject(fault, number).await;
            println!("{fault:?}, number {number}: {fared:?}");
            match fared {
                Fared::Unharmed => unharmed += 1,
                Fared::Refused | Fared::Failed => (failed, unharmed) = (failed + 1, 0),
            }
            if unharmed == unharmed_max {
                break;
            }
        }
        failed
    }

    /// Starts a server with something done to its calls of this name.
    fn traced(&self, call: &str, what: &str) -> String {
        let tracing = format!("strace -D -f -qq --seccomp-bpf -o {} -e trace={call}", self.trace);
        // A process opens much that is none of the log's.
        let names =
            ["segment-000000000000000%.log", "spare-000000000000000%.log", "spare-000000000000000%.new"];
        let numbered = (1..5).flat_map(|number| names.map(|name| name.replace('%', &number.to_string())));
        let path = |name| format!("-P {}/{name}", self.home.directory.display());
        let paths =
            if call == "openat" { numbered.map(path).collect::<Vec<_>>().join(" ") } else { String::new() };
        format!("exec {tracing} {paths} -e inject={call}:{what} \"$@\"")
    }

    /// Nothing is tried again.
    fn check_trace(&self, fault: Fault, number: usize) {
        let trace = std::fs::read_to_string(&self.trace).expect("a trace");
        let mut calls = trace.lines().skip_while(|line| !line.contains("(INJECTED)"));
        let writer = calls.next().and_then(|line| line.split_whitespace().next()).expect("it was injected");
        let again = calls.find(|line| fault.call != "openat" && line.starts_with(writer));
        let is_end = again.is_none_or(|line| line.contains("+++"));
        assert!(is_end, "{fault:?}, number {number}, and then {again:?}");
    }

    /// Checks all that was told.
    async fn end(mut self) {
        let dev = self.home.start().await;
        let mut load = self.load.take().expect("some server started");
        load.goes_on(JOBS).await;
        let journal = load.finish().await;
        println!("{} jobs sent, {} acknowledged", journal.stories.len(), journal.acknowledged());
        let mut jobs = jobs(&dev);
        let found = find_all(&mut jobs).await;
        let mut breaches = check(&journal, &found, usize::MAX);
        breaches.extend(check_removed(&mut jobs, &journal).await);
        assert!(breaches.is_empty(), "{} breaches: {:.2000}", breaches.len(), breaches.join("\n"));
    }
}

impl Drop for Victims {
    fn drop(&mut self) {
        // Missing if nothing was injected.
        let _ = std::fs::remove_file(&self.trace);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_call_that_fails_nothing_is_acknowledged_and_nothing_is_lost() {
    if !can_inject().await {
        return;
    }
    let mut victims = Victims::new();
    // The first calls are those of a new log, the later ones those of a server at work.
    let mut fared = Vec::new();
    for (fault, number) in [(4, 1), (2, 2), (0, 4), (2, 20), (2, 9), (0, 15), (1, 9), (0, 6), (2, 1)] {
        fared.push(victims.inject(FAULTS[fault], number).await);
    }
    println!("{fared:?}");
    let count = |how| fared.iter().filter(|fared| **fared == how).count();
    assert!(count(Fared::Refused) >= 3 && count(Fared::Failed) >= 3, "{fared:?}");
    victims.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_seconds_is_waited_for() {
    if !can_inject().await {
        return;
    }
    let mut victims = Victims::new();
    victims.home.start().await.kill().await;
    let script = victims.traced("fdatasync", "delay_enter=2s:when=6+20");
    let dev = victims.home.try_start_in(&script).await.expect("it starts");
    let load = victims.load.insert(Load::start(&dev, 8));
    load.goes_on(300).await;
    dev.kill().await;
    victims.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute and more: run it by its name"]
async fn after_any_call_that_fails_nothing_is_acknowledged_and_nothing_is_lost() {
    if !can_inject().await {
        return;
    }
    for fault in FAULTS {
        let mut victims = Victims::new();
        let refused = victims.inject_each(fault, 1).await;
        let failed = victims.inject_each(fault, UNHARMED_MAX).await;
        println!("{fault:?}: {refused} calls of a new log, {failed} of one that is there");
        assert!(refused > 0, "{fault:?} never happens");
        victims.end().await;
    }
}
