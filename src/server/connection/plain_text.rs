//! The answer to HTTP without TLS on a port of TLS: an error that names the address with `https://`.
//!
//! It is part of the handshake: its bytes, its time and its steps count as those of one.

use std::convert::Infallible;
use std::pin::pin;

use futures_util::future::ready;
use http::header::HOST;
use http::uri::Authority;
use http::{Request, Response};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{self, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tonic::body::Body;

use super::super::limits::ListenerLimits;
use super::super::protocol;
use super::executor::StreamExecutor;
use crate::error::{Error, ErrorKind};
use crate::proto::status::to_status;

/// Read buffer and send buffer of a connection, in bytes. The first also bounds the head of an HTTP/1 request.
const BUFFER_BYTES: usize = 16 << 10;
/// Flow control windows, in bytes. No initial one of HTTP/2 is smaller.
const WINDOW_BYTES: u32 = (1 << 16) - 1;
/// Most open requests of a connection.
const STREAMS_MAX: u32 = 16;
/// The first bytes of HTTP/2. No method of HTTP/1 begins with them.
const HTTP2: &[u8; 3] = b"PRI";

/// Waits for the first byte. Returns whether it begins HTTP: a record of TLS begins with no letter.
pub(super) async fn is_http(stream: &TcpStream) -> bool {
    let mut first = [0];
    matches!(stream.peek(&mut first).await, Ok(1)) && first[0].is_ascii_uppercase()
}

/// Refuses the first request and those beside it, then ends the connection.
pub(super) async fn refuse(stream: &mut TcpStream, limits: &ListenerLimits) {
    let mut first = [0; HTTP2.len()];
    if stream.read_exact(&mut first).await.is_err() {
        return;
    }
    let (reader, writer) = stream.split();
    let io = TokioIo::new(io::join(first.chain(reader), writer));
    let answered = Notify::new();
    let service = service_fn(|request| {
        answered.notify_one();
        ready(Ok::<_, Infallible>(refusal(&request)))
    });
    // An error means that the connection broke, or that the peer sent no HTTP.
    if first != *HTTP2 {
        let _ = http1::Builder::new()
            .keep_alive(false)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(io, service)
            .await;
        return;
    }
    let mut builder = http2::Builder::new(StreamExecutor);
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(limits.max_header_list_bytes)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_send_buf_size(BUFFER_BYTES);
    let mut connection = pin!(builder.serve_connection(io, service));
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = answered.notified() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// The error for a request: a gRPC status, or a problem with HTTP status 400.
fn refusal<B>(request: &Request<B>) -> Response<Body> {
    let host = request.uri().authority().cloned().or_else(|| {
        let host = request.headers().get(HOST)?;
        Authority::try_from(host.as_bytes()).ok()
    });
    let address = host
        .map_or_else(|| "an address that begins with https://".to_owned(), |host| format!("https://{host}"));
    let error = Error::new(ErrorKind::TlsRequired, format!("this port serves TLS only: use {address}"));
    protocol::refusal(to_status(&error, ""), request.headers())
}
