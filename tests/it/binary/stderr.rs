//! A stderr that is not read or not writable: only log lines are lost.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::unix::pipe;
use tokio::process::Command;

use crate::support::{Dev, new_id, send, until, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_jobstream");
/// The bytes after which an unread pipe is almost full. It has 16 pages, and not all of them are filled.
const PIPE_BYTES: usize = 48 << 10;

/// A named pipe for the stderr of a process, removed when dropped.
struct Fifo(PathBuf);

impl Fifo {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stderr-{}", new_id()));
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
        assert!(made.success());
        Self(path)
    }

    fn reader(&self) -> pipe::Receiver {
        pipe::OpenOptions::new().open_receiver(&self.0).expect("a pipe")
    }

    /// Starts a server that writes its log to the pipe.
    async fn dev(&self, args: &[&str]) -> Dev {
        Dev::start_in(&format!("exec \"$@\" 2>'{}'", self.0.display()), args).await
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        // A remaining file is harmless.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn run_echo(dev: &Dev) {
    assert_eq!(dev.sh("jobstream run demo.echo '\"here\"'").await.trim(), "\"here\"");
}

#[tokio::test]
async fn a_server_with_a_closed_stderr_serves_and_ends_on_a_signal() {
    let fifo = Fifo::new();
    let reader = fifo.reader();
    let dev = fifo.dev(&["--connections-max", "2"]).await;
    drop(reader);
    let held = [TcpStream::connect(&dev.address).await, TcpStream::connect(&dev.address).await];
    let mut refused = TcpStream::connect(&dev.address).await.expect("a listening socket");
    let read = wait_for("it is refused", refused.read(&mut [0])).await;
    assert!(read.is_err() || read.is_ok_and(|bytes| bytes == 0), "the third of two connections");
    drop(held);
    let serves = async || {
        let mut command = Command::new(BINARY);
        command.args(["info", "--address", &dev.address]);
        command.output().await.expect("it runs").status.success()
    };
    until("it serves after a line that it could not write", serves).await;
    run_echo(&dev).await;
    dev.signal(Signal::TERM);
    assert_eq!(dev.end().await.0, Some(0));
}

#[tokio::test]
async fn a_blocked_stderr_delays_neither_calls_nor_the_shutdown() {
    let mut dev = Dev::start(&["--log-level", "trace"]).await;
    for _ in 0..10 {
        run_echo(&dev).await;
    }
    dev.signal(Signal::TERM);
    let status = wait_for("the server ends", dev.child.wait()).await.expect("a status");
    assert_eq!(status.code(), Some(0));
    let mut log = Vec::new();
    let mut pipe = dev.child.stderr.take().expect("a pipe");
    wait_for("stderr ends", pipe.read_to_end(&mut log)).await.expect("a pipe");
    assert!(log.len() >= PIPE_BYTES, "{} bytes do not fill the pipe", log.len());
}

#[tokio::test]
async fn lost_lines_are_counted_once_stderr_is_read_again() {
    let fifo = Fifo::new();
    let reader = fifo.reader();
    let dev = fifo.dev(&["--log-level", "debug"]).await;
    drop(reader);
    run_echo(&dev).await;
    let mut lines = BufReader::new(fifo.reader()).lines();
    run_echo(&dev).await;
    let line = wait_for("a line", lines.next_line()).await.expect("text").expect("a line");
    let (output, count) = line.rsplit_once("lines=").expect(&line);
    assert!(output.contains("WARN") && output.contains("log lines were lost"), "{line}");
    assert!(count.parse::<u64>().is_ok_and(|count| count > 0), "{line}");
    dev.signal(Signal::TERM);
    assert_eq!(dev.end().await.0, Some(0));
}

#[tokio::test]
async fn a_worker_with_a_closed_stderr_reconnects_and_ends_on_a_signal() {
    let dev = Dev::start(&[]).await;
    let mut command = Command::new(BINARY);
    command.args(["worker", "--address", &dev.address, "--exec", "upper=tr a-z A-Z", "--log-level", "info"]);
    let mut worker = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
    drop(worker.stderr.take());
    let is_connected = async |dev: &Dev| dev.sh("jobstream workers ls").await.contains("\tCONNECTED\t");
    until("it is connected", async || is_connected(&dev).await).await;
    let address = dev.address.clone();
    dev.kill().await;
    let dev = Dev::start_at(&address, &[]).await;
    until("it is connected again", async || is_connected(&dev).await).await;
    assert_eq!(dev.sh("printf 'make me big' | jobstream -q run upper - --text").await.trim(), "MAKE ME BIG");
    send(&worker, Signal::TERM);
    let status = wait_for("the worker ends", worker.wait()).await.expect("a status");
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_command_with_a_blocked_stderr_ends() {
    let noisy = "noisy=sh -c 'seq 10000 | sed s/$/-and-more/ >&2; echo done'";
    let dev = Dev::start(&["--exec", noisy]).await;
    let mut command = Command::new(BINARY);
    command.args(["run", "noisy", "--address", &dev.address]).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut run = command.spawn().expect("it starts");
    let mut result = String::new();
    let mut stdout = run.stdout.take().expect("a pipe");
    wait_for("stdout ends", stdout.read_to_string(&mut result)).await.expect("text");
    let status = wait_for("it ends", run.wait()).await.expect("a status");
    assert_eq!((status.code(), result.as_str()), (Some(0), "done\n"));
}
