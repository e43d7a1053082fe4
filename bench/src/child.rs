//! A server in a child process, and the CPU time and memory that a process has used so far.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{self, Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::ValueEnum;
use tokio_rustls::TlsConnector;

use super::server::ServerKind;
use super::{Failed, HIDDEN_COMMAND, Result, tls};

/// A running server. Dropping it ends the process.
pub(super) struct ServerProcess {
    /// Ends before its server does.
    worker: Option<Box<ServerProcess>>,
    process: Child,
    pipes: Mutex<Option<Pipes>>,
    port: u16,
    /// The directory of its log or its certificate, if it has one.
    directory: Option<LogDirectory>,
    tls: Option<TlsConnector>,
    /// Whether it verifies the callers.
    is_identifying: bool,
}

/// Closing them ends the process.
struct Pipes {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Pipes {
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// The number of allocations of the process so far.
    fn allocations(&mut self) -> Result<u64> {
        self.input.write_all(b"\n")?;
        Ok(self.line()?.parse()?)
    }
}

/// The directory of a log, removed when dropped.
struct LogDirectory(PathBuf);

impl LogDirectory {
    /// A path that does not exist yet.
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("jobstream-bench-{}-{}", process::id(), COUNT.fetch_add(1, Relaxed));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for LogDirectory {
    fn drop(&mut self) {
        // A server that failed before it opened its log has not created the directory.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The resources that a process has used since its start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// User and system time of all its threads.
    pub(super) cpu: Duration,
    /// Memory resident now.
    pub(super) resident_bytes: u64,
    /// Resident memory without the pages of the program file.
    pub(super) anonymous_bytes: u64,
    /// Context switches of its threads, voluntary or not.
    pub(super) switches: u64,
    /// Allocations, if this build counts them.
    pub(super) allocations: u64,
    /// Bytes that its log writer thread wrote.
    pub(super) logged_bytes: u64,
}

impl ServerProcess {
    /// Starts this program again as a server and waits until it listens.
    pub(super) fn start(kind: ServerKind) -> Result<Self> {
        let directory = matches!(kind, ServerKind::Durable | ServerKind::Tls).then(LogDirectory::new);
        let certificate = directory.as_ref().filter(|_| kind == ServerKind::Tls);
        let tls = certificate.map(|directory| tls::issue(&directory.0)).transpose()?;
        let mut server = Self::start_at(kind, "", directory)?;
        server.tls = tls;
        server.is_identifying = kind == ServerKind::Identity;
        Ok(server)
    }

    /// Kills the server and starts another one on its directory.
    pub(super) fn restarted(mut self) -> Result<Self> {
        self.process.kill()?;
        self.process.wait()?;
        Self::start_at(ServerKind::Durable, "", self.directory.take())
    }

    /// Connects a worker in a process of its own to this server.
    pub(super) fn with_worker(mut self) -> Result<Self> {
        let worker = Self::start_at(ServerKind::Worker, &self.port.to_string(), None)?;
        self.worker = Some(Box::new(worker));
        Ok(self)
    }

    fn start_at(kind: ServerKind, location: &str, directory: Option<LogDirectory>) -> Result<Self> {
        let name = kind.to_possible_value().ok_or(Failed::new("every server has a name"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args([HIDDEN_COMMAND, name.get_name()]);
        match &directory {
            Some(directory) => command.arg(&directory.0),
            None => command.arg(location),
        };
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (input, output) = pipes.ok_or(Failed::new("the child's input and output are piped"))?;
        let mut pipes = Pipes { input, output: BufReader::new(output) };
        let port =
            pipes.line()?.parse().map_err(|_| Failed::new(format!("the {kind:?} server sent no port")));
        let mut server = Self {
            worker: None,
            process,
            pipes: Mutex::new(Some(pipes)),
            port: 0,
            directory,
            tls: None,
            is_identifying: false,
        };
        server.port = port?;
        Ok(server)
    }

    /// The port on which it listens.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// How to connect to it over TLS, if it has a certificate.
    pub(super) fn tls(&self) -> Option<&TlsConnector> {
        self.tls.as_ref()
    }

    /// Whether it refuses calls without its token.
    pub(super) fn is_identifying(&self) -> bool {
        self.is_identifying
    }

    /// The resources it has used.
    pub(super) fn usage(&self) -> Result<Usage> {
        let mut usage = usage_of(&self.process.id().to_string())?;
        if cfg!(feature = "count-allocations") {
            let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
            usage.allocations = pipes.as_mut().map(Pipes::allocations).transpose()?.unwrap_or_default();
        }
        Ok(usage)
    }

    /// The resources its worker has used, if it has one.
    pub(super) fn worker_usage(&self) -> Result<Option<Usage>> {
        self.worker.as_ref().map(|worker| worker.usage()).transpose()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        *self.pipes.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        // An error means that the process has already been waited for.
        let _ = self.process.wait();
    }
}

/// The resources that this process, the load generator, has used.
pub(super) fn own_usage() -> Result<Usage> {
    usage_of("self")
}

/// Sums over the live threads: servers end no thread while they are measured.
fn usage_of(process: &str) -> Result<Usage> {
    let mut usage = Usage::default();
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?.path();
        let Ok(scheduled) = fs::read_to_string(task.join("schedstat")) else { continue };
        nanos += scheduled.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let status = fs::read_to_string(task.join("status")).unwrap_or_default();
        usage.switches += number_after(&status, "\nvoluntary_ctxt_switches:")
            + number_after(&status, "\nnonvoluntary_ctxt_switches:");
        if status.starts_with("Name:\tlog\n") {
            let io = fs::read_to_string(task.join("io")).unwrap_or_default();
            usage.logged_bytes += number_after(&io, "\nwchar:");
        }
    }
    usage.cpu = Duration::from_nanos(nanos);
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    usage.resident_bytes = number_after(&status, "\nVmRSS:") * 1024;
    usage.anonymous_bytes = number_after(&status, "\nRssAnon:") * 1024;
    Ok(usage)
}

fn number_after(text: &str, label: &str) -> u64 {
    let found = text.split_once(label).and_then(|(_, rest)| rest.split_whitespace().next());
    found.and_then(|number| number.parse().ok()).unwrap_or(0)
}
