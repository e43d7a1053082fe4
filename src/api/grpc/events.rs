//! The event streams of WatchResult and Run: a watch with heartbeats.
//!
//! A stream ends with OK only after the last event of its job.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::call::Closing;
use crate::engine::{Engine, Watch};
use crate::error::{Error, ErrorKind};
use crate::job::{JobId, WatchItem};
use crate::proto::status::to_status;
use crate::proto::v1::run_response;
use crate::proto::v1::watch_result_response::Message;
use crate::proto::{render, v1};

/// Delay until the stream of a closing connection may be resumed on a new connection.
const RESUME_AFTER: Duration = Duration::ZERO;
/// Time for an attempt to stop after the caller of Run disconnected.
const DISCONNECT_GRACE: Duration = Duration::from_secs(10);

impl From<Message> for v1::WatchResultResponse {
    fn from(message: Message) -> Self {
        Self { message: Some(message) }
    }
}

impl From<Message> for v1::RunResponse {
    fn from(message: Message) -> Self {
        let message = match message {
            Message::Event(event) => run_response::Message::Event(event),
            Message::Gap(gap) => run_response::Message::Gap(gap),
            Message::Heartbeat(heartbeat) => run_response::Message::Heartbeat(heartbeat),
        };
        Self { message: Some(message) }
    }
}

/// The events of one job as messages.
pub(crate) struct EventStream<M> {
    watch: Watch,
    first: Option<M>,
    read: std::vec::IntoIter<WatchItem>,
    heartbeat: Duration,
    closing: Option<CancellationToken>,
    /// Set when the stream has nothing to send for the first time. Most runs end before that.
    idle: Option<IdleState>,
    boot_id: Arc<str>,
    /// Whether the last message or an error was sent.
    done: bool,
    cancel_on_disconnect: Option<Engine>,
}

/// The heartbeat timer of an idle stream, and the end of its connection.
struct IdleState {
    /// When the last message was sent. The timer is reset only when it fires, so that messages do not reset it.
    last_sent: Instant,
    timer: Pin<Box<Sleep>>,
    closing: Closing,
}

impl IdleState {
    fn begin(heartbeat: Duration, closing: Option<CancellationToken>) -> Self {
        Self {
            last_sent: Instant::now(),
            timer: Box::pin(tokio::time::sleep(heartbeat)),
            closing: Closing::new(closing),
        }
    }

    /// Whether a heartbeat is due. Restarts the timer if it is.
    fn is_heartbeat_due(&mut self, heartbeat: Duration, context: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(context).is_ready() {
            let due = self.last_sent + heartbeat;
            let now = Instant::now();
            if due <= now {
                self.timer.as_mut().reset(now + heartbeat);
                self.last_sent = now;
                return true;
            }
            self.timer.as_mut().reset(due);
        }
        false
    }
}

impl<M> EventStream<M> {
    /// The events of `watch`, with a heartbeat after this long without a message.
    pub(super) fn new(
        watch: Watch,
        heartbeat: Duration,
        closing: Option<CancellationToken>,
        boot_id: Arc<str>,
    ) -> Self {
        Self {
            watch,
            first: None,
            read: Vec::new().into_iter(),
            heartbeat,
            closing,
            idle: None,
            boot_id,
            done: false,
            cancel_on_disconnect: None,
        }
    }

    /// Sends this message before any other.
    pub(super) fn with_first(mut self, first: M) -> Self {
        self.first = Some(first);
        self
    }

    /// Cancels the job if the stream is dropped before its last event.
    pub(super) fn cancelling_on_disconnect(mut self, engine: Engine) -> Self {
        self.cancel_on_disconnect = Some(engine);
        self
    }

    fn fail(&mut self, error: &Error) -> Poll<Option<Result<M, Status>>> {
        self.done = true;
        Poll::Ready(Some(Err(to_status(error, &self.boot_id))))
    }
}

impl<M: From<Message> + Unpin> Stream for EventStream<M> {
    type Item = Result<M, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if this.done {
            return Poll::Ready(None);
        }
        if this.read.as_slice().is_empty() {
            match this.watch.poll_next(context) {
                Poll::Ready(Ok(items)) if items.is_empty() => {
                    this.done = true;
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(items)) => this.read = items.into_iter(),
                Poll::Ready(Err(error)) => return this.fail(&error),
                Poll::Pending => {
                    let begin = || IdleState::begin(this.heartbeat, this.closing.take());
                    let idle = this.idle.get_or_insert_with(begin);
                    if idle.closing.has_begun(context) {
                        return this.fail(&connection_closing());
                    }
                    if idle.is_heartbeat_due(this.heartbeat, context) {
                        let sequence = this.watch.sequence();
                        return Poll::Ready(Some(Ok(Message::Heartbeat(v1::Heartbeat { sequence }).into())));
                    }
                    return Poll::Pending;
                }
            }
        }
        if let Some(idle) = &mut this.idle {
            idle.last_sent = Instant::now();
        }
        Poll::Ready(this.read.next().map(|item| {
            let message = match item {
                WatchItem::Event(event) => Message::Event(render::event(&event)),
                WatchItem::Gap { first, last } => Message::Gap(v1::Gap { first, last }),
            };
            Ok(message.into())
        }))
    }
}

impl<M> Drop for EventStream<M> {
    fn drop(&mut self) {
        if let Some(engine) = self.cancel_on_disconnect.take().filter(|_| !self.done) {
            cancel_job(engine, self.watch.job_id());
        }
    }
}

fn cancel_job(engine: Engine, id: JobId) {
    let cancel = async move {
        // An error means that the job has ended or was removed.
        let _ = engine.cancel(id, "the caller of Run disconnected", DISCONNECT_GRACE).await;
    };
    // Without a runtime the process is exiting.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(cancel);
    }
}

pub(super) fn connection_closing() -> Error {
    let kind = ErrorKind::ConnectionClosing { retry_after: RESUME_AFTER };
    Error::new(kind, "the connection is being closed: resume on a new one with the last sequence")
}
