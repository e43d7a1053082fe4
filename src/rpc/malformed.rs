//! Requests that are no message: tonic refuses them before a service sees them, and here they get a reason like every
//! other error.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::error::{Error, ErrorKind, Violation};
use crate::proto::status::to_status;

/// Gives tonic's own refusals of a request a reason.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameRefusals {
    /// Largest message the services read.
    pub(super) message_bytes_max: usize,
}

/// A service whose every refusal has a reason.
#[derive(Debug, Clone)]
pub(crate) struct Named<S> {
    inner: S,
    message_bytes_max: usize,
}

impl<S> Layer<S> for NameRefusals {
    type Service = Named<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Named { inner, message_bytes_max: self.message_bytes_max }
    }
}

impl<S> Service<Request<Body>> for Named<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = NamedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        NamedFuture { call: self.inner.call(request), message_bytes_max: self.message_bytes_max }
    }
}

/// The answer of a named service.
#[derive(Debug)]
pub(crate) struct NamedFuture<F> {
    call: F,
    message_bytes_max: usize,
}

impl<F> Future for NamedFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let limit = self.message_bytes_max;
        Pin::new(&mut self.call).poll(context).map_ok(|response| named_response(response, limit))
    }
}

/// The response, with a reason if it is a refusal that has none. Answers that begin well pass untouched.
fn named_response(response: Response<Body>, limit: usize) -> Response<Body> {
    // Those that have a reason are by far the most, and reading a status costs more than refusing a job does.
    if response.headers().contains_key(Status::GRPC_STATUS_DETAILS) {
        return response;
    }
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => named(status, limit).into_http(),
        _ => response,
    }
}

/// The status, with a reason if it is tonic's refusal of a request. Our own errors always have details.
pub(super) fn named(status: Status, limit: usize) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    let error = match status.code() {
        Code::Internal => malformed(status.message()),
        // Above the limit as it came, or once decompressed.
        Code::OutOfRange | Code::ResourceExhausted => too_large(status.message(), limit),
        _ => return status,
    };
    to_status(&error, "")
}

fn malformed(what: &str) -> Error {
    let description = format!("the request is not a well-formed message: {what}");
    let violation = Violation { field: String::new(), description: description.clone() };
    Error::new(ErrorKind::InvalidField(vec![violation]), description)
}

fn too_large(what: &str, limit: usize) -> Error {
    // tonic tells the size in its text only; a decompressed message has none, as reading stops at the limit.
    let size = what.split(' ').find_map(|word| word.parse::<usize>().ok());
    let size = size.unwrap_or_default().max(limit + 1);
    let message = format!(
        "the request has {size} bytes or more, the limit is {limit}: send fewer jobs at once, or keep the content \
         elsewhere and send where to find it"
    );
    Error::new(ErrorKind::PayloadTooLarge { field: String::new(), size, limit }, message)
}
