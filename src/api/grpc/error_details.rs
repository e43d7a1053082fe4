//! Adds error details to the errors of tonic.
//!
//! tonic refuses malformed and too large requests before a service method runs. This layer gives those statuses the same
//! details as other errors.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::error::{Error, ErrorKind, Violation};
use crate::proto::status::to_status;

/// The layer that adds the details.
#[derive(Debug, Clone, Copy)]
pub(super) struct ErrorDetailsLayer {
    /// Largest message that the services read, in bytes.
    pub(super) message_bytes_max: usize,
}

/// A service whose errors all have details.
#[derive(Debug, Clone)]
pub(crate) struct ErrorDetailsService<S> {
    inner: S,
    message_bytes_max: usize,
}

impl<S> Layer<S> for ErrorDetailsLayer {
    type Service = ErrorDetailsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ErrorDetailsService { inner, message_bytes_max: self.message_bytes_max }
    }
}

impl<S> Service<Request<Body>> for ErrorDetailsService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ErrorDetailsFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ErrorDetailsFuture { call: self.inner.call(request), message_bytes_max: self.message_bytes_max }
    }
}

/// The future of an [`ErrorDetailsService`].
#[derive(Debug)]
pub(crate) struct ErrorDetailsFuture<F> {
    call: F,
    message_bytes_max: usize,
}

impl<F> Future for ErrorDetailsFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let limit = self.message_bytes_max;
        Pin::new(&mut self.call).poll(context).map_ok(|response| add_details_to_response(response, limit))
    }
}

/// Adds details to an error response without them. Other responses are returned unchanged.
fn add_details_to_response(response: Response<Body>, limit: usize) -> Response<Body> {
    // Most errors have details already, and this check is cheaper than parsing the status.
    if response.headers().contains_key(Status::GRPC_STATUS_DETAILS) {
        return response;
    }
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => add_details(status, limit).into_http(),
        _ => response,
    }
}

/// Adds details to a status of tonic. Statuses of the services have details and are returned unchanged.
pub(super) fn add_details(status: Status, limit: usize) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    let error = match status.code() {
        Code::Internal => malformed(status.message()),
        // The message exceeds the limit as received, or after decompression.
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
    // tonic has the size only in its text, and no size for a compressed message, whose decompression stops at the limit.
    let size = what.split(' ').find_map(|word| word.parse::<usize>().ok());
    let size = size.unwrap_or_default().max(limit + 1);
    let message = format!(
        "the request has {size} bytes or more, the limit is {limit}: send fewer jobs at once, or store the content \
         elsewhere and send a reference"
    );
    Error::new(ErrorKind::PayloadTooLarge { field: String::new(), size, limit }, message)
}
