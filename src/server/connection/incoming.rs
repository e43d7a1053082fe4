//! The body of a request as its service reads it: what is not a whole message yet is counted, and has a deadline.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::super::budget::{ConnectionBudget, Held, Holder, Kind, Waiting};
use crate::error::{Error, ErrorKind};
use crate::proto::status::to_status;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Bytes before each gRPC message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// Most bytes of a message that counts with its stream alone: as many as the first frame of most peers has.
const SMALL_BYTES: usize = 16 * 1024;
/// How long a request waits for others to give bytes back before it is refused.
const ADMISSION_TIME_MAX: Duration = Duration::from_secs(5);
/// When a request that was refused for want of bytes may be sent again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A request body.
pub(in crate::server) struct IncomingBody<B> {
    inner: B,
    budget: Arc<ConnectionBudget>,
    /// Longest time for all of it, from when it is waited for; none for streams of messages.
    time_max: Option<Duration>,
    deadline: Option<Pin<Box<Sleep>>>,
    message: Message,
    /// Since a message was too large to count with its stream.
    large: Option<Box<Large>>,
}

/// How far the message is that comes in.
#[derive(Debug, Default)]
struct Message {
    prefix: [u8; PREFIX_BYTES],
    /// Bytes of the prefix that are there.
    prefix_filled: usize,
    /// Bytes of the message that are missing.
    missing: usize,
    /// Bytes of the message, and of it that are there.
    filled: usize,
}

struct Large {
    holder: Arc<Holder>,
    held: Option<Held>,
    waiting: Waiting,
}

impl<B> IncomingBody<B> {
    pub(super) fn new(inner: B, budget: Arc<ConnectionBudget>, time_max: Option<Duration>) -> Self {
        Self { inner, budget, time_max, deadline: None, message: Message::default(), large: None }
    }

    /// Waits until the rest of a large message may come in, and counts all of it.
    fn poll_allowed(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        if self.message.filled <= SMALL_BYTES {
            return Poll::Ready(Ok(()));
        }
        let budget = &self.budget;
        let large = self.large.get_or_insert_with(|| {
            let holder = budget.register(Kind::Request);
            Box::new(Large { holder, held: None, waiting: Waiting::default() })
        });
        large.holder.watch(context.waker());
        if large.holder.is_condemned() {
            return Poll::Ready(Err(stalled()));
        }
        if large.held.is_none() {
            if budget.poll_admission(&mut large.waiting, context).is_pending() {
                return match large.waiting.elapsed() < ADMISSION_TIME_MAX {
                    true => Poll::Pending,
                    false => Poll::Ready(Err(exhausted())),
                };
            }
            large.holder.progress(context.waker());
            let bytes = (self.message.filled + self.message.missing).min(budget.bytes_max());
            large.held = Some(large.holder.hold(bytes));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let Some(time_max) = self.time_max else { return Poll::Pending };
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(time_max)));
        deadline.as_mut().poll(context).map(|()| {
            Status::deadline_exceeded(format!(
                "the request was not whole after {time_max:?}, the time that a body may take: send it faster"
            ))
        })
    }

    fn count(&mut self, data: &Bytes, context: &Context<'_>) {
        let is_whole = self.message.take(data);
        if let Some(large) = &mut self.large {
            large.holder.progress(context.waker());
            if is_whole {
                large.held = None;
            }
        }
    }
}

impl Message {
    /// Counts what came in; true if a message became whole with it.
    fn take(&mut self, mut data: &[u8]) -> bool {
        let mut is_whole = false;
        while !data.is_empty() {
            if self.missing == 0 {
                let count = data.len().min(PREFIX_BYTES - self.prefix_filled);
                self.prefix[self.prefix_filled..][..count].copy_from_slice(&data[..count]);
                self.prefix_filled += count;
                data = &data[count..];
                if self.prefix_filled < PREFIX_BYTES {
                    break;
                }
                let [_, length @ ..] = self.prefix;
                self.missing = u32::from_be_bytes(length) as usize;
                (self.prefix_filled, self.filled) = (0, 0);
            }
            let count = data.len().min(self.missing);
            self.missing -= count;
            self.filled += count;
            data = &data[count..];
            if self.missing == 0 {
                (self.filled, is_whole) = (0, true);
            }
        }
        is_whole
    }
}

fn stalled() -> Status {
    refusal("the request was not whole and did not go on, while others wait for the bytes that it held")
}

fn exhausted() -> Status {
    refusal("unfinished requests and unread answers hold all bytes that connections may hold")
}

fn refusal(what: &str) -> Status {
    let kind = ErrorKind::ResourceExhausted {
        reason: "CONNECTION_BYTES",
        subject: "connections".to_owned(),
        retry_after: RETRY_AFTER,
    };
    let message =
        format!("{what}: try again, or raise connection_bytes_max or connections_bytes_max of the server");
    to_status(&Error::new(kind, message), "")
}

/// The answer to a request that cannot be taken on because streams alone use up all bytes.
pub(super) fn no_more_streams() -> Status {
    refusal("open calls use up all bytes that connections may hold")
}

impl<B> Body for IncomingBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.message.missing > 0 {
            match this.poll_allowed(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(status)) => return Poll::Ready(Some(Err(status.into()))),
                Poll::Pending => return this.poll_deadline(context).map(|status| Some(Err(status.into()))),
            }
        }
        match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.count(data, context);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(other) => Poll::Ready(other.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => this.poll_deadline(context).map(|status| Some(Err(status.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        self.holder.leave();
    }
}
