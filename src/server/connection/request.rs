//! What each request of a connection passes through: it learns its connection and counts as open.
//!
//! The count ends with the last byte of the response, so that shutdown can tell what it cut.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::Shared;

/// The service of one connection.
#[derive(Debug, Clone)]
pub(super) struct RequestService<S> {
    stack: S,
    shared: Arc<Shared>,
}

impl<S> RequestService<S> {
    pub(super) fn new(stack: S, shared: Arc<Shared>) -> Self {
        Self { stack, shared }
    }
}

impl<S, B> Service<Request<B>> for RequestService<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<OpenBody>;
    type Error = Infallible;
    type Future = OpenCall<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.stack.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let open = OpenRequest::start(self.shared.clone());
        request.extensions_mut().insert(self.shared.info.clone());
        OpenCall { call: self.stack.call(request), open: Some(open) }
    }
}

/// Counts as an open request until dropped.
#[derive(Debug)]
struct OpenRequest {
    shared: Arc<Shared>,
}

impl OpenRequest {
    fn start(shared: Arc<Shared>) -> Self {
        shared.mark_heard();
        shared.activity.begin_request();
        Self { shared }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.shared.activity.end_request();
    }
}

/// A request whose response headers are still to come.
#[derive(Debug)]
pub(super) struct OpenCall<F> {
    call: F,
    /// Moves on into the body with the response.
    open: Option<OpenRequest>,
}

impl<F> Future for OpenCall<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<OpenBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.call).poll(cx).map_ok(|response| {
            let open = self.open.take();
            response.map(|inner| OpenBody { inner, _open: open })
        })
    }
}

/// A response body whose request counts as open until it is sent.
#[derive(Debug)]
pub(super) struct OpenBody {
    inner: Body,
    _open: Option<OpenRequest>,
}

impl http_body::Body for OpenBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
