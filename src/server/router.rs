//! Routes calls: JobService directly, all other services through the router of tonic.
//!
//! The router of tonic allocates for path parameters, which gRPC does not have. That costs a tenth of a unary call.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use crate::api::grpc::Jobs;

/// Path prefix of the calls of JobService.
const JOBS_PATH: &str = "/jobstream.v1.JobService/";

/// The router of all services of a server.
#[derive(Clone)]
pub(super) struct Router {
    jobs: Option<Jobs>,
    others: Routes,
}

impl Router {
    /// A router of JobService and of other services.
    pub(super) fn new(jobs: Jobs, others: Routes) -> Self {
        Self { jobs: Some(jobs), others: others.prepare() }
    }
}

impl From<Routes> for Router {
    fn from(routes: Routes) -> Self {
        Self { jobs: None, others: routes.prepare() }
    }
}

impl Service<Request<Body>> for Router {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RouterFuture;

    /// All services are always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> RouterFuture {
        match &mut self.jobs {
            Some(jobs) if request.uri().path().starts_with(JOBS_PATH) => {
                RouterFuture::Job(jobs.call(request))
            }
            _ => RouterFuture::Other(Box::new(self.others.call(request))),
        }
    }
}

/// The future of one call.
pub(super) enum RouterFuture {
    Job(<Jobs as Service<Request<Body>>>::Future),
    /// Boxed, because it is large and most calls are of the other kind.
    Other(Box<<Routes as Service<Request<Body>>>::Future>),
}

impl Future for RouterFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Job(call) => Pin::new(call).poll(context),
            Self::Other(call) => Pin::new(call).poll(context),
        }
    }
}
