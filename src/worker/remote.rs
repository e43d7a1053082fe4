//! A worker of a server elsewhere: one stream for each set of handlers with common slots, kept connected.

mod conversation;
mod ledger;
mod request;
mod wire;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::desk::Desk;
use super::running::{Board, Signals};
use super::setup::Part;
use super::{RunningWorker, Worker, WorkerEnd, WorkerStatus};
use crate::client::backoff::Backoff;
use crate::client::{Client, RetryOptions};
use crate::error::Result;
use crate::job::{InlineHandler, Kind};
use crate::proto::v1;
use crate::proto::v1::worker_service_client::WorkerServiceClient;
pub(super) use ledger::Ledger;

const PROTOCOL_VERSION: u32 = 1;
const SDK: &str = concat!("rust/", env!("CARGO_PKG_VERSION"));
/// Most of the first pause before it connects again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// What handlers that were ended by force get to let go of their task.
const FORCE_TIME_MAX: Duration = Duration::from_millis(300);
/// What the server gets to acknowledge the last reports of a worker that ends, as far as its drain lasts.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(2);
/// The same once the drain is over: with the other times it stays within a second.
const LAST_SETTLE_TIME_MAX: Duration = Duration::from_millis(300);
/// What the server gets to end a stream after the worker closed its side.
const CLOSE_TIME_MAX: Duration = Duration::from_millis(200);

/// How a worker keeps to its server.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// Longest pause before it tries to connect again. Default 5 s.
    pub reconnect_pause_max: Duration,
    /// Largest message it reads, in bytes. Default 16 MiB: several times what a server sends by default. At least 64 KiB.
    /// The server is told, and gives jobs whose assignments are larger to other workers.
    pub message_bytes_max: usize,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self { reconnect_pause_max: Duration::from_secs(5), message_bytes_max: 16 << 20 }
    }
}

impl Worker {
    /// Runs the jobs of the server at the other end of this channel, or of a client: attempts run on the present tokio
    /// runtime, whatever becomes of the connection. When it breaks, the worker connects again and keeps its attempts; when
    /// that takes longer than their leases last, they are ended, because the server gives their jobs to others.
    ///
    /// A channel may be a lazy one: the first connection is tried as often as any other. Give it HTTP/2 keepalive, as a
    /// client has: without it, a connection that died in silence may never be left.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use jobstream::worker::{JobContext, RemoteOptions, Worker};
    ///
    /// let client = jobstream::client::Client::connect("http://127.0.0.1:7070").await?;
    /// let worker = Worker::new()
    ///     .name("doubler")
    ///     .handler("double", |_: JobContext, number: i64| async move { Ok(number * 2) })
    ///     .connect(&client, RemoteOptions::default())?;
    /// let end = worker.wait().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidField` for a kind or queue with a bad name.
    pub fn connect(self, server: impl Into<Channel>, options: RemoteOptions) -> Result<RunningWorker> {
        let channel = server.into();
        let queues = self.queue_names()?.unwrap_or_default();
        let queues: Vec<_> = queues.iter().map(|queue| queue.as_str().to_owned()).collect();
        let name = Kind::parse("name", &self.name)?.as_str().to_owned();
        let parts = self.parts()?;
        let running = RunningWorker::new(parts.len());
        for (index, part) in parts.into_iter().enumerate() {
            let hello = v1::Hello {
                protocol_version: PROTOCOL_VERSION,
                name: name.clone(),
                instance_id: uuid::Uuid::now_v7().to_string(),
                kinds: part.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
                queues: queues.clone(),
                sdk: SDK.to_owned(),
                message_bytes_max: Some(u32::try_from(options.message_bytes_max).unwrap_or(u32::MAX)),
                ..v1::Hello::default()
            };
            let remote = Remote::new(&running, index, part, hello, channel.clone(), options.clone());
            running.tasks().spawn(remote.run());
        }
        Ok(running)
    }
}

impl From<&Client> for Channel {
    fn from(client: &Client) -> Self {
        client.channel()
    }
}

/// One stream of a worker, through all its connections.
struct Remote {
    hello: v1::Hello,
    client: WorkerServiceClient<Channel>,
    options: RemoteOptions,
    desk: Desk,
    inline: Option<InlineHandler>,
    ledger: Arc<Ledger>,
    signals: Signals,
    board: Arc<Board>,
    /// Its place on the board.
    index: usize,
    /// Told after each welcome.
    welcomed: Notify,
    /// Has the present connection given up.
    give_up: Notify,
    /// Nothing is left to tell: no connection is needed any more.
    closed: CancellationToken,
}

