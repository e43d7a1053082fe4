//! The service that enforces the deadline of a call, which the caller sets in `grpc-timeout`.
//!
//! A passed deadline ends the call, not its job. Timeouts of the server itself are elsewhere.

mod body;
mod timeout;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{Either, ready};
use http::{Request, Response};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::serve::CallFuture;
use crate::api::grpc::Deadline;
use body::DeadlineBody;

/// A service whose calls end with DEADLINE_EXCEEDED at their deadline, before or after the response headers are sent.
#[derive(Debug, Clone)]
pub(super) struct DeadlineService<S> {
    inner: S,
}

impl<S> DeadlineService<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, B> Service<Request<B>> for DeadlineService<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = CallFuture<DeadlineFuture<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let timer = match timeout::parse(request.headers()) {
            Ok(timeout) => timeout.map(Timer::start),
            Err(status) => return Either::Right(ready(Ok(status.into_http()))),
        };
        if let Some(timer) = &timer {
            request.extensions_mut().insert(Deadline(timer.deadline()));
        }
        Either::Left(DeadlineFuture { call: self.inner.call(request), timer })
    }
}

/// The future of one call. It is ready at the deadline at the latest.
#[derive(Debug)]
pub(super) struct DeadlineFuture<F> {
    call: F,
    /// `None` without a deadline. Moves into the response body.
    timer: Option<Timer>,
}

impl<F> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(Ok(response)) = Pin::new(&mut self.call).poll(cx) {
            return Poll::Ready(Ok(match self.timer.take() {
                Some(timer) => response.map(|body| DeadlineBody::wrap(body, timer)),
                None => response,
            }));
        }
        match &mut self.timer {
            Some(timer) => timer.poll_expired(cx).map(|()| Ok(timer.status().into_http())),
            None => Poll::Pending,
        }
    }
}

/// The deadline timer of one call.
#[derive(Debug)]
struct Timer {
    /// Boxed, so that it can move from the future to the body while it runs.
    sleep: Pin<Box<Sleep>>,
    timeout: Duration,
}

impl Timer {
    fn start(timeout: Duration) -> Self {
        Self { sleep: Box::pin(sleep(timeout)), timeout }
    }

    fn deadline(&self) -> Instant {
        self.sleep.deadline()
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(cx)
    }

    /// Whether the deadline has passed. Does not register a timer.
    fn is_expired(&self) -> bool {
        Instant::now() >= self.deadline()
    }

    fn status(&self) -> Status {
        Status::deadline_exceeded(format!(
            "the call's timeout of {:?} passed; its job, if any, continues: retry with a longer timeout",
            self.timeout
        ))
    }
}
