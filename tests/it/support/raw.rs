//! Raw calls with bytes from the test, on HTTP/2 and HTTP/1.1.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Status;

use super::wait_for;

/// Encodes a gRPC frame.
pub(crate) fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a small message").to_be_bytes();
    [&[flag], &length[..], message].concat()
}

/// A response: its body, and its trailers or else its headers.
pub(crate) struct RawAnswer {
    pub(crate) http: StatusCode,
    pub(crate) body: Vec<u8>,
    ended_with: HeaderMap,
}

impl RawAnswer {
    /// Returns the status of the call.
    #[track_caller]
    pub(crate) fn status(&self) -> Status {
        Status::from_header_map(&self.ended_with).expect("grpc-status")
    }
}

/// Calls a method with these bytes on a new connection.
pub(crate) async fn raw_call(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> RawAnswer {
    raw_call_to(address, "localhost", path, headers, body).await
}

/// Like [`raw_call`], with this host.
pub(crate) async fn raw_call_to(
    address: SocketAddr,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> RawAnswer {
    let stream = TcpStream::connect(address).await.expect("a listening socket");
    let (requests, connection) =
        wait_for("a handshake", h2::client::handshake(stream)).await.expect("HTTP/2");
    let driver = tokio::spawn(connection);
    let mut request =
        Request::post(format!("http://{host}{path}")).header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut requests = wait_for("capacity for a stream", requests.ready()).await.expect("an open connection");
    let (response, mut sender) =
        requests.send_request(request.body(()).expect("a request"), false).expect("a stream");
    // The server may respond before it has read the whole request.
    let _ = sender.send_data(body.into(), true);
    let (parts, mut body) = wait_for("an answer", response).await.expect("a response").into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = wait_for("response data", body.data()).await {
        let data = data.expect("response data");
        body.flow_control().release_capacity(data.len()).expect("held capacity");
        bytes.extend_from_slice(&data);
    }
    let trailers = wait_for("trailers", body.trailers()).await.expect("trailers");
    driver.abort();
    RawAnswer { http: parts.status, body: bytes, ended_with: trailers.unwrap_or(parts.headers) }
}

/// Sends an HTTP/1.1 request. Returns all bytes until the connection closes.
pub(crate) async fn http1(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("a listening socket");
    stream.write_all(request).await.expect("an open connection");
    let mut answer = Vec::new();
    wait_for("the connection closes", stream.read_to_end(&mut answer)).await.expect("an answer");
    answer
}
