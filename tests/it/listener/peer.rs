//! Clients: a conforming one on `h2`, and raw sockets.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::probe::MESSAGE;
use super::server::soon;

pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
const END_STREAM_AND_HEADERS: u8 = 5;

pub(super) const NO_ERROR: u32 = 0;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// An HTTP/2 connection and the task that drives it.
pub(super) struct Client {
    requests: SendRequest<Bytes>,
    pub(super) connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a listening socket");
        let (requests, connection) = h2::client::handshake(stream).await.expect("a handshake");
        Self { requests, connection: tokio::spawn(connection) }
    }

    /// Calls a method with an empty message.
    pub(super) async fn call(&mut self, path: &str) -> Response<RecvStream> {
        self.call_with(path, &[]).await
    }

    pub(super) async fn call_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Response<RecvStream> {
        let response = self.start(path, headers).await;
        soon("response headers", response).await.expect("a response")
    }

    pub(super) async fn start(&mut self, path: &str, headers: &[(&str, &str)]) -> h2::client::ResponseFuture {
        self.start_as(Method::POST, path, headers).await
    }

    /// Starts a call with this method of HTTP.
    pub(super) async fn start_as(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> h2::client::ResponseFuture {
        let mut request = Request::builder().method(method).uri(format!("http://localhost{path}"));
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/grpc");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        self.requests =
            soon("capacity for a stream", self.requests.clone().ready()).await.expect("a connection");
        let (response, mut body) = self.requests.send_request(request, false).expect("a stream");
        body.send_data(Bytes::from_static(&MESSAGE), true).expect("an open stream");
        response
    }
}

/// Reads the bytes and trailers of a response. A trailers-only response has them in its headers.
pub(super) async fn finish(response: Response<RecvStream>) -> (Vec<u8>, HeaderMap) {
    let (parts, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = soon("response data", body.data()).await {
        let data = data.expect("response data");
        body.flow_control().release_capacity(data.len()).expect("held capacity");
        bytes.extend_from_slice(&data);
    }
    let trailers = soon("trailers", body.trailers()).await.expect("trailers");
    (bytes, trailers.unwrap_or(parts.headers))
}

/// Returns the value of `grpc-status`.
pub(super) fn status(headers: &HeaderMap) -> &str {
    headers.get("grpc-status").and_then(|value| value.to_str().ok()).unwrap_or("none")
}

/// Encodes an HTTP/2 frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Encodes a request on a stream, with additional header fields in HPACK.
pub(super) fn request(stream: u32, path: &str, more: &[u8]) -> Vec<u8> {
    let length = [u8::try_from(path.len()).expect("a short path")];
    // Static table: method POST, scheme http, then a literal path and authority.
    let block = [&[0x83, 0x86, 0x04], &length[..], path.as_bytes(), b"\x01\x09localhost", more].concat();
    frame(HEADERS, END_STREAM_AND_HEADERS, stream, &block)
}

/// A received frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// Returns the reason of a GOAWAY or RST_STREAM, its last four-byte field.
    pub(super) fn reason(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// A raw socket on which the test sends HTTP/2 frames.
pub(super) struct Raw {
    pub(super) stream: TcpStream,
}

impl Raw {
    /// Connects without sending bytes.
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.expect("a listening socket") }
    }

    /// Connects and sends the preface and settings.
    pub(super) async fn handshake(address: SocketAddr) -> Self {
        let mut raw = Self::connect(address).await;
        // A full server closes at once. Later reads detect it.
        let _ = raw.stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])[..]].concat()).await;
        raw
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        soon("capacity to send", self.stream.write_all(bytes)).await.expect("an open connection");
    }

    /// Sends one byte at a time. Returns whether the server closed the connection.
    pub(super) async fn trickle(&mut self, bytes: &[u8], pause: Duration) -> bool {
        for byte in bytes {
            let mut reply = [0; 64];
            let closed = tokio::select! {
                read = self.stream.read(&mut reply) => !matches!(read, Ok(1..)),
                () = tokio::time::sleep(pause) => false,
            };
            if closed || self.stream.write_all(&[*byte]).await.is_err() {
                return true;
            }
        }
        false
    }

    /// Returns the next frame, or `None` once the connection is closed or reset.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        soon("a frame", self.stream.read_exact(&mut head)).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("a length")];
        soon("a frame", self.stream.read_exact(&mut payload)).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], stream, payload })
    }

    /// Returns the next frame of this type.
    pub(super) async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Returns all frames until the connection is closed.
    pub(super) async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    /// Reads text until the connection is closed.
    pub(super) async fn read_text(&mut self) -> String {
        let mut bytes = Vec::new();
        // A reset after the response is fine too.
        let _ = soon("the connection closes", self.stream.read_to_end(&mut bytes)).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
