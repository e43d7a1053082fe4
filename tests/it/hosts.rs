//! Accepted hosts and origins of requests.

mod nginx;

use std::net::SocketAddr;

use http::StatusCode;
use jobstream::proto::v1::{ListJobsRequest, SubmitRequest, SubmitResponse};
use prost::Message;
use tonic::Code;

use crate::support::{TestServer, echo, frame, http1, raw_call_to, refused, wait_for};

const SUBMIT: &str = "/jobstream.v1.JobService/Submit";

fn submit() -> Vec<u8> {
    frame(0, &SubmitRequest { job: Some(echo("from a page")), validate_only: false }.encode_to_vec())
}

/// Sends a Submit over gRPC-Web and HTTP/1.1 with this host and origin. Returns the response.
async fn from_page(address: SocketAddr, host: &str, origin: Option<&str>) -> String {
    let body = submit();
    let origin = origin.map(|origin| format!("origin: {origin}\r\n")).unwrap_or_default();
    let head = format!(
        "POST {SUBMIT} HTTP/1.1\r\n{host}connection: close\r\n{origin}content-type: application/grpc-web+proto\r\n\
         x-grpc-web: 1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    String::from_utf8_lossy(&http1(address, &[head.as_bytes(), &body].concat()).await).into_owned()
}

fn host(name: &str) -> String {
    format!("host: {name}\r\n")
}

async fn jobs_of(server: &TestServer) -> usize {
    let listed = wait_for("ListJobs answers", server.jobs().list_jobs(ListJobsRequest::default())).await;
    listed.expect("an answer").into_inner().jobs.len()
}

#[tokio::test]
async fn dns_rebinding_is_rejected() {
    let server = TestServer::start().await;
    server.pause("default").await;
    let port = server.address.port();
    let rebound = format!("evil.example:{port}");
    let own_origin = format!("http://{rebound}");
    for origin in [None, Some(own_origin.as_str()), Some("http://localhost:3000")] {
        let answer = from_page(server.address, &host(&rebound), origin).await;
        assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
        assert!(answer.contains(&format!("--allowed-host {rebound}")), "{answer}");
    }
    assert_eq!(jobs_of(&server).await, 0);
}

#[tokio::test]
async fn other_origins_are_rejected() {
    let server = TestServer::start().await;
    server.pause("default").await;
    let own = server.address.to_string();
    for origin in ["http://evil.example", "http://localhost:3000", "null"] {
        let answer = from_page(server.address, &host(&own), Some(origin)).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(answer.contains(&format!("--cors-origin {origin}")), "{answer}");
    }
    assert_eq!(jobs_of(&server).await, 0);
    let answer = from_page(server.address, &host(&own), Some(&format!("http://{own}"))).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "the same origin: {answer}");
    assert_eq!(jobs_of(&server).await, 1);
}

#[tokio::test]
async fn requests_without_host_and_origin_are_accepted() {
    let server = TestServer::start().await;
    let answer = from_page(server.address, "", None).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = from_page(server.address, "", Some("http://evil.example")).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[tokio::test]
async fn a_client_with_an_unknown_host_gets_an_error_with_the_option() {
    let server = TestServer::start().await;
    let answer = raw_call_to(server.address, "server:7070", SUBMIT, &[], submit()).await;
    refused(&answer.status(), Code::PermissionDenied, "HOST_NOT_ALLOWED");
    assert!(answer.status().message().contains("--allowed-host server:7070"), "{:?}", answer.status());
    assert_eq!((answer.http, answer.body.len()), (StatusCode::MISDIRECTED_REQUEST, 0));
    let origin = [("origin", "http://evil.example")];
    let answer = raw_call_to(server.address, "localhost", SUBMIT, &origin, submit()).await;
    refused(&answer.status(), Code::PermissionDenied, "ORIGIN_NOT_ALLOWED");
}

#[tokio::test]
async fn an_allowed_host_is_accepted() {
    let server = TestServer::with(|setup| setup.server.serve.allowed_hosts = vec!["server".to_owned()]).await;
    let answer = raw_call_to(server.address, "server:7070", SUBMIT, &[], submit()).await;
    assert_eq!((answer.http, answer.status().code()), (StatusCode::OK, Code::Ok));
    assert!(SubmitResponse::decode(&answer.body[5..]).is_ok());
    let answer = raw_call_to(server.address, "other:7070", SUBMIT, &[], submit()).await;
    assert_eq!(answer.status().code(), Code::PermissionDenied);
}
