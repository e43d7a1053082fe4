//! The span of OpenTelemetry around each request: a layer of the server.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use futures_util::future::Either;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use super::protocol::is_grpc;
use crate::api::grpc::code_name;
use crate::api::request_span::RequestSpan;
use crate::client::Spans;
use crate::client::spans::fail;

/// The calls that have a span. Health checks and reflection have none.
const GRPC_PREFIX: &str = "/jobstream.v1.";
const HTTP_PREFIX: &str = "/v1/";

type SpanFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Makes a span of each request that is sampled. The context of the span is that of the jobs that the request submits, unless the
/// caller sent one.
#[derive(Debug, Clone)]
pub(super) struct SpanService<S> {
    spans: Option<Spans>,
    inner: S,
}

impl<S> SpanService<S> {
    pub(super) fn new(spans: Option<Spans>, inner: S) -> Self {
        Self { spans, inner }
    }
}

impl<S, B> Service<Request<B>> for SpanService<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, SpanFuture>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(span) = self.spans.as_ref().and_then(|spans| span_of(spans, &request)) else {
            return Either::Left(self.inner.call(request));
        };
        request.extensions_mut().insert(span.clone());
        let call = self.inner.call(request);
        Either::Right(Box::pin(async move {
            let response = call.await?;
            Ok(match span.start(None) {
                Some(span) => end_with_response(OpenSpan(Some(span)), response),
                None => response,
            })
        }))
    }
}

/// The span of a request. `None` if such requests have no spans.
fn span_of<B>(spans: &Spans, request: &Request<B>) -> Option<RequestSpan> {
    let path = request.uri().path();
    let is_grpc = is_grpc(request.headers());
    if !path.starts_with(if is_grpc { GRPC_PREFIX } else { HTTP_PREFIX }) {
        return None;
    }
    let (name, attributes) = match is_grpc {
        true => {
            let method = path[1..].to_owned();
            let system = KeyValue::new("rpc.system.name", "grpc");
            (method.clone(), vec![system, KeyValue::new("rpc.method", method)])
        }
        // It is renamed once its route is known.
        false => {
            let method = request.method().as_str().to_owned();
            (format!("HTTP {method}"), vec![KeyValue::new("http.request.method", method)])
        }
    };
    Some(RequestSpan::new(spans.clone(), name, attributes, request.extensions().get().cloned()))
}

/// The span of a request. It ends with the response, or when it is dropped.
struct OpenSpan(Option<Context>);

impl OpenSpan {
    fn end_with(&mut self, headers: &HeaderMap) {
        let Some(span) = self.0.take() else { return };
        if let Some(status) = Status::from_header_map(headers) {
            let code = code_name(status.code());
            span.span().set_attribute(KeyValue::new("rpc.response.status_code", code));
            if is_of_server(status.code()) {
                fail(&span, code, status.message());
            }
        }
        span.span().end();
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if let Some(span) = self.0.take() {
            span.span().end();
        }
    }
}

/// Whether an error of this code is a failure of the server, by the conventions of OpenTelemetry.
fn is_of_server(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    matches!(code, Unknown | DeadlineExceeded | Unimplemented | Internal | Unavailable | DataLoss)
}

/// The response. The span ends with its headers if they have the status, else with its body.
fn end_with_response(mut open_span: OpenSpan, response: Response<Body>) -> Response<Body> {
    if let Some(span) = &open_span.0
        && !is_grpc(response.headers())
    {
        let status = response.status();
        span.span().set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if status.is_server_error() {
            fail(span, status.as_str(), status.canonical_reason().unwrap_or_default());
        }
    }
    if response.headers().contains_key(Status::GRPC_STATUS) {
        open_span.end_with(response.headers());
        return response;
    }
    response.map(|body| Body::new(SpanBody { body, open_span }))
}

/// A body that ends its span with its trailers, or when it is dropped.
struct SpanBody {
    body: Body,
    open_span: OpenSpan,
}

impl HttpBody for SpanBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.open_span.end_with(trailers);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
