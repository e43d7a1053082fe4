//! A service whose methods behave like their names, to test the server from inside.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use jobstream::server::{ConnectionInfo, Deadline};
use tokio::sync::Semaphore;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

/// An empty gRPC message.
pub(super) const MESSAGE: [u8; 5] = [0; 5];

/// The time for which `Block` blocks its thread.
const BLOCK_TIME: Duration = Duration::from_secs(1);

/// Has a permit once `Block` has started.
pub(super) static BLOCKED: Semaphore = Semaphore::const_new(0);

#[derive(Clone)]
pub(super) struct Probe;

impl NamedService for Probe {
    const NAME: &'static str = "test.Probe";
}

impl Service<Request<Body>> for Probe {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(answer(request).await) })
    }
}

async fn answer(request: Request<Body>) -> Response<Body> {
    match request.uri().path().rsplit('/').next() {
        Some("Echo") => streaming(tokio_stream::iter([message(), ok()])),
        Some("Hang") => std::future::pending().await,
        Some("Drip") => streaming(tokio_stream::once(message()).chain(tokio_stream::pending())),
        Some("Flood") => streaming(Endless),
        Some("Obey") => {
            let connection = request.extensions().get::<ConnectionInfo>().expect("a connection");
            connection.closing.cancelled().await;
            Status::unavailable(format!("{} is about to be cut", connection.peer)).into_http()
        }
        Some("Deadline") => {
            let deadline = request.extensions().get::<Deadline>();
            named("x-deadline", &deadline.is_some().to_string())
        }
        Some("Thread") => {
            let spawned = tokio::spawn(async { thread_name() }).await.expect("no panic");
            let mut response = named("x-thread", &thread_name());
            response.headers_mut().insert("x-spawned", spawned.parse().expect("a header value"));
            response
        }
        Some("Block") => {
            BLOCKED.add_permits(1);
            block_the_thread();
            streaming(tokio_stream::iter([ok()]))
        }
        _ => Status::unimplemented("").into_http(),
    }
}

#[allow(clippy::disallowed_methods, reason = "holding the thread is what the test is about")]
fn block_the_thread() {
    std::thread::sleep(BLOCK_TIME);
}

fn thread_name() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

fn named(name: &'static str, value: &str) -> Response<Body> {
    let mut response = streaming(tokio_stream::iter([ok()]));
    response.headers_mut().insert(name, value.parse().expect("a header value"));
    response
}

type BodyFrame = Result<Frame<Bytes>, Status>;

fn streaming(frames: impl Stream<Item = BodyFrame> + Send + 'static) -> Response<Body> {
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
    response
}

fn message() -> BodyFrame {
    Ok(Frame::data(Bytes::from_static(&MESSAGE)))
}

/// Large messages without a pause. `tokio_stream::iter` would yield sometimes.
struct Endless;

impl Stream for Endless {
    type Item = BodyFrame;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<BodyFrame>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 5 * 8_192])))))
    }
}

fn ok() -> BodyFrame {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    Ok(Frame::trailers(trailers))
}
