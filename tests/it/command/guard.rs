//! The orphan guard: commands end with the process that started them, also after SIGKILL.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use jobstream::worker::command::OrphanGuard;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncBufReadExt;

use super::*;

const GUARD: &str = env!("CARGO_BIN_EXE_jobstream");
const HOST: &str = "JOBSTREAM_TEST_GUARD_HOST";
const COMMANDS: usize = 5;

fn guard() -> OrphanGuard {
    OrphanGuard::spawn(Path::new(GUARD), &["__orphan-guard"]).expect("the guard starts")
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a process id"), signal).expect("the process is there");
}

fn guard_id(guard: &OrphanGuard) -> i32 {
    guard.process_id().expect("the guard runs").cast_signed()
}

/// Not a test: the process that the next test kills. Prints the ids of the guard and
/// of its commands.
#[tokio::test]
#[ignore = "started by sigkill_of_the_server_leaves_no_orphans"]
async fn guard_host() {
    if std::env::var_os(HOST).is_none() {
        return;
    }
    let control = CommandControl { guard: Some(guard()), ..CommandControl::default() };
    println!("\nids {}", control.guard.as_ref().map(guard_id).expect("a guard"));
    let script = "trap '' TERM HUP; sleep 1000 & echo $$ $!; wait; while :; do sleep 1000; done";
    let mut all = Vec::new();
    for _ in 0..COMMANDS {
        let mut running = Running::start_with(lines(script), CommandInput::default(), control.clone());
        println!("ids {}", running.line().await);
        all.push(running);
    }
    // An ended command must be removed from the guard's list.
    result_text(&Running::start_with(shell("true"), CommandInput::default(), control).outcome().await.0);
    println!("ready");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn sigkill_of_the_server_leaves_no_orphans() {
    let mut command = tokio::process::Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "command::guard::guard_host", "--ignored", "--nocapture"]).env(HOST, "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut host = command.spawn().expect("the host starts");
    let mut output = tokio::io::BufReader::new(host.stdout.take().expect("a pipe")).lines();
    let mut ids: Vec<i32> = Vec::new();
    loop {
        let line =
            within("the host's ids", output.next_line()).await.expect("output").expect("the host runs");
        match line.strip_prefix("ids ") {
            Some(line) => ids.extend(line.split(' ').map(|id| id.parse::<i32>().expect("a process id"))),
            None if line == "ready" => break,
            None => {}
        }
    }
    assert_eq!(ids.len(), 1 + 2 * COMMANDS);
    for stop in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        signal(ids[0], stop);
    }
    assert!(ids.iter().all(|id| is_alive(*id)), "the guard ignores TERM and INT");
    host.start_kill().expect("the host runs");
    within("the host's end", host.wait()).await.expect("reaped");
    eventually("the guard and every command and its child are dead", || !ids.iter().any(|id| is_alive(*id)))
        .await;
    let mut output = String::new();
    let mut stderr = host.stderr.take().expect("a pipe");
    within("the output of the guard", tokio::io::AsyncReadExt::read_to_string(&mut stderr, &mut output))
        .await
        .expect("text");
    assert!(output.contains(&format!("stopped {COMMANDS} commands")), "{output}");
}

#[tokio::test]
async fn guard_ends_with_its_last_handle_and_kills_only_listed_processes() {
    let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep");
    let guard = guard();
    let id = guard_id(&guard);
    let control = CommandControl { guard: Some(guard), ..CommandControl::default() };
    result_text(
        &Running::start_with(shell("true"), CommandInput::default(), control.clone()).outcome().await.0,
    );
    assert!(is_alive(id));
    drop(control);
    eventually("the guard has ended", || !is_alive(id)).await;
    assert!(is_alive(child.id().cast_signed()), "an unlisted process is not killed");
    child.kill().expect("sleep runs");
    child.wait().expect("reaped");
}

#[tokio::test]
async fn dead_guard_fails_no_job() {
    let guard = guard();
    let id = guard_id(&guard);
    signal(id, Signal::KILL);
    eventually("the guard is dead", || !is_alive(id)).await;
    let control = CommandControl { guard: Some(guard.clone()), ..CommandControl::default() };
    for _ in 0..2 {
        let running = Running::start_with(shell("echo ok"), CommandInput::default(), control.clone());
        assert_eq!(result_text(&running.outcome().await.0), "ok\n");
    }
    assert_eq!(guard.process_id(), None, "the guard is abandoned");
    eventually("the dead guard is reaped", || !is_our_zombie(id)).await;
}

#[test]
fn stuck_guard_is_abandoned_without_blocking() {
    // Runs in a thread, so that a blocked write fails the test and does not hang it.
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(abandon_stuck_guard());
        done.send(()).expect("the test waits");
    });
    finished.recv_timeout(TIMEOUT).expect("the command ends, and without a panic");
}

async fn abandon_stuck_guard() {
    let guard = guard();
    let id = guard_id(&guard);
    signal(id, Signal::STOP);
    eventually("the guard is stopped", || process(id).is_some_and(|(state, _)| state == 'T')).await;
    let control = CommandControl { guard: Some(guard.clone()), ..CommandControl::default() };
    let mut survivor =
        Running::start_with(lines("echo $$; exec sleep 1000"), CommandInput::default(), control);
    let pid = survivor.pids().await[0];
    fill_pipe_of(id);
    survivor.control.force.cancel();
    assert_eq!(survivor.outcome().await.0, CommandOutcome::Cancelled { forced: true });
    assert_eq!(guard.process_id(), None, "it missed a line, so it is abandoned");
    eventually("the stuck guard is dead", || !is_alive(id)).await;
    assert!(!is_alive(pid));
}

/// Fills the pipe that is this process's stdin.
fn fill_pipe_of(pid: i32) {
    const O_NONBLOCK: i32 = 0o4000;
    let mut options = fs::OpenOptions::new();
    let mut pipe =
        options.write(true).custom_flags(O_NONBLOCK).open(format!("/proc/{pid}/fd/0")).expect("its pipe");
    for size in [4096, 1] {
        while pipe.write(&[b'\n'; 4096][..size]).is_ok() {}
    }
}
