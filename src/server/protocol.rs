//! Separates gRPC from other HTTP requests by their content type, and refuses a request in its protocol.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::Either;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response};
use http_body::Body as HttpBody;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use crate::api::http as http_api;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type HttpFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Prefix of the content types of gRPC and gRPC-Web.
const GRPC: &[u8] = b"application/grpc";

/// Whether a request with these headers is one of gRPC or gRPC-Web.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    content_type.get(..GRPC.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(GRPC))
}

/// The response of a layer that refuses a request with these headers, in the protocol of the request.
pub(super) fn refusal(status: Status, headers: &HeaderMap) -> Response<Body> {
    if !is_grpc(headers) {
        return http_api::refusal(status);
    }
    let mut response = status.into_http();
    // A gRPC-Web client reads the status of a response of its own type.
    if let Some(content_type) = headers.get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    response
}

/// A service that passes gRPC requests to one service and all others to a router. Without a router, all are gRPC.
#[derive(Debug, Clone)]
pub(super) struct ProtocolService<S> {
    grpc: S,
    http: Option<axum::Router>,
}

impl<S> ProtocolService<S> {
    pub(super) fn new(grpc: S, http: Option<axum::Router>) -> Self {
        Self { grpc, http }
    }
}

impl<S, B> Service<Request<B>> for ProtocolService<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, HttpFuture>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.grpc.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match &mut self.http {
            Some(http) if !is_grpc(request.headers()) => {
                let response =
                    Service::<Request<axum::body::Body>>::call(http, request.map(axum::body::Body::new));
                Either::Right(Box::pin(async move { Ok(response.await?.map(Body::new)) }))
            }
            _ => Either::Left(self.grpc.call(request)),
        }
    }
}
