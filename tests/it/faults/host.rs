//! A worker in a process of its own, to be killed or stopped by the test that started it.

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

/// A running process with a worker of two kinds, both of which answer their attempt and the worker's name:
///
/// - `work` takes as many milliseconds as its payload says
/// - `held` takes until it is let go, and hears of nothing meanwhile
pub(super) struct Host {
    child: Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Host {
    /// One that is connected. Of these queues, separated by commas; none is all.
    pub(super) async fn start(address: &str, name: &str, queues: &str, slots: u32) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command.args(["--exact", "faults::host::worker_host", "--ignored", "--nocapture"]);
        command.env(ADDRESS, address).env(NAME, name).env(QUEUES, queues).env(SLOTS, slots.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let orders = child.stdin.take().expect("a pipe");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut host = Self { child, orders, lines };
        host.says("connected").await;
        host
    }

    /// Reads on to this line.
    pub(super) async fn says(&mut self, awaited: &str) {
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

    /// Kills it and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        wait_for("the process is gone", self.child.kill()).await.expect("it runs");
    }

    /// Lets one `held` job go on, once the process runs.
    pub(super) async fn let_go(&mut self) {
        self.orders.write_all(b"\n").await.expect("it reads");
    }
}

/// Not a test of its own: the process that others start, kill and stop.
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
    let running = worker.connect(&client, RemoteOptions::default()).expect("good names");
    assert!(running.connected().await);
    // On a line of its own: the harness has begun one.
    println!("\nconnected");
    running.wait().await;
}

/// One for each line of the test. The process ends with it.
fn orders() -> mpsc::Receiver<()> {
    let (sender, orders) = mpsc::sync_channel(16);
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            // Nobody waits for it any more once the worker has ended.
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
    // It holds its thread, so that its end is on its way before it can be told to stop.
    orders.lock().expect("no panic").recv().expect("the test goes on");
    Ok(answer(&context))
}
