//! Runs a worker for a remote server. Each group of handlers has a session: one `Work` stream, reconnected when it
//! breaks.

mod connection;
mod convert;
mod report_buffer;
mod request;

use std::error::Error;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::executor::Executor;
use super::setup::HandlerGroup;
use super::{RunningWorker, Worker, WorkerEnd, WorkerStatus};
use crate::client::backoff::Backoff;
use crate::client::status::{innermost, is_of_certificates};
use crate::client::{Channel, Client, RetryOptions};
use crate::error::Result;
use crate::job::{InlineHandler, Kind};
use crate::proto::v1;
use crate::proto::v1::worker_service_client::WorkerServiceClient;
pub(super) use report_buffer::ReportBuffer;

const PROTOCOL_VERSION: u32 = 1;
const SDK: &str = concat!("rust/", env!("CARGO_PKG_VERSION"));
/// Upper bound of the first reconnect delay.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Time for attempts to end after they were stopped by force.
const FORCE_TIME_MAX: Duration = Duration::from_millis(300);
/// Time for the server to acknowledge the last reports while the drain timeout lasts.
const ACK_TIME_MAX: Duration = Duration::from_secs(2);
/// Time for the server to acknowledge the last reports after the drain timeout. Together with `FORCE_TIME_MAX` and
/// `CLOSE_TIME_MAX` it stays below a second.
const FINAL_ACK_TIME_MAX: Duration = Duration::from_millis(300);
/// Time for the server to end the stream after the worker closed its side.
const CLOSE_TIME_MAX: Duration = Duration::from_millis(200);

/// Options of a worker's connection to a remote server. Start from [`Default`] and set fields.
///
/// ```
/// use jobstream::worker::RemoteOptions;
///
/// let mut options = RemoteOptions::default();
/// options.message_bytes_max = 16 << 20;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RemoteOptions {
    /// Longest delay before a reconnect. Default 5 s.
    pub reconnect_pause_max: Duration,
    /// Largest message that the worker reads, in bytes. Default 16 MiB: several times what a server sends by default.
    /// At least 64 KiB. The worker sends this limit to the server, which assigns larger jobs to other workers.
    pub message_bytes_max: usize,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self { reconnect_pause_max: Duration::from_secs(5), message_bytes_max: 16 << 20 }
    }
}

impl Worker {
    /// Runs jobs of the remote server behind this [`Client`] or channel. Attempts run on the current tokio runtime.
    ///
    /// When the connection breaks, the worker reconnects and its attempts continue. If it cannot reconnect before their
    /// leases expire, it ends them, because the server assigns their jobs to other workers. A server that refuses the
    /// worker, for example as UNAUTHENTICATED, ends it. Before, a token of a function is replaced once.
    ///
    /// A worker that was never connected also ends if certificates or the address are wrong: UNKNOWN_CA,
    /// INVALID_CERTIFICATE, NOT_TLS and TLS_REQUIRED of [`reason`](crate::client::reason).
    ///
    /// The channel may be lazy: the worker retries the first connection like any other. Configure HTTP/2 keepalive on
    /// it, as [`Client`] does. Without keepalive, the worker may not detect a dead connection.
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
    /// `InvalidField` if the worker's name or the name of a kind or queue is invalid.
    pub fn connect(self, server: impl Into<Channel>, options: RemoteOptions) -> Result<RunningWorker> {
        let channel = server.into();
        let queues = self.queue_names()?.unwrap_or_default();
        let queues: Vec<_> = queues.iter().map(|queue| queue.as_str().to_owned()).collect();
        let name = Kind::parse("name", &self.name)?.as_str().to_owned();
        let groups = self.handler_groups()?;
        let running = RunningWorker::new(groups.len());
        for (index, group) in groups.into_iter().enumerate() {
            let hello = v1::Hello {
                protocol_version: PROTOCOL_VERSION,
                name: name.clone(),
                instance_id: uuid::Uuid::now_v7().to_string(),
                kinds: group.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
                queues: queues.clone(),
                sdk: SDK.to_owned(),
                message_bytes_max: Some(u32::try_from(options.message_bytes_max).unwrap_or(u32::MAX)),
                ..v1::Hello::default()
            };
            let session = RemoteSession::new(&running, index, group, hello, channel.clone(), options.clone());
            running.tasks().spawn(session.run());
        }
        Ok(running)
    }
}

impl From<&Client> for Channel {
    fn from(client: &Client) -> Self {
        client.channel()
    }
}

/// One session of a worker, across reconnects.
struct RemoteSession {
    hello: v1::Hello,
    client: WorkerServiceClient<Channel>,
    /// Whether another connection may have another token.
    renews_token: bool,
    options: RemoteOptions,
    executor: Executor,
    inline: Option<InlineHandler>,
    buffer: Arc<ReportBuffer>,
    worker: RunningWorker,
    /// Index of the session in the worker.
    index: usize,
    /// Notified after each `Welcome`.
    welcomed: Notify,
    /// Whether the current connection has had its `Welcome`.
    is_welcomed: AtomicBool,
    /// Notified when the leases have expired. The current connection then closes.
    leases_expired: Notify,
    /// Cancelled when nothing is left to report and no reconnect is needed.
    closed: CancellationToken,
}

