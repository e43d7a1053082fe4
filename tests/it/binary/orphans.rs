//! Processes that programs leave behind, in a server that is process 1 of a container.
//!
//! Where no process may create a namespace the test is skipped, except in CI, where that is a failure.

use tokio::process::Command;

use crate::support::{Dev, until};

/// Runs a server as process 1 of a namespace.
const IN_NAMESPACE: &str = "exec unshare --map-root-user --pid --fork --kill-child --mount-proc \"$@\"";

/// Leaves a process behind. It ends, because the server kills the remaining processes of a program.
const LEAVE: &str = "leave=sh -c 'sleep 1000 >/dev/null 2>&1 & echo done'";
/// Counts the processes that have ended and are not reaped.
const COUNT: &str = "count=sh -c 'cat /proc/[0-9]*/stat 2>/dev/null | grep -c \") Z \" || true'";
const FAIL: &str = "fail=sh -c 'exit 3'";

async fn has_namespaces() -> bool {
    let args = ["--map-root-user", "--pid", "--fork", "--mount-proc", "true"];
    let has = Command::new("unshare").args(args).output().await.is_ok_and(|output| output.status.success());
    if !has {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "unshare cannot create a namespace");
        println!("skipped: unshare cannot create a namespace");
    }
    has
}

#[tokio::test]
async fn process_1_reaps_orphans_and_keeps_the_exit_status_of_programs() {
    if !has_namespaces().await {
        return;
    }
    let dev = Dev::start_in(IN_NAMESPACE, &["--exec", LEAVE, "--exec", COUNT, "--exec", FAIL]).await;
    let runs = "for n in 1 2 3 4 5 6 7 8; do
          (jobstream -q run leave >/dev/null; jobstream run fail 2>&1 | grep -c 'exited with 3') &
        done; wait";
    assert_eq!(dev.sh(runs).await.lines().filter(|line| *line == "1").count(), 8);
    until("no zombie remains", async || dev.sh("jobstream -q run count").await.trim() == "0").await;
}
