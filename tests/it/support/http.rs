//! A client of the HTTP/JSON interface with kept connections.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::wait_for;

/// A client of one server.
pub(crate) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }
}

impl Http {
    /// A client that uses HTTP/1.1, or HTTP/2 with prior knowledge.
    pub(crate) fn new(address: SocketAddr, http2: bool) -> Self {
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
        Self { client, address }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, json: &str) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], json).await
    }

    /// Sends a request and reads the whole response.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        self.send_bytes(method, path, headers, body.into()).await
    }

    /// Like [`Self::send`], with a body of bytes.
    pub(crate) async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let (status, headers, body) = self.open(method, path, headers, body).await;
        let body = wait_for("the body", body.collect()).await.expect("a complete body").to_bytes();
        Answer { status, headers, body }
    }

    /// Sends a request and returns the response once its headers are here.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> (StatusCode, HeaderMap, Incoming) {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.into())).expect("a valid request");
        let response = wait_for("the response", self.client.request(request)).await.expect("a response");
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, body)
    }
}

/// Reads a stream until this text is there, and returns all of it.
pub(crate) async fn read_until(body: &mut Incoming, part: &str) -> String {
    let mut text = String::new();
    while !text.contains(part) {
        let frame = wait_for("the next frame", body.frame()).await.expect("an open stream").expect("a frame");
        text.push_str(&String::from_utf8_lossy(frame.data_ref().map_or(&[], |data| data)));
    }
    text
}
