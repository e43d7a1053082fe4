//! Which service a call goes to: JobService at once, everything else through tonic's router.
//!
//! tonic's router allocates and copies for parameters in paths, which gRPC has none of: a tenth of a unary call.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use super::durable::Gate;
use super::relay::Relay;
use crate::engine::Engine;
use crate::rpc::Jobs;

/// The start of the path of every call of JobService.
const JOBS_PATH: &str = "/jobstream.v1.JobService/";

/// All services of a server.
#[derive(Clone)]
pub(super) struct Router {
    jobs: Option<Jobs>,
    others: Routes,
    /// What answers wait at for the log, if there is one.
    relay: Option<Relay>,
}

impl Router {
    /// JobService, and others.
    pub(super) fn new(jobs: Jobs, others: Routes, engine: &Engine) -> Self {
        let relay = engine.is_durable().then(|| Relay::new(engine.clone()));
        Self { jobs: Some(jobs), others: others.prepare(), relay }
    }

    /// The same for another edge.
    pub(super) fn for_edge(&self) -> Self {
        let relay = self.relay.as_ref().map(|relay| Relay::new(relay.engine().clone()));
        Self { relay, ..self.clone() }
    }
}

impl From<Routes> for Router {
    fn from(routes: Routes) -> Self {
        Self { jobs: None, others: routes.prepare(), relay: None }
    }
}

impl Service<Request<Body>> for Router {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = RouterFuture;

    /// Both are always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> RouterFuture {
        let (gate, request) = match &self.relay {
            Some(relay) => Gate::of(relay, request),
            None => (None, request),
        };
        let call = match &mut self.jobs {
            Some(jobs) if request.uri().path().starts_with(JOBS_PATH) => Call::Job(jobs.call(request)),
            _ => Call::Other(Box::new(self.others.call(request))),
        };
        RouterFuture { call, gate: gate.map(Box::new) }
    }
}

/// The answer to one call.
pub(super) struct RouterFuture {
    call: Call,
    gate: Option<Box<Gate>>,
}

enum Call {
    Job(<Jobs as Service<Request<Body>>>::Future),
    /// Boxed, because it is large and the calls that count are of the other kind.
    Other(Box<<Routes as Service<Request<Body>>>::Future>),
}

impl Future for RouterFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { call, gate } = &mut *self;
        match gate {
            Some(gate) => gate.poll(Pin::new(call), context),
            None => Pin::new(call).poll(context),
        }
    }
}

impl Future for Call {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Job(call) => Pin::new(call).poll(context),
            Self::Other(call) => Pin::new(call).poll(context),
        }
    }
}
