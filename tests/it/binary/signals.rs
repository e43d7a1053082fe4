//! Times of shutdown: the first signal ends a process within its drain timeout and a second, the second within 100 ms.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::Stuck;
use crate::support::{Dev, Remote, send, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_jobstream");
/// The limit after a second signal.
const SECOND: Duration = Duration::from_millis(100);
/// A margin for a busy machine.
const BUSY: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_second_signal_ends_a_command_with_blocked_output() {
    let dev = Dev::start(&["--exec", "loud=sh -c 'head -c 500000 /dev/zero'"]).await;
    let mut command = Command::new(BINARY);
    command.args(["run", "loud", "--address", &dev.address, "--output", "table"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut run = command.spawn().expect("it starts");
    let mut stdout = run.stdout.take().expect("a pipe");
    wait_for("it writes", stdout.read_exact(&mut [0])).await.expect("a result");
    let begun = Instant::now();
    // Simultaneous signals may coalesce: repeats until the process has ended.
    let status = loop {
        send(&run, Signal::INT);
        if let Ok(status) = timeout(SECOND, run.wait()).await {
            break status.expect("a status");
        }
        assert!(begun.elapsed() < 3 * SECOND + BUSY, "the command is still running");
    };
    assert_eq!(status.code(), Some(130));
}

#[tokio::test]
async fn a_stopped_server_does_not_delay_the_end_of_its_worker() {
    for seconds in [1, 3_600] {
        let stuck = Stuck::new(&format!("stopped-server-{seconds}"));
        let dev = Dev::start(&[]).await;
        let drain = format!("{seconds}s");
        let mut remote = Remote::connected(&dev, &["--exec", &stuck.exec, "--drain-timeout", &drain]).await;
        dev.sh("jobstream submit stuck").await;
        stuck.ignores_signals().await;
        dev.signal(Signal::STOP);
        let begun = Instant::now();
        remote.signal(Signal::TERM);
        remote.wait_for_line("draining 1 job").await;
        let (limit, begun) = match seconds {
            1 => (Duration::from_secs(2), begun),
            _ => {
                let begun = Instant::now();
                remote.signal(Signal::TERM);
                (SECOND, begun)
            }
        };
        assert_eq!(remote.ended().await, Some(0));
        let took = begun.elapsed();
        assert!(took < limit + BUSY, "a drain of {drain} took {took:?}");
        dev.signal(Signal::CONT);
    }
}

#[tokio::test]
async fn hangup_drains_a_server() {
    let dev = Dev::start(&[]).await;
    dev.sh("jobstream submit demo.sleep '{\"seconds\": 0.5}'").await;
    // A terminal that closes may send several.
    dev.signal(Signal::HUP);
    dev.signal(Signal::HUP);
    let (code, stderr) = dev.end().await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("draining") && stderr.contains("1 job ended (1 succeeded)"), "{stderr}");
}

#[tokio::test]
async fn hangup_drains_a_worker() {
    let dev = Dev::start(&[]).await;
    let mut remote = Remote::connected(&dev, &["--exec", "upper=tr a-z A-Z"]).await;
    remote.signal(Signal::HUP);
    remote.wait_for_line("draining 0 jobs").await;
    assert_eq!(remote.ended().await, Some(0));
}

#[tokio::test]
async fn ignored_hangup_stays_ignored() {
    let dev = Dev::start_in("trap '' HUP; exec \"$@\"", &[]).await;
    dev.signal(Signal::HUP);
    assert_eq!(dev.sh("jobstream -q run demo.echo '\"served\"'").await.trim(), "\"served\"");
    dev.signal(Signal::TERM);
    let (code, stderr) = dev.end().await;
    assert_eq!((code, stderr.matches("draining").count()), (Some(0), 1), "{stderr}");
}
