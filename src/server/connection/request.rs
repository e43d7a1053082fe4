//! The service of one connection: it counts each request as open and applies the connection's memory budget.
//!
//! A request is open until the last byte of its response is sent, so that a shutdown can report what it aborted.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Context, Poll};

use ::http::header::TRANSFER_ENCODING;
use ::http::{HeaderMap, Request, Response};
use futures_util::future::{Either, ready};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::super::budget::BudgetWait;
use super::super::protocol::{self, is_grpc};
use super::super::serve::CallFuture;
use super::Shared;
use super::call_shape::{CallShape, RequestShape, ResponseShape};
use super::request_body::{Framing, RequestBody, too_many_streams};
use super::response_body::ResponseBody;

const CHUNKED: &[u8] = b"chunked";

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
    S: Service<Request<RequestBody<B>>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = OpenCall<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.stack.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let open = Some(OpenRequest::start(self.shared.clone()));
        let budget = &self.shared.budget;
        let is_grpc = is_grpc(request.headers());
        let refusal = match request.headers() {
            headers if has_unknown_coding(headers) => Some(unknown_coding()),
            _ => budget.is_exhausted().then(too_many_streams),
        };
        let (call, shape) = if let Some(refusal) = refusal {
            let response = protocol::refusal(refusal, request.headers());
            (Either::Right(ready(Ok(response))), ResponseShape::Small)
        } else {
            request.extensions_mut().insert(self.shared.info());
            let path = request.uri().path();
            let shape = if is_grpc { CallShape::of(path) } else { CallShape::of_http(path) };
            let time_max = (shape.request == RequestShape::Unary).then_some(self.shared.request_timeout);
            let framing = if is_grpc { Framing::grpc() } else { Framing::whole(&request) };
            let request = request.map(|inner| RequestBody::new(inner, budget.clone(), time_max, framing));
            (Either::Left(self.stack.call(request)), shape.response)
        };
        OpenCall { call, open, shape, wait: BudgetWait::default() }
    }
}

/// Whether an HTTP/1.1 request has a transfer coding besides one `chunked`. The server would not decode its body.
fn has_unknown_coding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let first = codings.next().map_or(CHUNKED, |coding| coding.as_bytes());
    !first.eq_ignore_ascii_case(CHUNKED) || codings.next().is_some()
}

fn unknown_coding() -> Status {
    Status::unimplemented(
        "the transfer coding of the body is not known: send transfer-encoding: chunked once, or a length",
    )
}

/// A guard: its request is counted as open until it is dropped.
#[derive(Debug)]
pub(super) struct OpenRequest {
    pub(super) shared: Arc<Shared>,
}

impl OpenRequest {
    fn start(shared: Arc<Shared>) -> Self {
        shared.mark_preface_received();
        shared.activity.begin_request();
        Self { shared }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.shared.activity.end_request();
    }
}

/// The future of a call until its response headers are ready.
#[derive(Debug)]
pub(super) struct OpenCall<F> {
    call: CallFuture<F>,
    /// Moves into the response body.
    open: Option<OpenRequest>,
    shape: ResponseShape,
    wait: BudgetWait,
}

impl<F> Future for OpenCall<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let (ResponseShape::Large, Some(open)) = (this.shape, &this.open)
            && !open.shared.budget.has_capacity()
        {
            // The wait is before the call: a response takes memory once it is built, before it is encoded.
            task::ready!(open.shared.budget.poll_capacity(&mut this.wait, cx));
        }
        let response = task::ready!(Pin::new(&mut this.call).poll(cx))?;
        let open = this.open.take().expect("a finished future is not polled again");
        let is_stream = this.shape == ResponseShape::Stream;
        Poll::Ready(Ok(response.map(|inner| ResponseBody::new(inner, open, is_stream))))
    }
}
