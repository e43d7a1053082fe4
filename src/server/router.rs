//! Routes calls: JobService directly, all other services through the router of tonic.
//!
//! The router of tonic allocates for path parameters, which gRPC does not have. That costs a tenth of a unary call.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures_util::future::Either;
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
    /// The router's future is boxed, because it is large and most calls are of JobService.
    type Future =
        Either<<Jobs as Service<Request<Body>>>::Future, Box<<Routes as Service<Request<Body>>>::Future>>;

    /// All services are always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match &mut self.jobs {
            Some(jobs) if request.uri().path().starts_with(JOBS_PATH) => Either::Left(jobs.call(request)),
            _ => Either::Right(Box::new(self.others.call(request))),
        }
    }
}
