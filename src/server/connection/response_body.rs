//! The body of a response: large frames are sent in slices, and their bytes are reserved until the peer has read them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::body::Body;

use super::super::budget::{BudgetWait, BudgetedStream, Kind};
use super::request::OpenRequest;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Frames below this size are not counted; the bytes of an open stream include them.
const COUNTED_BYTES_MIN: usize = 1024;
/// A larger frame is sent in slices of this size, so that each slice the peer reads is recorded as progress.
const SLICE_BYTES: usize = 64 * 1024;

/// A response body. Its request is open until the body is dropped.
#[derive(Debug)]
pub(super) struct ResponseBody {
    inner: Body,
    open: OpenRequest,
    /// Whether each frame waits for budget.
    is_stream: bool,
    /// Set with the first frame that is counted or has to wait.
    large: Option<Box<LargeFrames>>,
}

/// The state of a body with large frames.
#[derive(Debug, Default)]
struct LargeFrames {
    stream: Option<Arc<BudgetedStream>>,
    /// The part of a large frame that is not sent yet.
    rest: Bytes,
    wait: BudgetWait,
}

impl ResponseBody {
    pub(super) fn new(inner: Body, open: OpenRequest, is_stream: bool) -> Self {
        Self { inner, open, is_stream, large: None }
    }

    /// The next slice of a large frame. Pending while the peer has to read earlier slices first.
    fn poll_large(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let Some(large) = &mut self.large else { return Poll::Ready(None) };
        let Some(stream) = &large.stream else { return Poll::Ready(None) };
        stream.set_waker(context.waker());
        if stream.is_aborted() {
            // The rest of the response is dropped now, so that its producer stops.
            (self.inner, self.large) = (Body::empty(), None);
            return Poll::Ready(Some(Err(h2::Reason::ENHANCE_YOUR_CALM.into())));
        }
        if !large.rest.is_empty() {
            stream.record_progress(context.waker());
            let slice = large.rest.split_to(large.rest.len().min(SLICE_BYTES));
            return Poll::Ready(Some(Ok(slice)));
        }
        // Only an open stream can be aborted, so the stream stays open while memory is short.
        match stream.has_reservations() && self.open.shared.budget.is_above_high_water() {
            true => Poll::Pending,
            false => Poll::Ready(None),
        }
    }

    /// Waits for budget before the next frame of a stream.
    fn poll_budget(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let budget = &self.open.shared.budget;
        if !self.is_stream || budget.has_capacity() {
            return Poll::Ready(());
        }
        let large = self.large.get_or_insert_default();
        budget.poll_capacity(&mut large.wait, context)
    }

    /// Reserves the bytes of a frame, and returns its first slice.
    fn reserve(&mut self, data: Bytes, context: &Context<'_>) -> Bytes {
        if data.len() < COUNTED_BYTES_MIN {
            return data;
        }
        let large = self.large.get_or_insert_default();
        let stream = large.stream.get_or_insert_with(|| self.open.shared.budget.register(Kind::Response));
        stream.record_progress(context.waker());
        large.rest = stream.reserve_for(data);
        large.rest.split_to(large.rest.len().min(SLICE_BYTES))
    }
}

impl Drop for LargeFrames {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            stream.unregister();
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(slice) = ready!(this.poll_large(cx)) {
            return Poll::Ready(Some(slice.map(Frame::data).map_err(Into::into)));
        }
        ready!(this.poll_budget(cx));
        let frame = match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other.map(|frame| frame.map_err(Into::into))),
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(data) => Frame::data(this.reserve(data, cx)),
            Err(frame) => frame,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.large.as_ref().is_none_or(|large| large.rest.is_empty()) && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.large.is_some() { SizeHint::new() } else { self.inner.size_hint() }
    }
}
