//! A worker in a separate process, which a test kills or stops.

use std::process::Stdio;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use jobstream::client::{Client, ClientOptions};
use jobstream::job::Payload;
use jobstream::worker::{JobContext, JobError, RemoteOptions, Worker};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::{send, wait_for};

const ADDRESS: &str = "JOBSTREAM_TEST_HOST_ADDRESS";
const NAME: &str = "JOBSTREAM_TEST_HOST_NAME";
const QUEUES: &str = "JOBSTREAM_TEST_HOST_QUEUES";
const SLOTS: &str = "JOBSTREAM_TEST_HOST_SLOTS";

/// A worker process of two kinds. Both return their attempt and the worker's name:
///
/// - `work` runs for the milliseconds of its payload
/// - `held` blocks its thread until the test releases it
pub(super) struct Host {
    child: Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Host {
    /// Starts a connected worker of these queues, separated by commas. An empty list is all queues.
    pub(super) async fn start(address: &str, name: &str, queues: &str, slots: u32) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command.args(["--exact", "faults::host::worker_host", "--ignored", "--nocapture"]);
        command.env(ADDRESS, address).env(NAME, name).env(QUEUES, queues).env(SLOTS, slots.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the process starts");
        let orders = child.stdin.take().expect("a pipe");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut host = Self { child, orders, lines };
        host.wait_for_line("connected").await;
        host
    }

    /// Reads the output to this line.
    pub(super) async fn wait_for_line(&mut self, awaited: &str) {
        while let Some(line) = wait_for(awaited, self.lines.next_line()).await.expect("text") {
            if line == awaited {
                return;
            }
        }
        panic!("it ends without {awaited:?}");
    }

    pub(super) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Kills the process and waits for its end.
    pub(super) async fn kill(&mut self) {
        wait_for("the process is gone", self.child.kill()).await.expect("it is running");
    }

    /// Releases one `held` job.
    pub(super) async fn release_job(&mut self) {
        self.orders.write_all(b"\n").await.expect("it reads");
    }
}

/// Not a test: the process that other tests start, kill and stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the tests of faults"]
async fn worker_host() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let own = |name| std::env::var(name).expect("set with the address");
    let orders = Arc::new(Mutex::new(orders()));
    let mut worker = Worker::new()
        .name(own(NAME))
        .slots(own(SLOTS).parse().expect("a number"))
        .raw_handler("work", work)
        .raw_handler("held", move |context| held(context, orders.clone()));
    let queues = own(QUEUES);
    if !queues.is_empty() {
        worker = worker.queues(queues.split(','));
    }
    let client = Client::lazy(&address, ClientOptions::default()).expect("an address");
    let running = worker.connect(&client, RemoteOptions::default()).expect("valid names");
    assert!(running.connected().await);
    // Starts a new line after the output of the test harness.
    println!("\nconnected");
    running.wait().await;
}

/// Returns a message per line of stdin. The process ends with stdin.
fn orders() -> mpsc::Receiver<()> {
    let (sender, orders) = mpsc::sync_channel(16);
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            // The receiver is dropped after the end of the worker.
            let _ = sender.send(());
        }
        std::process::exit(0);
    });
    orders
}

fn answer(context: &JobContext) -> Payload {
    Payload::text(format!("{} {}", context.attempt(), std::env::var(NAME).expect("set")))
}

async fn work(context: JobContext) -> Result<Payload, JobError> {
    context.output(Payload::text(context.attempt().to_string())).await?;
    tokio::time::sleep(Duration::from_millis(context.input()?)).await;
    Ok(answer(&context))
}

async fn held(context: JobContext, orders: Arc<Mutex<mpsc::Receiver<()>>>) -> Result<Payload, JobError> {
    println!("holding {}", context.job_id());
    // It blocks its thread, so that its end is sent before it can observe a cancel.
    orders.lock().expect("no panic").recv().expect("the test is running");
    Ok(answer(&context))
}
