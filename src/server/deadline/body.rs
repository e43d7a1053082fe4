//! A response body that ends at its call's deadline with gRPC trailers.
//!
//! The wait for the response itself is the future's, in the parent.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::Timer;
use crate::server::trailers::trailers;

/// What is left of a timed response.
#[derive(Debug)]
pub(super) struct DeadlineBody {
    inner: Body,
    /// Taken when the time passed: then nothing follows the trailers.
    timer: Option<Timer>,
}

impl DeadlineBody {
    /// Bounds the body by the timer; one that holds nothing more is returned as it is.
    pub(super) fn wrap(inner: Body, timer: Timer) -> Body {
        if inner.is_end_stream() { inner } else { Body::new(Self { inner, timer: Some(timer) }) }
    }

    fn expire(&mut self, timer: Timer) -> Frame<Bytes> {
        // The rest of the answer is dropped now, so that its producer stops with it.
        self.inner = Body::empty();
        trailers(&timer.status())
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
            // A stream that never pauses must end as well.
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
        // At any time the rest may be replaced by trailers.
        SizeHint::new()
    }
}
