//! The baseline: a bare gRPC echo, written by hand so that it is in no API and no reflection.
//!
//! It does what generated code does and nothing else.

use std::convert::Infallible;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body as HttpBody;
use tokio_stream::{Iter, Pending};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, StdError};
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// Path of the unary echo.
pub(super) const UNARY_PATH: &str = "/jobstream.bench.v1.Echo/Unary";
/// Path of the stream that answers as often as Run does, and ends.
pub(super) const STREAM_PATH: &str = "/jobstream.bench.v1.Echo/Stream";
/// Path of the stream that stays open and never sends anything.
pub(super) const PENDING_PATH: &str = "/jobstream.bench.v1.Echo/Pending";

/// The request and the response.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Echo {
    /// Any bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) body: Bytes,
}

/// The echo service.
#[derive(Clone, Copy)]
pub(super) struct EchoService;

impl NamedService for EchoService {
    const NAME: &'static str = "jobstream.bench.v1.Echo";
}

impl<B> tower::Service<http::Request<B>> for EchoService
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        match request.uri().path() {
            UNARY_PATH => Box::pin(async move {
                let mut grpc = Grpc::new(ProstCodec::<Echo, Echo>::default());
                Ok(grpc.unary(Unary, request).await)
            }),
            STREAM_PATH => Box::pin(async move {
                let mut grpc = Grpc::new(ProstCodec::<Echo, Echo>::default());
                Ok(grpc.server_streaming(Repeated, request).await)
            }),
            PENDING_PATH => Box::pin(async move {
                let mut grpc = Grpc::new(ProstCodec::<Echo, Echo>::default());
                Ok(grpc.server_streaming(Silent, request).await)
            }),
            _ => Box::pin(async { Ok(Status::unimplemented("only the echo is here").into_http()) }),
        }
    }
}

struct Unary;

impl UnaryService<Echo> for Unary {
    type Response = Echo;
    type Future = BoxFuture<Response<Echo>, Status>;

    fn call(&mut self, request: Request<Echo>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(request.into_inner())) })
    }
}

/// Messages of a Run: that it was submitted, and that it was queued, began and ended.
const RUN_MESSAGES: usize = 4;

struct Repeated;

impl ServerStreamingService<Echo> for Repeated {
    type Response = Echo;
    type ResponseStream = Iter<std::array::IntoIter<Result<Echo, Status>, RUN_MESSAGES>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Echo>) -> Self::Future {
        Box::pin(async {
            let echo = request.into_inner();
            Ok(Response::new(tokio_stream::iter(std::array::from_fn(|_| Ok(echo.clone())))))
        })
    }
}

struct Silent;

impl ServerStreamingService<Echo> for Silent {
    type Response = Echo;
    type ResponseStream = Pending<Result<Echo, Status>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, _: Request<Echo>) -> Self::Future {
        Box::pin(async { Ok(Response::new(tokio_stream::pending())) })
    }
}
