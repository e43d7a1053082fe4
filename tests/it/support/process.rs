//! The binary as server and worker processes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tonic::transport::Channel;

use super::{connect_lazy, new_id, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_jobstream");

/// A running `jobstream dev`.
pub(crate) struct Dev {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) banner: String,
}

impl Dev {
    pub(crate) async fn start(args: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", args).await
    }

    pub(crate) async fn start_at(listen: &str, args: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["dev", "--listen", listen]).args(args);
        Self::start_by(command).await
    }

    /// Starts a server from a shell script, which executes `"$@"`.
    pub(crate) async fn start_in(script: &str, args: &[&str]) -> Self {
        Self::try_start_in(script, "127.0.0.1:0", args).await.expect("the process starts")
    }

    /// Starts a server from a shell script on this address. Returns its exit code and stderr if it does not start.
    pub(crate) async fn try_start_in(
        script: &str,
        listen: &str,
        args: &[&str],
    ) -> Result<Self, (Option<i32>, String)> {
        let mut command = Command::new("sh");
        command.args(["-euc", script, "sh", BINARY, "dev", "--listen", listen]).args(args);
        Self::try_start_by(command).await
    }

    async fn start_by(command: Command) -> Self {
        Self::try_start_by(command).await.expect("the process starts")
    }

    async fn try_start_by(mut command: Command) -> Result<Self, (Option<i32>, String)> {
        command.kill_on_drop(true);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the process starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut banner = String::new();
        loop {
            let Some(line) = wait_for("the banner", lines.next_line()).await.expect("text") else {
                return Err(ended(child).await);
            };
            banner.push_str(&line);
            banner.push('\n');
            if line.starts_with("Ctrl-C") {
                break;
            }
        }
        let address = banner.lines().find_map(|line| line.trim().strip_prefix("gRPC")).expect("an address");
        let address = address.trim().split(',').next().expect("an address").to_owned();
        Ok(Self { child, address, banner })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Returns a size of the process status, such as `VmRSS`, in bytes.
    pub(crate) fn memory_bytes(&self, name: &str) -> usize {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs on Linux");
        let size =
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a size");
        size.split_whitespace().next().and_then(|kib| kib.parse::<usize>().ok()).expect("KiB") << 10
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Returns a new connection, which connects lazily and reconnects.
    pub(crate) fn channel(&self) -> Channel {
        connect_lazy(format!("http://{}", self.address))
    }

    /// Kills the process and waits for its end.
    pub(crate) async fn kill(mut self) {
        wait_for("the server is gone", self.child.kill()).await.expect("the process runs");
    }

    /// Waits for the end. Returns the exit code and stderr.
    pub(crate) async fn end(self) -> (Option<i32>, String) {
        ended(self.child).await
    }

    /// Runs a script with the binary on its PATH and this server's address. Returns stdout.
    pub(crate) async fn sh(&self, script: &str) -> String {
        let directory = std::path::Path::new(BINARY).parent().expect("a directory").display();
        let path = format!("{directory}:{}", std::env::var("PATH").expect("a PATH"));
        let mut command = Command::new("sh");
        command.args(["-euc", script]).env("PATH", path).env("JOBSTREAM_ADDRESS", &self.address);
        let output = wait_for(script, command.output()).await.expect("sh runs");
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}\nstdout: {stdout}\nstderr: {stderr}");
        stdout.into_owned()
    }
}

async fn ended(mut child: Child) -> (Option<i32>, String) {
    let mut stderr = String::new();
    let mut pipe = child.stderr.take().expect("a pipe");
    wait_for("stderr ends", pipe.read_to_string(&mut stderr)).await.expect("text");
    let status = wait_for("the server ends", child.wait()).await.expect("a status");
    (status.code(), stderr)
}

/// A running `jobstream worker`.
pub(crate) struct Remote {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Remote {
    pub(crate) fn start(address: &str, args: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["worker", "--address", address]).args(args);
        Self::start_by(command)
    }

    /// Starts a worker from a shell script, which executes `"$@"`.
    #[cfg(feature = "otel")]
    pub(crate) fn start_in(script: &str, address: &str, args: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-euc", script, "sh", BINARY, "worker", "--address", address]).args(args);
        Self::start_by(command)
    }

    fn start_by(mut command: Command) -> Self {
        command.kill_on_drop(true);
        let mut child =
            command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the process starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        Self { child, lines }
    }

    /// Starts a worker and waits until it is connected.
    pub(crate) async fn connected(dev: &Dev, args: &[&str]) -> Self {
        let mut remote = Self::start(&dev.address, args);
        remote.wait_for_line("connected to").await;
        remote
    }

    /// Reads stderr to the line with this part.
    pub(crate) async fn wait_for_line(&mut self, part: &str) -> String {
        let mut lines = Vec::new();
        while let Some(line) = wait_for(part, self.lines.next_line()).await.expect("text") {
            if line.contains(part) {
                return line;
            }
            lines.push(line);
        }
        panic!("no line has {part:?}: {lines:#?}");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Waits for the end. Returns the exit code.
    pub(crate) async fn ended(mut self) -> Option<i32> {
        wait_for("the worker ends", self.child.wait()).await.expect("a status").code()
    }
}

/// A running `jobstream serve` with a config file, which is removed at the end.
pub(crate) struct Served {
    pub(crate) process: Remote,
    pub(crate) address: SocketAddr,
    config: PathBuf,
}

impl Served {
    /// Starts a server with this config, which listens on a free port of loopback.
    pub(crate) async fn start(config: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("served-{}.toml", new_id()));
        std::fs::write(&path, config).expect("a file");
        let mut command = Command::new(BINARY);
        command.args(["serve", "--config"]).arg(&path);
        let mut process = Remote::start_by(command);
        let listening = process.wait_for_line("listening on").await;
        let (_, port) = listening.rsplit_once(':').expect("an address");
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        let address = ([127, 0, 0, 1], port.parse().expect("a port")).into();
        Self { process, address, config: path }
    }

    /// The path of the config.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Replaces the config and reloads. Returns the line that says what has changed, or why nothing has.
    pub(crate) async fn reload(&mut self, config: &str) -> String {
        std::fs::write(&self.config, config).expect("a file");
        self.reload_files().await
    }

    /// Reloads. Returns the line that says what has changed, or why nothing has.
    pub(crate) async fn reload_files(&mut self) -> String {
        self.process.signal(Signal::HUP);
        loop {
            let line = self.process.wait_for_line("SIGHUP: ").await;
            if !line.contains("need a restart") {
                return line;
            }
        }
    }

    /// Returns a new connection, which connects lazily and reconnects.
    pub(crate) fn channel(&self) -> Channel {
        connect_lazy(format!("http://{}", self.address))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // A remaining file in the target directory is harmless.
        let _ = std::fs::remove_file(&self.config);
    }
}

/// Sends a signal to a running process.
pub(crate) fn send(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("the process runs");
    kill_process(pid, signal).expect("the process runs");
}
