//! HTTP errors of a proxy between client and server: the command line, a worker and generated stubs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Response, header};
use jobstream::client::{Client, ClientOptions, ErrorKind};
use jobstream::job::JobId;
use jobstream::proto::v1::GetJobRequest;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;

use super::{client, run};
use crate::support::{Remote, wait_for};

/// A server that answers every call with an HTTP status and an HTML page.
struct Front {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
}

impl Front {
    async fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = calls.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection, status, counter.clone()));
            }
        });
        Self { address, calls }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

async fn answer(connection: TcpStream, status: u16, calls: Arc<AtomicUsize>) {
    let mut connection = h2::server::handshake(connection).await.expect("HTTP/2");
    while let Some(Ok((_, mut call))) = connection.accept().await {
        calls.fetch_add(1, Ordering::Relaxed);
        let head = Response::builder().status(status).header(header::CONTENT_TYPE, "text/html");
        // An error means that the client has ended.
        if let Ok(mut body) = call.send_response(head.body(()).expect("a response"), false) {
            let _ = body.send_data(Bytes::from_static(b"<html></html>"), true);
        }
    }
}

#[tokio::test]
async fn permanent_http_error_ends_a_command_at_once() {
    for (status, exit) in [(400, 10), (401, 4), (403, 4), (404, 10), (413, 10), (500, 10), (200, 10)] {
        let front = Front::start(status).await;
        let ended = run(&mut client(front.address, &["info"])).await.exits(exit);
        ended.prints(&[&front.address.to_string(), &format!("HTTP status {status} ")]);
        assert_eq!(front.calls(), 1, "{status}");
    }
}

#[tokio::test]
async fn transient_http_error_is_retried_by_a_command() {
    for status in [429, 502, 503, 504] {
        let front = Front::start(status).await;
        let ended = run(&mut client(front.address, &["info", "--rpc-timeout", "2s"])).await.exits(7);
        ended.prints(&[&front.address.to_string(), &format!("HTTP status {status} ")]);
        assert!(front.calls() > 1, "{status}");
    }
}

#[tokio::test]
async fn permanent_http_error_ends_a_worker() {
    for (status, exit) in [(401, 4), (403, 4), (404, 10)] {
        let front = Front::start(status).await;
        let mut worker = Remote::start(&front.address.to_string(), &["--exec", "upper=tr a-z A-Z"]);
        let line = worker.wait_for_line("error:").await;
        assert!(line.contains(&format!("{} answered with HTTP status {status} ", front.address)), "{line}");
        assert_eq!(worker.ended().await, Some(exit));
        assert_eq!(front.calls(), 1, "{status}");
    }
}

#[tokio::test]
async fn transient_http_error_is_retried_by_a_worker() {
    let front = Front::start(503).await;
    let mut worker = Remote::start(&front.address.to_string(), &["--exec", "upper=tr a-z A-Z"]);
    let line = worker.wait_for_line("cannot reach the server").await;
    assert!(line.contains("HTTP status 503 Service Unavailable: trying again"), "{line}");
    let retried = async {
        while front.calls() < 3 {
            tokio::task::yield_now().await;
        }
    };
    wait_for("more tries", retried).await;
}

#[tokio::test]
async fn generated_stubs_get_the_status_of_an_http_error() {
    for (status, code, kind) in [
        (403, Code::PermissionDenied, ErrorKind::PermissionDenied),
        (413, Code::Unknown, ErrorKind::Unreadable),
        (502, Code::Unavailable, ErrorKind::Unreachable),
    ] {
        let front = Front::start(status).await;
        let url = format!("http://{}", front.address);
        let client = Client::lazy(&url, ClientOptions::default()).expect("an address");
        let request = GetJobRequest { job_id: JobId::mint().to_string() };
        let error = JobServiceClient::new(client.channel()).get_job(request).await.expect_err("an error");
        assert_eq!(error.code(), code);
        assert!(error.message().contains(&url) && error.message().contains(&status.to_string()), "{error}");
        assert_eq!(jobstream::client::Error::from_status(&error, &url).kind(), kind);
    }
}
