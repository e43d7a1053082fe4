//! Calls whose bytes a test writes itself, on HTTP/2 and on HTTP/1.1.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Status;

use super::wait_for;

/// A gRPC frame around a message.
pub(crate) fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a small message").to_be_bytes();
    [&[flag], &length[..], message].concat()
}

/// What came back, its trailers or else its headers beside the body.
pub(crate) struct RawAnswer {
    pub(crate) http: StatusCode,
    pub(crate) body: Vec<u8>,
    ended_with: HeaderMap,
}

impl RawAnswer {
    /// How the call ended.
    #[track_caller]
    pub(crate) fn status(&self) -> Status {
        Status::from_header_map(&self.ended_with).expect("grpc-status")
    }
}

/// Calls a method with this body, whatever it is, on a connection of its own.
pub(crate) async fn raw_call(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> RawAnswer {
    raw_call_to(address, "localhost", path, headers, body).await
}

/// The same for this host, which may not be the server's.
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
    let mut requests = wait_for("room for a stream", requests.ready()).await.expect("an open connection");
    let (response, mut sender) =
        requests.send_request(request.body(()).expect("a request"), false).expect("a stream");
    // A server that has heard enough may answer before it has read everything.
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

/// Sends a whole HTTP/1.1 request and answers everything up to the end of the connection.
pub(crate) async fn http1(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("a listening socket");
    stream.write_all(request).await.expect("an open connection");
    let mut answer = Vec::new();
    wait_for("the connection closes", stream.read_to_end(&mut answer)).await.expect("an answer");
    answer
}
