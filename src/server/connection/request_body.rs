//! The body of a request: the bytes of an incomplete message are reserved, and the body of a unary call has a deadline.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::super::budget::{BudgetWait, BudgetedStream, ConnectionBudget, Kind, Reservation};
use crate::error::{Error, ErrorKind};
use crate::proto::status::to_status;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Prefix of each gRPC message, in bytes: the compression flag and the length.
const PREFIX_BYTES: usize = 5;
/// A message up to this size is not counted, in bytes: the first DATA frame of most peers has no more.
const SMALL_BYTES: usize = 16 * 1024;
/// Bytes that are reserved for a body of unknown length.
const UNKNOWN_BYTES: usize = 4 << 20;
/// Longest wait of a request for budget; then it is refused.
const BUDGET_WAIT_MAX: Duration = Duration::from_secs(5);
/// Delay until a refused request may be retried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The body of one request.
pub(in crate::server) struct RequestBody<B> {
    inner: B,
    budget: Arc<ConnectionBudget>,
    /// Longest time for the complete body, from the first wait for it; `None` for a stream of messages.
    time_max: Option<Duration>,
    deadline: Option<Pin<Box<Sleep>>>,
    framing: Framing,
    /// Set with the first message above [`SMALL_BYTES`].
    large: Option<Box<LargeMessage>>,
}

/// How many bytes of the current message have arrived.
#[derive(Debug)]
pub(super) struct Framing {
    /// Whether the body is one message without a prefix.
    is_whole: bool,
    prefix: [u8; PREFIX_BYTES],
    /// Bytes of the prefix that have arrived.
    prefix_filled: usize,
    /// Bytes of the message that have not arrived yet.
    missing: usize,
    /// Bytes of the message that have arrived.
    filled: usize,
}

/// The state of a body with messages above [`SMALL_BYTES`].
struct LargeMessage {
    stream: Arc<BudgetedStream>,
    reservation: Option<Reservation>,
    wait: BudgetWait,
}

impl<B> RequestBody<B> {
    pub(super) fn new(
        inner: B,
        budget: Arc<ConnectionBudget>,
        time_max: Option<Duration>,
        framing: Framing,
    ) -> Self {
        Self { inner, budget, time_max, deadline: None, framing, large: None }
    }

    /// Waits for budget before the rest of a large message is read, and reserves the bytes of the message.
    fn poll_budget_for_rest(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Status>> {
        if self.framing.filled <= SMALL_BYTES {
            return Poll::Ready(Ok(()));
        }
        let budget = &self.budget;
        let large = self.large.get_or_insert_with(|| {
            let stream = budget.register(Kind::Request);
            Box::new(LargeMessage { stream, reservation: None, wait: BudgetWait::default() })
        });
        large.stream.set_waker(context.waker());
        if large.stream.is_aborted() {
            return Poll::Ready(Err(stalled()));
        }
        if large.reservation.is_none() {
            if budget.poll_capacity(&mut large.wait, context).is_pending() {
                return match large.wait.elapsed() < BUDGET_WAIT_MAX {
                    true => Poll::Pending,
                    false => Poll::Ready(Err(exhausted())),
                };
            }
            large.stream.record_progress(context.waker());
            let bytes = (self.framing.filled + self.framing.missing).min(budget.bytes_max());
            large.reservation = Some(large.stream.reserve(bytes));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        let Some(time_max) = self.time_max else { return Poll::Pending };
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(time_max)));
        deadline.as_mut().poll(context).map(|()| {
            Status::deadline_exceeded(format!(
                "the request body was incomplete after {time_max:?}, the limit for a request body: send it faster"
            ))
        })
    }

    fn count(&mut self, data: &Bytes, context: &Context<'_>) {
        let is_complete = self.framing.take(data);
        if let Some(large) = &mut self.large {
            large.stream.record_progress(context.waker());
            if is_complete {
                large.reservation = None;
            }
        }
    }
}

impl Framing {
    /// Messages with a prefix, as in gRPC.
    pub(super) fn grpc() -> Self {
        Self { is_whole: false, prefix: [0; PREFIX_BYTES], prefix_filled: 0, missing: 0, filled: 0 }
    }

    /// A body that is one message. Without a length header, it may have [`UNKNOWN_BYTES`].
    pub(super) fn whole<B>(request: &Request<B>) -> Self {
        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        Self { is_whole: true, missing: length.unwrap_or(UNKNOWN_BYTES), ..Self::grpc() }
    }

    /// Counts received bytes. Returns true if they complete a message.
    fn take(&mut self, mut data: &[u8]) -> bool {
        if self.is_whole {
            self.filled += data.len();
            self.missing = self.missing.saturating_sub(data.len());
            return self.missing == 0;
        }
        let mut is_complete = false;
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
                (self.filled, is_complete) = (0, true);
            }
        }
        is_complete
    }
}

fn stalled() -> Status {
    refusal("the request was incomplete and made no progress, and other streams wait for its buffer space")
}

fn exhausted() -> Status {
    refusal("incomplete requests and unread responses use all bytes of the connection budget")
}

fn refusal(what: &str) -> Status {
    let kind = ErrorKind::ResourceExhausted {
        reason: "CONNECTION_BYTES",
        subject: "connections".to_owned(),
        retry_after: RETRY_AFTER,
    };
    let message =
        format!("{what}: retry later, or raise connection_bytes_max or connections_bytes_max of the server");
    to_status(&Error::new(kind, message), "")
}

/// The refusal of a call when open streams alone use the whole budget.
pub(super) fn too_many_streams() -> Status {
    refusal("open calls use all bytes of the connection budget")
}

impl<B> Body for RequestBody<B>
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
        if this.framing.missing > 0 {
            match this.poll_budget_for_rest(context) {
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

impl Drop for LargeMessage {
    fn drop(&mut self) {
        self.stream.unregister();
    }
}
