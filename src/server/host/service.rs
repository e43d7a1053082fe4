//! The service that refuses requests for foreign hosts and from foreign web pages, before any other layer.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::future::{Either, ready};
use http_body_util::Full;
use tonic::body::Body;
use tower::Service;

use super::super::serve::CallFuture;
use super::HostPolicy;
use crate::api::grpc::ConnectionInfo;
use crate::api::http;
use crate::error::{Error, ErrorKind};
use crate::proto::status::to_status;

/// Prefix of the content types of gRPC and of gRPC-Web.
const GRPC: &[u8] = b"application/grpc";
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
                if let Some(suppressed) = policy.warning.pass() {
                    tracing::warn!(peer = ?connection.map(|connection| connection.peer), suppressed, "refused: {error}");
                }
                Either::Right(ready(Ok(refusal(&error, request.headers().get(CONTENT_TYPE)))))
            }
        }
    }
}

/// The refusal of a request with this content type: a status for gRPC clients, plain text for gRPC-Web, a problem for others.
fn refusal(error: &Error, content_type: Option<&HeaderValue>) -> Response<Body> {
    let http_status = match error.kind() {
        ErrorKind::OriginNotAllowed { .. } => StatusCode::FORBIDDEN,
        _ => StatusCode::MISDIRECTED_REQUEST,
    };
    let status = to_status(error, "");
    let content_type = content_type.map(HeaderValue::as_bytes).unwrap_or_default();
    if !content_type.starts_with(GRPC) {
        return http::refusal_with(status, http_status);
    }
    let mut response = status.into_http();
    *response.status_mut() = http_status;
    if content_type.starts_with(GRPC_WEB) {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, text);
        *response.body_mut() = Body::new(Full::new(Bytes::from(format!("{error}\n"))));
    }
    response
}
