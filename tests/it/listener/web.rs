//! Browsers and plain HTTP clients.

use jobstream::server::ServeOptions;

use super::peer::{Client, Raw, finish, status};
use super::probe::MESSAGE;
use super::server::{TestServer, with_limits};

/// Encodes a gRPC-Web call over HTTP/1.1 with an empty message and `connection: close`.
pub(super) fn post(path: &str, headers: &str) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/grpc-web+proto\r\n\
         content-length: {}\r\n{headers}\r\n",
        MESSAGE.len()
    );
    [head.as_bytes(), &MESSAGE].concat()
}

async fn exchange(server: &TestServer, request: &[u8]) -> String {
    let mut raw = Raw::connect(server.address).await;
    raw.send(request).await;
    raw.read_text().await.to_lowercase()
}

fn for_pages_of(origin: &str) -> ServeOptions {
    let mut options = with_limits(|_| {});
    options.cors_origins = vec![origin.to_owned()];
    options
}

fn preflight(origin: &str) -> Vec<u8> {
    format!(
        "OPTIONS /test.Probe/Echo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\norigin: {origin}\r\n\
         access-control-request-method: POST\r\naccess-control-request-headers: x-grpc-web,grpc-timeout\r\n\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn web_call_works_over_both_versions() {
    let server = TestServer::start(with_limits(|_| {}));
    let answer = exchange(&server, &post("/test.Probe/Echo", "")).await;
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains("grpc-status:0\r\n"), "{answer}");

    let mut client = Client::connect(server.address).await;
    let headers = [("content-type", "application/grpc-web+proto")];
    let response = client.call_with("/test.Probe/Echo", &headers).await;
    assert_eq!(response.headers()["content-type"], "application/grpc-web+proto");
    let (data, _) = finish(response).await;
    assert!(String::from_utf8_lossy(&data).contains("grpc-status:0\r\n"), "{data:?}");
}

#[tokio::test]
async fn a_web_client_can_read_a_refusal_before_the_services() {
    let server = TestServer::start(with_limits(|_| {}));
    let head = "POST /test.Probe/Echo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-type: application/grpc-web+proto\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    let answer = exchange(&server, head.as_bytes()).await;
    assert!(answer.contains("content-type: application/grpc-web+proto\r\n"), "{answer}");
    assert!(answer.contains("grpc-status: 12\r\n"), "{answer}");
}

#[tokio::test]
async fn plain_get_is_a_client_error() {
    let server = TestServer::start(with_limits(|_| {}));
    let answer = exchange(&server, b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("http/1.1 400"), "{answer}");
}

#[tokio::test]
async fn unknown_method_is_unimplemented() {
    let server = TestServer::start(with_limits(|_| {}));
    let mut client = Client::connect(server.address).await;
    for path in ["/no.Service/Method", "/grpc.health.v1.Health/Cure", "/"] {
        let response = client.call(path).await;
        assert_eq!(status(response.headers()), "12", "{path}");
    }
}

#[tokio::test]
async fn pages_of_a_configured_origin_may_call() {
    let server = TestServer::start(for_pages_of("https://jobs.example"));
    let answer = exchange(&server, &preflight("https://jobs.example")).await;
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: https://jobs.example\r\n"), "{answer}");
    assert!(answer.contains("access-control-allow-methods: get,head,post,delete\r\n"), "{answer}");
    assert!(answer.contains("access-control-allow-headers: x-grpc-web,grpc-timeout\r\n"), "{answer}");

    let answer = exchange(&server, &post("/test.Probe/Echo", "origin: https://jobs.example\r\n")).await;
    let exposed = "access-control-expose-headers: grpc-status,grpc-message,grpc-status-details-bin,etag,location,retry-after,\
                   x-request-id\r\n";
    assert!(answer.contains(exposed), "{answer}");
    assert!(answer.contains("grpc-status:0\r\n"), "{answer}");
}

#[tokio::test]
async fn pages_of_other_origins_may_not_call() {
    let server = TestServer::start(for_pages_of("https://jobs.example"));
    let answer = exchange(&server, &preflight("https://evil.example")).await;
    assert!(!answer.contains("access-control-allow-origin"), "{answer}");

    let server = TestServer::start(with_limits(|_| {}));
    let answer = exchange(&server, &preflight("https://jobs.example")).await;
    assert!(!answer.contains("access-control"), "{answer}");
}