impl RemoteSession {
    fn new(
        worker: &RunningWorker,
        index: usize,
        group: HandlerGroup,
        hello: v1::Hello,
        channel: Channel,
        options: RemoteOptions,
    ) -> Self {
        let renews_token = channel.renews_token();
        let client = WorkerServiceClient::new(channel).max_decoding_message_size(options.message_bytes_max);
        Self {
            hello,
            client,
            renews_token,
            options,
            executor: Executor::new(group.handlers, group.revoke_grace, worker.tasks().clone()),
            inline: group.inline,
            buffer: Arc::new(ReportBuffer::new(group.slots)),
            worker: worker.clone(),
            index,
            welcomed: Notify::new(),
            is_welcomed: AtomicBool::new(false),
            leases_expired: Notify::new(),
            closed: CancellationToken::new(),
        }
    }

    async fn run(self) {
        let refused = {
            let mut connected = std::pin::pin!(self.keep_connected());
            let mut lease_watchdog = std::pin::pin!(self.watch_lease_deadline());
            tokio::select! {
                status = &mut connected => Some(status),
                () = &mut lease_watchdog => None,
                () = self.finish() => {
                    // Wait for the server to end the stream, so that no response is lost.
                    let _ = timeout(CLOSE_TIME_MAX, &mut connected).await;
                    None
                }
            }
        };
        if let Some(status) = refused.flatten() {
            self.worker.force_end(WorkerEnd::Refused(status));
            self.executor.stop();
            let _ = timeout(FORCE_TIME_MAX, self.executor.idle()).await;
        }
        self.buffer.close();
        self.worker.set_status(self.index, WorkerStatus::Ended);
    }

    /// Connects, and reconnects with back-off. Returns a permanent error of the server, or `None` once the session is
    /// closed.
    async fn keep_connected(&self) -> Option<Status> {
        let mut backoff = Backoff::new(RetryOptions {
            first_pause: FIRST_PAUSE,
            longest_pause: self.options.reconnect_pause_max,
            ..RetryOptions::default()
        });
        let mut can_renew = self.renews_token;
        let mut was_welcomed = false;
        loop {
            let began = Instant::now();
            let ended = self.run_connection().await;
            self.buffer.abandon_stream();
            let is_lost = self.is_welcomed.swap(false, Ordering::Relaxed);
            was_welcomed |= is_lost;
            if self.closed.is_cancelled() {
                return None;
            }
            let status = ended.err().unwrap_or_else(|| Status::unavailable("the server ended the stream"));
            match status.code() {
                Code::Unauthenticated if mem::take(&mut can_renew) => continue,
                Code::Unauthenticated => {}
                _ => can_renew = self.renews_token,
            }
            if is_permanent(&status, was_welcomed) {
                return Some(status);
            }
            if began.elapsed() > self.options.reconnect_pause_max {
                backoff.reset();
            }
            let retry_delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
            let pause = backoff.pause(retry_delay);
            let problem = if is_lost { "lost the connection" } else { "cannot connect" };
            tracing::info!(worker = %self.hello.name, ?pause, %status, "the worker {problem}, trying again");
            self.set_status(WorkerStatus::Connecting { why: reason(&status) });
            tokio::select! {
                () = sleep(pause) => {}
                () = self.closed.cancelled() => return None,
            }
        }
    }

    /// Ends all attempts when no heartbeat was sent before their leases expired. The server assigns their jobs to other
    /// workers then.
    async fn watch_lease_deadline(&self) {
        loop {
            self.welcomed.notified().await;
            loop {
                let lease_deadline = self.buffer.lease_deadline();
                if Instant::now() >= lease_deadline {
                    break;
                }
                sleep_until(lease_deadline).await;
            }
            self.executor.revoke_all();
            self.leases_expired.notify_one();
        }
    }

    /// Waits for the start of a drain or stop. Then accepts no more jobs, waits for running attempts until the drain
    /// deadline, releases the others and waits for the acknowledgement of the last reports.
    async fn finish(&self) {
        self.worker.draining().await;
        tracing::info!(worker = %self.hello.name, "the worker drains");
        self.buffer.set_slots(0);
        self.worker.set_status(self.index, WorkerStatus::Draining);
        let finished = async {
            self.executor.idle().await;
            let _ = timeout(ACK_TIME_MAX, self.buffer.all_acknowledged()).await;
        };
        tokio::select! {
            () = finished => {}
            () = self.worker.drain_expired() => {}
        }
        self.executor.stop();
        // A handler that blocks its thread cannot be ended.
        let _ = timeout(FORCE_TIME_MAX, self.executor.idle()).await;
        if timeout(FINAL_ACK_TIME_MAX, self.buffer.all_acknowledged()).await.is_err() {
            tracing::warn!(worker = %self.hello.name, "ends before its last reports were acknowledged");
        }
        tracing::info!(worker = %self.hello.name, "the worker is drained");
        self.closed.cancel();
        self.buffer.close_stream();
    }

    /// Publishes the session's status. A draining session stays `Draining` until it ends.
    fn set_status(&self, status: WorkerStatus) {
        if !self.worker.is_draining() {
            self.worker.set_status(self.index, status);
        }
    }
}

/// The server's message, or the root cause of a failed connection, such as `Connection refused`.
fn reason(status: &Status) -> String {
    status.source().map_or_else(|| status.message().to_owned(), innermost)
}

/// Whether a retry cannot help. A server that welcomed the worker may get a valid certificate again.
fn is_permanent(status: &Status, was_welcomed: bool) -> bool {
    let is_refusal = matches!(
        status.code(),
        Code::InvalidArgument | Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied
    );
    is_refusal || (!was_welcomed && is_of_certificates(status))
}
