//! An HTTP server whose answers a test determines.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// A running server. It ends when dropped.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    connections: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Endpoint {
    /// Answers every request with the value of this function.
    pub(crate) async fn new<F, Fut>(answer: F) -> Self
    where
        F: Fn(Request<Bytes>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::on(listener, None, answer)
    }

    pub(crate) fn on<F, Fut>(listener: TcpListener, tls: Option<TlsAcceptor>, answer: F) -> Self
    where
        F: Fn(Request<Bytes>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Response<Body>> + Send + 'static,
    {
        let address = listener.local_addr().expect("a bound socket");
        let (connections, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (accepted, stopped) = (connections.clone(), stop.clone());
        tokio::spawn(stopped.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                let (tls, answer) = (tls.clone(), answer.clone());
                tokio::spawn(stopped.clone().run_until_cancelled_owned(async move {
                    match tls {
                        None => serve(stream, answer).await,
                        // The client refuses the certificate in one test.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, answer).await;
                            }
                        }
                    }
                }));
            }
        }));
        Self { address, scheme, connections, stop }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The number of accepted connections.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve<S, F, Fut>(stream: S, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Bytes>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok::<_, hyper::Error>(answer(Request::from_parts(head, body)).await)
        }
    });
    // A connection that the client closes is an error here.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// A response with this status, content type and body.
pub(crate) fn response(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", content_type);
    response.body(Full::new(body.into()).boxed()).expect("a response")
}

/// A response with this status, without content type and body.
pub(crate) fn empty(status: u16) -> Response<Body> {
    Response::builder().status(status).body(Full::default().boxed()).expect("a response")
}

/// A body of several chunks, whose length is not announced.
pub(crate) fn chunks(chunks: usize, chunk: Bytes) -> Body {
    let frames = std::iter::repeat_n(chunk, chunks).map(|chunk| Ok(Frame::data(chunk)));
    BodyExt::boxed(StreamBody::new(tokio_stream::iter(frames)))
}
