//! A response body that ends with gRPC trailers at the deadline of its call.
//!
//! The parent module enforces the deadline before the response headers.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::Timer;

/// The body of a response with a deadline.
#[derive(Debug)]
pub(super) struct DeadlineBody {
    inner: Body,
    /// `None` once the deadline has passed and the trailers are sent.
    timer: Option<Timer>,
}

impl DeadlineBody {
    /// Adds the timer to the body. A body that is already at its end is returned unchanged.
    pub(super) fn wrap(inner: Body, timer: Timer) -> Body {
        if inner.is_end_stream() { inner } else { Body::new(Self { inner, timer: Some(timer) }) }
    }

    fn expire(&mut self, timer: Timer) -> Frame<Bytes> {
        // The rest of the response is dropped now, so that its producer stops.
        self.inner = Body::empty();
        let mut trailers = HeaderMap::new();
        if let Err(error) = timer.status().add_header(&mut trailers) {
            tracing::error!(%error, "could not encode a status as trailers");
        }
        Frame::trailers(trailers)
    }
}

impl http_body::Body for DeadlineBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(mut timer) = self.timer.take() else { return Poll::Ready(None) };
        match Pin::new(&mut self.inner).poll_frame(cx) {
            // A stream that is always ready must end at its deadline too.
            Poll::Ready(Some(Ok(frame))) if frame.is_data() && timer.is_expired() => {
                Poll::Ready(Some(Ok(self.expire(timer))))
            }
            Poll::Pending if timer.poll_expired(cx).is_ready() => Poll::Ready(Some(Ok(self.expire(timer)))),
            other => {
                self.timer = Some(timer);
                other
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.timer.is_none() || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Trailers may replace the rest at any time.
        SizeHint::new()
    }
}
