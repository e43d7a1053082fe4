//! How fast signals end a process, whatever it is at: the first within its drain and a second, the second within 100 ms.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::Stuck;
use crate::support::{Dev, Remote, send, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_jobstream");
/// What a second signal leaves.
const SECOND: Duration = Duration::from_millis(100);
/// What a busy machine may add.
const BUSY: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_second_signal_ends_a_command_whose_output_nobody_takes() {
    let dev = Dev::start(&["--exec", "loud=sh -c 'head -c 500000 /dev/zero'"]).await;
    let mut command = Command::new(BINARY);
    command.args(["run", "loud", "--address", &dev.address, "--output", "table"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut run = command.spawn().expect("it starts");
    let mut stdout = run.stdout.take().expect("a pipe");
    wait_for("it writes", stdout.read_exact(&mut [0])).await.expect("a result");
    let begun = Instant::now();
    // Signals that come together count as one: another follows until the process is gone.
    let status = loop {
        send(&run, Signal::INT);
        if let Ok(status) = timeout(SECOND, run.wait()).await {
            break status.expect("a status");
        }
        assert!(begun.elapsed() < 3 * SECOND + BUSY, "it goes on");
    };
    assert_eq!(status.code(), Some(130));
}

#[tokio::test]
async fn a_server_that_stopped_holds_up_neither_end_of_its_worker() {
    for seconds in [1, 3_600] {
        let stuck = Stuck::new(&format!("stopped-server-{seconds}"));
        let dev = Dev::start(&[]).await;
        let drain = format!("{seconds}s");
        let mut remote = Remote::connected(&dev, &["--exec", &stuck.exec, "--drain-timeout", &drain]).await;
        dev.sh("jobstream submit stuck").await;
        stuck.is_deaf().await;
        dev.signal(Signal::STOP);
        let begun = Instant::now();
        remote.signal(Signal::TERM);
        remote.says("draining 1 job").await;
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
