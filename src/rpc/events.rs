//! The event streams of WatchResult and Run: a watch with heartbeats, ended with an error unless the end was sent.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

use crate::engine::{Engine, Watch};
use crate::error::{Error, ErrorKind};
use crate::job::{JobId, WatchItem};
use crate::proto::status::to_status;
use crate::proto::v1::{run_response, watch_result_response};
use crate::proto::{render, v1};

/// A closing connection's streams can be resumed at once, on a new one.
const RESUME_AFTER: Duration = Duration::ZERO;
/// What a handler gets to stop when the caller of its Run went away.
const DISCONNECT_GRACE: Duration = Duration::from_secs(10);

/// What an event stream follows, and when it says something of its own.
pub(super) struct Follow {
    pub(super) watch: Watch,
    pub(super) heartbeat: Duration,
    pub(super) closing: Option<CancellationToken>,
    pub(super) boot_id: Arc<str>,
}

/// A message of an event stream.
pub(crate) trait Message: Unpin {
    fn event(event: v1::JobEvent) -> Self;
    fn gap(gap: v1::Gap) -> Self;
    fn heartbeat(heartbeat: v1::Heartbeat) -> Self;
}

impl Message for v1::WatchResultResponse {
    fn event(event: v1::JobEvent) -> Self {
        Self { message: Some(watch_result_response::Message::Event(event)) }
    }

    fn gap(gap: v1::Gap) -> Self {
        Self { message: Some(watch_result_response::Message::Gap(gap)) }
    }

    fn heartbeat(heartbeat: v1::Heartbeat) -> Self {
        Self { message: Some(watch_result_response::Message::Heartbeat(heartbeat)) }
    }
}

impl Message for v1::RunResponse {
    fn event(event: v1::JobEvent) -> Self {
        Self { message: Some(run_response::Message::Event(event)) }
    }

    fn gap(gap: v1::Gap) -> Self {
        Self { message: Some(run_response::Message::Gap(gap)) }
    }

    fn heartbeat(heartbeat: v1::Heartbeat) -> Self {
        Self { message: Some(run_response::Message::Heartbeat(heartbeat)) }
    }
}

/// The events of one job as messages.
pub(crate) struct EventStream<M> {
    watch: Watch,
    first: Option<M>,
    read: std::vec::IntoIter<WatchItem>,
    heartbeat: Duration,
    closing: Option<CancellationToken>,
    /// From when it had nothing to send for the first time: most runs end before.
    silence: Option<Silence>,
    boot_id: Arc<str>,
    /// The last message or the error was sent.
    done: bool,
    cancel_when_cut: Option<Engine>,
}

/// What a stream waits for beside events.
struct Silence {
    /// When the last message was sent. The timer is only moved when it fires, so that messages cost it nothing.
    last_sent: Instant,
    timer: Pin<Box<Sleep>>,
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Silence {
    fn begin(heartbeat: Duration, closing: Option<CancellationToken>) -> Self {
        Self {
            last_sent: Instant::now(),
            timer: Box::pin(tokio::time::sleep(heartbeat)),
            closing: closing.map(|closing| Box::pin(closing.cancelled_owned())),
        }
    }

    fn is_closing(&mut self, context: &mut Context<'_>) -> bool {
        self.closing.as_mut().is_some_and(|closing| closing.as_mut().poll(context).is_ready())
    }

    /// Whether nothing was sent for so long.
    fn is_over(&mut self, heartbeat: Duration, context: &mut Context<'_>) -> bool {
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

impl<M: Message> EventStream<M> {
    pub(super) fn new(follow: Follow) -> Self {
        let Follow { watch, heartbeat, closing, boot_id } = follow;
        Self {
            watch,
            first: None,
            read: Vec::new().into_iter(),
            heartbeat,
            closing,
            silence: None,
            boot_id,
            done: false,
            cancel_when_cut: None,
        }
    }

    /// Sends this message before any other.
    pub(super) fn beginning_with(mut self, first: M) -> Self {
        self.first = Some(first);
        self
    }

    /// Cancels the job if the stream is dropped before its end.
    pub(super) fn cancelling_when_cut(mut self, engine: Engine) -> Self {
        self.cancel_when_cut = Some(engine);
        self
    }

    fn fail(&mut self, error: &Error) -> Poll<Option<Result<M, Status>>> {
        self.done = true;
        Poll::Ready(Some(Err(to_status(error, &self.boot_id))))
    }
}

impl<M: Message> Stream for EventStream<M> {
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
                    let begin = || Silence::begin(this.heartbeat, this.closing.take());
                    let silence = this.silence.get_or_insert_with(begin);
                    if silence.is_closing(context) {
                        return this.fail(&connection_closing());
                    }
                    if silence.is_over(this.heartbeat, context) {
                        let sequence = this.watch.sequence();
                        return Poll::Ready(Some(Ok(M::heartbeat(v1::Heartbeat { sequence }))));
                    }
                    return Poll::Pending;
                }
            }
        }
        if let Some(silence) = &mut this.silence {
            silence.last_sent = Instant::now();
        }
        Poll::Ready(this.read.next().map(|item| {
            Ok(match item {
                WatchItem::Event(event) => M::event(render::event(&event)),
                WatchItem::Gap { from, to } => M::gap(v1::Gap { from, to }),
            })
        }))
    }
}

impl<M> Drop for EventStream<M> {
    fn drop(&mut self) {
        if let Some(engine) = self.cancel_when_cut.take().filter(|_| !self.done) {
            cancel_cut(engine, self.watch.job_id());
        }
    }
}

fn cancel_cut(engine: Engine, id: JobId) {
    let cancel = async move {
        // An error means that the job has ended or is gone: then there is nothing to cancel.
        let _ = engine.cancel(id, "the caller of Run disconnected", DISCONNECT_GRACE).await;
    };
    // Without a runtime the whole process is ending.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(cancel);
    }
}

pub(super) fn connection_closing() -> Error {
    let kind = ErrorKind::ConnectionClosing { retry_after: RESUME_AFTER };
    Error::new(kind, "the connection is being closed: resume on a new one with the last sequence")
}
