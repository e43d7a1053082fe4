//! The event streams of WatchResult and Run: a watch with heartbeats.
//!
//! A stream ends with OK only after the last event of its job.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio_stream::Stream;
use tonic::Status;

use super::early_end::StreamLimits;
use super::idle::IdleState;
use super::quota_use::OpenPermit;
use crate::core::CancelRequest;
use crate::engine::{Engine, Watch};
use crate::error::Error;
use crate::job::{JobId, WatchItem};
use crate::proto::status::to_status;
use crate::proto::v1::run_response;
use crate::proto::v1::watch_result_response::Message;
use crate::proto::{render, v1};

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
    limits: StreamLimits,
    /// Set when the stream has nothing to send for the first time. Most runs end before that.
    idle: Option<IdleState>,
    boot_id: Arc<str>,
    /// Whether the last message or an error was sent.
    done: bool,
    cancel_on_disconnect: Option<(Engine, Option<Arc<str>>)>,
    /// Counts the watch against the quota of its principal.
    _permit: Option<OpenPermit>,
}

impl<M> EventStream<M> {
    /// The events of `watch`, with a heartbeat after this long without a message.
    pub(super) fn new(watch: Watch, heartbeat: Duration, limits: StreamLimits, boot_id: Arc<str>) -> Self {
        Self {
            watch,
            first: None,
            read: Vec::new().into_iter(),
            heartbeat,
            limits,
            idle: None,
            boot_id,
            done: false,
            cancel_on_disconnect: None,
            _permit: None,
        }
    }

    /// Sends this message before any other.
    pub(super) fn with_first(mut self, first: M) -> Self {
        self.first = Some(first);
        self
    }

    /// Holds the permit of the watch until the stream ends.
    pub(super) fn counted_by(mut self, permit: Option<OpenPermit>) -> Self {
        self._permit = permit;
        self
    }

    /// Cancels the job as this principal if the stream is dropped before its last event.
    pub(super) fn cancelling_on_disconnect(mut self, engine: Engine, principal: Option<Arc<str>>) -> Self {
        self.cancel_on_disconnect = Some((engine, principal));
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
        if let Some(error) = this.limits.expired() {
            return this.fail(&error);
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
                    let begin = || IdleState::begin(this.heartbeat, this.limits.clone());
                    let idle = this.idle.get_or_insert_with(begin);
                    if let Some(error) = idle.poll_error(context) {
                        return this.fail(&error);
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
            idle.sent();
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
        if let Some((engine, principal)) = self.cancel_on_disconnect.take().filter(|_| !self.done) {
            cancel_job(engine, principal, self.watch.job_id());
        }
    }
}

fn cancel_job(engine: Engine, principal: Option<Arc<str>>, id: JobId) {
    let cancel = async move {
        // An error means that the job has ended or was removed.
        let (reason, grace) = ("the caller of Run disconnected", DISCONNECT_GRACE);
        let request = CancelRequest { reason, grace, principal: principal.as_ref() };
        let _ = engine.cancel_as(id, request).await;
    };
    // Without a runtime the process is exiting.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(cancel);
    }
}
