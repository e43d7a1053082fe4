//! The service that refuses requests for foreign hosts and from foreign web pages, before any other layer.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::future::{Either, ready};
use http_body_util::Full;
use tonic::body::Body;
use tower::Service;

use super::super::protocol::is_grpc;
use super::super::serve::CallFuture;
use super::super::throttle::log_refusal;
use super::HostPolicy;
use crate::api::grpc::ConnectionInfo;
use crate::api::http;
use crate::error::{Error, ErrorKind};
use crate::proto::status::to_status;

/// Prefix of the content types of gRPC-Web.
const GRPC_WEB: &[u8] = b"application/grpc-web";

/// A service that receives only requests that the policy allows.
#[derive(Debug, Clone)]
pub(in crate::server) struct HostService<S> {
    policy: Arc<HostPolicy>,
    inner: S,
}

impl<S> HostService<S> {
    pub(in crate::server) fn new(policy: Arc<HostPolicy>, inner: S) -> Self {
        Self { policy, inner }
    }
}

impl<S, B> Service<Request<B>> for HostService<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = CallFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let policy = &self.policy;
        let connection = request.extensions().get::<ConnectionInfo>();
        let local = connection.map_or(policy.own_addresses[0], |connection| connection.local.ip());
        match policy.check(request.uri(), request.headers(), local) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(error) => {
                log_refusal(&policy.warning, &error, &request);
                Either::Right(ready(Ok(refusal(&error, request.headers()))))
            }
        }
    }
}

/// The refusal of a request with these headers: a status for gRPC clients, plain text for gRPC-Web, a problem for others.
fn refusal(error: &Error, headers: &HeaderMap) -> Response<Body> {
    let http_status = match error.kind() {
        ErrorKind::OriginNotAllowed { .. } => StatusCode::FORBIDDEN,
        _ => StatusCode::MISDIRECTED_REQUEST,
    };
    let status = to_status(error, "");
    if !is_grpc(headers) {
        return http::refusal_with(status, http_status);
    }
    let mut response = status.into_http();
    *response.status_mut() = http_status;
    if headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(GRPC_WEB)) {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, text);
        *response.body_mut() = Body::new(Full::new(Bytes::from(format!("{error}\n"))));
    }
    response
}
