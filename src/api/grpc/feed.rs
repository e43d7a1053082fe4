//! The streams of WatchJobs: a subscription to the feed of all jobs, with heartbeats.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio_stream::Stream;
use tonic::Status;

use super::early_end::StreamLimits;
use super::idle::IdleState;
use super::quota_use::OpenPermit;
use crate::engine::{FeedItem, Subscription};
use crate::error::Error;
use crate::job::FeedCursor;
use crate::proto::status::to_status;
use crate::proto::v1::watch_jobs_response::Message;
use crate::proto::{render, v1};

/// The changes of a feed as messages. The first message is a heartbeat; the stream ends only with an error.
pub(crate) struct FeedStream {
    subscription: Subscription,
    read: std::vec::IntoIter<FeedItem>,
    heartbeat: Duration,
    limits: StreamLimits,
    /// Set when the stream has nothing to send for the first time.
    idle: Option<IdleState>,
    boot_id: Arc<str>,
    has_begun: bool,
    has_failed: bool,
    /// Counts the watch against the quota of its principal.
    _permit: Option<OpenPermit>,
}

impl FeedStream {
    /// The changes of `subscription`, with a heartbeat after this long without a message.
    pub(super) fn new(
        subscription: Subscription,
        heartbeat: Duration,
        limits: StreamLimits,
        boot_id: Arc<str>,
        permit: Option<OpenPermit>,
    ) -> Self {
        Self {
            subscription,
            read: Vec::new().into_iter(),
            heartbeat,
            limits,
            idle: None,
            boot_id,
            has_begun: false,
            has_failed: false,
            _permit: permit,
        }
    }

    fn fail(&mut self, error: &Error) -> Poll<Option<Result<v1::WatchJobsResponse, Status>>> {
        self.has_failed = true;
        Poll::Ready(Some(Err(to_status(error, &self.boot_id))))
    }

    /// Reads the next items, or returns a heartbeat that is due.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<v1::WatchJobsResponse>, Error>> {
        if let Poll::Ready(read) = self.subscription.poll_next(context) {
            self.read = read?.into_iter();
            return Poll::Ready(Ok(None));
        }
        let idle = self.idle.get_or_insert_with(|| IdleState::begin(self.heartbeat, self.limits.clone()));
        if let Some(error) = idle.poll_error(context) {
            return Poll::Ready(Err(error));
        }
        match idle.is_heartbeat_due(self.heartbeat, context) {
            true => Poll::Ready(Ok(Some(heartbeat(self.subscription.cursor())))),
            false => Poll::Pending,
        }
    }
}

impl Stream for FeedStream {
    type Item = Result<v1::WatchJobsResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.has_failed {
            return Poll::Ready(None);
        }
        if let Some(error) = this.limits.expired() {
            return this.fail(&error);
        }
        if !std::mem::replace(&mut this.has_begun, true) {
            return Poll::Ready(Some(Ok(heartbeat(this.subscription.cursor()))));
        }
        loop {
            if let Some(item) = this.read.next() {
                if let Some(idle) = &mut this.idle {
                    idle.sent();
                }
                return Poll::Ready(Some(Ok(message(item))));
            }
            match std::task::ready!(this.poll_read(context)) {
                Ok(None) => {}
                Ok(Some(heartbeat)) => return Poll::Ready(Some(Ok(heartbeat))),
                Err(error) => return this.fail(&error),
            }
        }
    }
}

fn heartbeat(cursor: FeedCursor) -> v1::WatchJobsResponse {
    response(cursor, Message::Heartbeat(v1::FeedHeartbeat {}))
}

fn message(item: FeedItem) -> v1::WatchJobsResponse {
    match item {
        FeedItem::Change { cursor, change } => response(cursor, Message::Change(render::job_change(&change))),
        FeedItem::Gap { cursor, missed } => response(cursor, Message::Gap(v1::FeedGap { missed })),
    }
}

fn response(cursor: FeedCursor, message: Message) -> v1::WatchJobsResponse {
    v1::WatchJobsResponse { cursor: cursor.to_string(), message: Some(message) }
}
