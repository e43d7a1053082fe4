//! The command runner with real processes: outcomes, events, signals, limits and cleanup.

mod bounds;
mod endings;
mod guard;
mod isolation;
mod results;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jobstream::job::{Log, LogLevel, LogStream, Progress};
use jobstream::worker::command::{
    CommandControl, CommandEvent, CommandInput, CommandOutcome, CommandSpec, OutputMode, run,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The time limit of a step, also on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(10);

/// `sh -c script`, with the `PATH` of the machine.
fn shell(script: &str) -> CommandSpec {
    let mut spec = CommandSpec::new("sh");
    spec.args = vec!["-c".to_owned(), script.to_owned()];
    spec.inherited_env = vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())];
    spec
}

fn payload(bytes: impl Into<Bytes>) -> CommandInput {
    CommandInput { payload: bytes.into(), env: Vec::new() }
}

/// A command that runs in a task.
struct Running {
    task: JoinHandle<CommandOutcome>,
    events: mpsc::Receiver<CommandEvent>,
    control: CommandControl,
}

impl Running {
    fn start(spec: CommandSpec) -> Self {
        Self::start_with(spec, CommandInput::default(), CommandControl::default())
    }

    fn start_with(spec: CommandSpec, input: CommandInput, control: CommandControl) -> Self {
        let (sender, events) = mpsc::channel(16);
        let held = control.clone();
        let task = tokio::spawn(async move { run(&spec, input, sender, control).await });
        Self { task, events, control: held }
    }

    /// Returns the next chunk of output as text without its line ending.
    async fn line(&mut self) -> String {
        loop {
            match within("an output line", self.events.recv()).await.expect("the command is running") {
                CommandEvent::Output(chunk) => return String::from_utf8_lossy(&chunk).trim_end().to_owned(),
                _ => continue,
            }
        }
    }

    /// Reads a line of process ids.
    async fn pids(&mut self) -> Vec<i32> {
        self.line().await.split_whitespace().map(|pid| pid.parse().expect("a process id")).collect()
    }

    async fn outcome(self) -> (CommandOutcome, Vec<CommandEvent>) {
        let Self { task, mut events, .. } = self;
        let collect = async {
            let mut seen = Vec::new();
            while let Some(event) = events.recv().await {
                seen.push(event);
            }
            seen
        };
        let (outcome, seen) = within("the outcome", async { tokio::join!(task, collect) }).await;
        (outcome.expect("the runner does not panic"), seen)
    }
}

async fn outcome_of(spec: CommandSpec) -> CommandOutcome {
    Running::start(spec).outcome().await.0
}

async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(TIMEOUT, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} did not complete within {TIMEOUT:?}"),
    }
}

/// Polls until a condition holds that the kernel does not signal.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < TIMEOUT, "not within {TIMEOUT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn log(text: &str) -> CommandEvent {
    CommandEvent::Log(Log { level: LogLevel::Info, text: text.into(), stream: LogStream::Stderr })
}

fn result_text(outcome: &CommandOutcome) -> &str {
    match outcome {
        CommandOutcome::Success { result, .. } => str::from_utf8(result).expect("the result is text"),
        other => panic!("the command must succeed: {other:?}"),
    }
}

/// Returns the state and the parent of a process, or `None` if it does not exist.
fn process(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn is_alive(pid: i32) -> bool {
    process(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

fn is_our_zombie(pid: i32) -> bool {
    process(pid).is_some_and(|(state, parent)| state == 'Z' && parent == std::process::id().cast_signed())
}

fn lines(script: &str) -> CommandSpec {
    let mut spec = shell(script);
    spec.output = OutputMode::Lines;
    spec
}

/// A temporary directory of one test, removed when dropped.
struct TempDir {
    path: PathBuf,
}

impl TempDir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("jobstream-command-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary directory");
        Self { path }
    }

    /// Creates a named pipe. A program that opens it waits until the test opens it.
    async fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        result_text(&outcome_of(shell(&format!("mkfifo {}", path.display()))).await);
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
