//! The layer that enforces the deadline of a call, which the caller sets in `grpc-timeout`.
//!
//! A passed deadline ends the call, not its job. Timeouts of the server itself are elsewhere.

mod body;
mod timeout;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use body::DeadlineBody;

use crate::api::grpc::Deadline;

/// The deadline used if the requested one overflows the clock.
const FAR_FUTURE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Enforces `grpc-timeout` before and after the response headers are sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeadlineLayer;

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadlineService { inner }
    }
}

/// A service whose calls end with DEADLINE_EXCEEDED at their deadline.
#[derive(Debug, Clone)]
pub struct DeadlineService<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for DeadlineService<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let stage = match timeout::parse(request.headers()) {
            Ok(None) => Stage::Untimed(self.inner.call(request)),
            Ok(Some(timeout)) => {
                let timer = Timer::start(timeout);
                request.extensions_mut().insert(Deadline(timer.deadline()));
                Stage::Timed(self.inner.call(request), Some(timer))
            }
            Err(status) => Stage::Refused(Some(Box::new(status))),
        };
        DeadlineFuture { stage }
    }
}

/// The future of one call. It is ready at the deadline at the latest.
#[derive(Debug)]
pub struct DeadlineFuture<F> {
    stage: Stage<F>,
}

#[derive(Debug)]
enum Stage<F> {
    Untimed(F),
    /// The timer moves into the response body.
    Timed(F, Option<Timer>),
    Refused(Option<Box<Status>>),
}

impl<F> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.stage {
            Stage::Untimed(call) => Pin::new(call).poll(cx),
            Stage::Timed(call, timer) => poll_timed(Pin::new(call), timer, cx).map(Ok),
            Stage::Refused(status) => {
                let status = status.take().expect("a finished future is not polled again");
                Poll::Ready(Ok(status.into_http()))
            }
        }
    }
}

fn poll_timed<F>(call: Pin<&mut F>, timer: &mut Option<Timer>, cx: &mut Context<'_>) -> Poll<Response<Body>>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    if let Poll::Ready(Ok(response)) = call.poll(cx) {
        let timer = timer.take().expect("a finished future is not polled again");
        return Poll::Ready(response.map(|body| DeadlineBody::wrap(body, timer)));
    }
    let timer = timer.as_mut().expect("a finished future is not polled again");
    timer.poll_expired(cx).map(|()| timer.status().into_http())
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
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now + FAR_FUTURE);
        Self { sleep: Box::pin(sleep_until(deadline)), timeout }
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
