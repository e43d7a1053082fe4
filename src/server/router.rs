//! Routes calls: JobService directly, all other services through the router of tonic.
//!
//! The router of tonic allocates for path parameters, which gRPC does not have. That costs a tenth of a unary call.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::{Request, Response};
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use crate::api::grpc::{Call, CallLog, CallMeter, Jobs, add_details_to_response};

/// Path prefix of the calls of JobService.
const JOBS_PATH: &str = "/jobstream.v1.JobService/";

type JobsFuture = <Jobs as Service<Request<Body>>>::Future;
type RoutesFuture = <Routes as Service<Request<Body>>>::Future;

/// What the calls of all services share.
#[derive(Clone)]
struct Shared {
    /// The largest message that the services read, in bytes.
    message_bytes_max: usize,
    call_log: CallLog,
}

/// The router of all services of a server.
#[derive(Clone)]
pub(super) struct Router {
    /// JobService, and what all services of `api` share; `None` for other services.
    jobs: Option<(Jobs, Shared)>,
    others: Routes,
    /// The HTTP/JSON interface, beside gRPC.
    http: Option<axum::Router>,
}

impl Router {
    /// A router of JobService and of other services, which read messages up to `message_bytes_max`.
    pub(super) fn new(jobs: Jobs, others: Routes, call_log: CallLog, message_bytes_max: usize) -> Self {
        Self {
            jobs: Some((jobs, Shared { message_bytes_max, call_log })),
            others: others.prepare(),
            http: None,
        }
    }

    /// Adds the HTTP/JSON interface.
    pub(super) fn with_http(self, http: axum::Router) -> Self {
        Self { http: Some(http), ..self }
    }

    /// What counts the calls, if they are counted.
    pub(super) fn meter(&self) -> Option<CallMeter> {
        self.jobs.as_ref().map(|(_, shared)| shared.call_log.meter().clone())
    }

    /// The HTTP/JSON interface, if there is one.
    pub(super) fn http(&self) -> Option<axum::Router> {
        self.http.clone()
    }
}

impl From<Routes> for Router {
    fn from(routes: Routes) -> Self {
        Self { jobs: None, others: routes.prepare(), http: None }
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
        let shared = self.jobs.as_ref().map(|(_, shared)| (shared.clone(), shared.call_log.begin(&request)));
        let call = match &mut self.jobs {
            Some((jobs, _)) if request.uri().path().starts_with(JOBS_PATH) => {
                Either::Left(jobs.call(request))
            }
            _ => Either::Right(Box::new(self.others.call(request))),
        };
        RouterFuture { call, shared }
    }
}

/// The future of one call. If its response is an error, it has details and is logged.
pub(super) struct RouterFuture {
    /// The future of another service is boxed, because it is large and most calls are of JobService.
    call: Either<JobsFuture, Box<RoutesFuture>>,
    /// `None` for services other than those of `api`.
    shared: Option<(Shared, Call)>,
}

impl Future for RouterFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(Ok(response)) = Pin::new(&mut self.call).poll(context) else { return Poll::Pending };
        Poll::Ready(Ok(match self.shared.take() {
            Some((Shared { message_bytes_max, call_log }, call)) => {
                call_log.observe(call, add_details_to_response(response, message_bytes_max))
            }
            None => response,
        }))
    }
}
