//! A caller's `grpc-timeout` ends unary calls and streams with DEADLINE_EXCEEDED.

use super::peer::{Client, Raw, finish, status};
use super::probe::MESSAGE;
use super::server::{TestServer, soon, with_limits};
use super::web::post;

#[tokio::test]
async fn unary_call_ends_at_its_deadline() {
    let server = TestServer::start(with_limits(|_| {}));
    let mut client = Client::connect(server.address).await;
    let response = client.call_with("/test.Probe/Hang", &[("grpc-timeout", "50m")]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/grpc");
    assert_eq!(status(response.headers()), "4");
    let message = response.headers()["grpc-message"].to_str().expect("text");
    assert!(message.contains("50ms") && message.contains("continues"), "{message}");
}

#[tokio::test]
async fn stream_ends_at_its_deadline() {
    let server = TestServer::start(with_limits(|_| {}));
    let mut client = Client::connect(server.address).await;
    let response = client.call_with("/test.Probe/Drip", &[("grpc-timeout", "50m")]).await;
    assert_eq!(status(response.headers()), "none");
    let (data, trailers) = finish(response).await;
    assert_eq!(data, MESSAGE);
    assert_eq!(status(&trailers), "4");
}

#[tokio::test]
async fn busy_stream_ends_at_its_deadline() {
    let server = TestServer::start(with_limits(|_| {}));
    let mut client = Client::connect(server.address).await;
    let response = client.call_with("/test.Probe/Flood", &[("grpc-timeout", "50m")]).await;
    let (_, trailers) = soon("the flood ends", finish(response)).await;
    assert_eq!(status(&trailers), "4");
}

#[tokio::test]
async fn response_within_the_deadline_is_unchanged() {
    let server = TestServer::start(with_limits(|_| {}));
    let mut client = Client::connect(server.address).await;
    for headers in [&[][..], &[("grpc-timeout", "10S")][..]] {
        let (data, trailers) = finish(client.call_with("/test.Probe/Echo", headers).await).await;
        assert_eq!((&data[..], status(&trailers)), (&MESSAGE[..], "0"));
        let response = client.call_with("/test.Probe/Deadline", headers).await;
        assert_eq!(response.headers()["x-deadline"], if headers.is_empty() { "false" } else { "true" });
    }
}

#[tokio::test]
async fn malformed_timeout_is_an_invalid_argument() {
    let server = TestServer::start(with_limits(|_| {}));
    let mut client = Client::connect(server.address).await;
    let response = client.call_with("/test.Probe/Echo", &[("grpc-timeout", "5 minutes")]).await;
    assert_eq!(status(response.headers()), "3");
}

#[tokio::test]
async fn web_calls_end_at_their_deadline() {
    let server = TestServer::start(with_limits(|_| {}));
    let mut raw = Raw::connect(server.address).await;
    raw.send(&post("/test.Probe/Hang", "grpc-timeout: 50m\r\n")).await;
    let unary = raw.read_text().await;
    assert!(unary.starts_with("HTTP/1.1 200"), "{unary}");
    assert!(unary.contains("content-type: application/grpc-web+proto"), "{unary}");
    assert!(unary.contains("grpc-status: 4"), "{unary}");

    let mut raw = Raw::connect(server.address).await;
    raw.send(&post("/test.Probe/Drip", "grpc-timeout: 50m\r\n")).await;
    let stream = soon("the stream ends", raw.read_text()).await;
    assert!(stream.contains("grpc-status:4\r\n"), "{stream}");
}