impl Remote {
    fn new(
        running: &RunningWorker,
        index: usize,
        part: Part,
        hello: v1::Hello,
        channel: Channel,
        options: RemoteOptions,
    ) -> Self {
        let (tasks, signals) = (running.tasks().clone(), running.signals().clone());
        let client = WorkerServiceClient::new(channel).max_decoding_message_size(options.message_bytes_max);
        Self {
            hello,
            client,
            options,
            desk: Desk::new(part.handlers, part.revoke_grace, tasks, signals.stop_token().clone()),
            inline: part.inline,
            ledger: Arc::new(Ledger::new(part.slots)),
            signals,
            board: running.board().clone(),
            index,
            welcomed: Notify::new(),
            give_up: Notify::new(),
            closed: CancellationToken::new(),
        }
    }

    async fn run(self) {
        let refused = {
            let mut connected = std::pin::pin!(self.keep_connected());
            let mut fenced = std::pin::pin!(self.keep_fenced());
            tokio::select! {
                status = &mut connected => Some(status),
                () = &mut fenced => None,
                () = self.finish() => {
                    // The server ends the stream in turn, so that it is not cut with an answer on its way.
                    let _ = timeout(CLOSE_TIME_MAX, &mut connected).await;
                    None
                }
            }
        };
        if let Some(status) = refused.flatten() {
            self.signals.end(WorkerEnd::Refused(status));
            self.signals.stop();
            let _ = timeout(FORCE_TIME_MAX, self.desk.idle()).await;
        }
        self.board.post(self.index, WorkerStatus::Ended);
    }

    /// Connects, and again whenever the connection broke. Answers why no further try could help; `None` if none is
    /// needed.
    async fn keep_connected(&self) -> Option<Status> {
        let mut backoff = Backoff::new(RetryOptions {
            first_pause: FIRST_PAUSE,
            longest_pause: self.options.reconnect_pause_max,
            ..RetryOptions::default()
        });
        loop {
            let began = Instant::now();
            let ended = self.converse().await;
            self.ledger.cut();
            if self.closed.is_cancelled() {
                return None;
            }
            let status = ended.err().unwrap_or_else(|| Status::unavailable("the server ended the stream"));
            if cannot_mend(&status) {
                return Some(status);
            }
            if began.elapsed() > self.options.reconnect_pause_max {
                backoff.reset();
            }
            let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
            let pause = backoff.pause(asked);
            tracing::info!(worker = %self.hello.name, ?pause, %status, "connects again");
            self.post(WorkerStatus::Connecting { why: reason(&status) });
            tokio::select! {
                () = sleep(pause) => {}
                () = self.closed.cancelled() => return None,
            }
        }
    }

    /// Ends attempts whose leases have run out because no heartbeat left in time: the server gives their jobs to others.
    async fn keep_fenced(&self) {
        loop {
            self.welcomed.notified().await;
            loop {
                let fence = self.ledger.fence();
                if Instant::now() >= fence {
                    break;
                }
                sleep_until(fence).await;
            }
            self.desk.revoke_all();
            self.give_up.notify_one();
        }
    }

    /// Once told to end: takes nothing more, lets what runs finish in its time, gives back the rest and waits until the
    /// server knows.
    async fn finish(&self) {
        self.signals.draining().await;
        self.ledger.set_slots(0);
        self.board.post(self.index, WorkerStatus::Draining);
        let settled = async {
            self.desk.idle().await;
            let _ = timeout(SETTLE_TIME_MAX, self.ledger.settled()).await;
        };
        tokio::select! {
            () = settled => {}
            () = self.signals.overdue() => {}
        }
        self.desk.force_all();
        // Handlers that hold their thread are left behind.
        let _ = timeout(FORCE_TIME_MAX, self.desk.idle()).await;
        if timeout(LAST_SETTLE_TIME_MAX, self.ledger.settled()).await.is_err() {
            tracing::warn!(worker = %self.hello.name, "ends before its last reports were acknowledged");
        }
        self.closed.cancel();
        self.ledger.end_stream();
    }

    /// Tells what it is at, unless it drains: then that is what it is at until it ends.
    fn post(&self, status: WorkerStatus) {
        if !self.signals.is_draining() {
            self.board.post(self.index, status);
        }
    }
}

/// What the server said; or, if nobody could be reached, the end of the chain of causes: `Connection refused`.
fn reason(status: &Status) -> String {
    let mut cause = status.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| status.message().to_owned(), ToString::to_string)
}

/// Whether the server would say the same again.
fn cannot_mend(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument | Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied
    )
}
