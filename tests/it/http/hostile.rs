//! Hostile requests: ambiguous framing, floods, slow bodies and malformed URLs. Each has one meaning, or is refused.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Http, TestServer, http1, wait_for};

/// A request that an attacker hides behind another one. It makes a queue if it is executed.
const HIDDEN: &str = "POST /v1/queues/hidden:pause HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
const JOB: &str = r#"{"kind":"nobody"}"#;

fn submit(head: &str, body: &str) -> String {
    format!("POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\n{head}\r\n{body}")
}

/// The job as chunks of a body.
fn chunked(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n0\r\n\r\n", data.len())
}

/// The statuses of the responses on a connection until it closes.
async fn statuses(address: SocketAddr, request: &str) -> Vec<u16> {
    let mut stream = TcpStream::connect(address).await.expect("a listening socket");
    // A server that refuses a long request does not read its rest, and resets the connection.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = wait_for("the connection closes", stream.read_to_end(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let lines = text.split("HTTP/1.1 ").skip(1);
    lines.map(|line| line[..3].parse().unwrap_or_else(|_| panic!("{text}"))).collect()
}

async fn queues(http: &Http) -> String {
    http.get("/v1/queues").await.json()["queues"].to_string()
}

#[tokio::test]
async fn an_ambiguous_request_hides_no_other_one() {
    let server = TestServer::start().await;
    let length = JOB.len();
    let shapes = [
        ("two lengths", submit(&format!("content-length: {length}\r\ncontent-length: 0\r\n"), JOB), 400),
        ("list of lengths", submit("content-length: 0, 17\r\n", JOB), 400),
        ("signed length", submit("content-length: +0\r\n", ""), 400),
        ("negative length", submit("content-length: -1\r\n", ""), 400),
        ("hexadecimal length", submit("content-length: 0x0\r\n", ""), 400),
        ("empty length", submit("content-length: \r\n", ""), 400),
        ("length beyond 64 bits", submit("content-length: 18446744073709551616\r\n", ""), 400),
        (
            "length before a space and a coding",
            submit("content-length: 0\r\ntransfer-encoding : chunked\r\n", ""),
            400,
        ),
        ("coding with a tab", submit("transfer-encoding: \x0bchunked\r\n", &chunked(JOB)), 400),
        ("coding in quotes", submit("transfer-encoding: \"chunked\"\r\n", &chunked(JOB)), 400),
        ("coding that is not last", submit("transfer-encoding: chunked, identity\r\n", &chunked(JOB)), 400),
        ("similar coding", submit("transfer-encoding: xchunked\r\n", &chunked(JOB)), 400),
        ("coding with a fold", submit("transfer-encoding:\r\n chunked\r\n", &chunked(JOB)), 400),
        ("header after a space", submit(" transfer-encoding: chunked\r\n", &chunked(JOB)), 400),
        ("header with a fold", submit("x-a: b\r\n c: d\r\ncontent-length: 0\r\n", ""), 400),
        ("carriage return in a header", submit("x-a: b\rcontent-length: 9\r\n", ""), 400),
        ("NUL in a header", submit("x-a: b\0\r\ncontent-length: 0\r\n", ""), 400),
        (
            "coding of HTTP/1.0",
            submit("transfer-encoding: chunked\r\n", &chunked(JOB)).replace("HTTP/1.1", "HTTP/1.0"),
            400,
        ),
        ("negative chunk", submit("transfer-encoding: chunked\r\n", "-1\r\n\r\n"), 400),
        ("hexadecimal chunk", submit("transfer-encoding: chunked\r\n", "0x0\r\n\r\n"), 400),
        ("chunk beyond 64 bits", submit("transfer-encoding: chunked\r\n", "10000000000000000\r\n\r\n"), 400),
        ("chunk without a size", submit("transfer-encoding: chunked\r\n", "\r\n\r\n"), 400),
        ("chunk longer than its size", submit("transfer-encoding: chunked\r\n", "1\r\n{}\r\n0\r\n\r\n"), 400),
        (
            "long extension",
            submit("transfer-encoding: chunked\r\n", &format!("1;{}", "a".repeat(20_000))),
            400,
        ),
        ("no version", "GET /v1/server\r\n\r\n".to_owned(), 400),
        ("version of HTTP/2", submit("content-length: 0\r\n", "").replace("HTTP/1.1", "HTTP/2.0"), 400),
    ];
    for (name, shape, status) in shapes {
        // What follows is not read as a request, whatever the length of this one is.
        assert_eq!(statuses(server.address, &(shape + HIDDEN)).await, [status], "{name}");
    }
    // The coding takes precedence over the length, and the connection closes.
    let both =
        format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", chunked(JOB).len() + HIDDEN.len());
    assert_eq!(statuses(server.address, &submit(&both, &(chunked(JOB) + HIDDEN))).await, [201]);
    let http = Http::new(server.address, false);
    assert_eq!((server.info().await.jobs, queues(&http).await.contains("hidden")), (1, false));
    let alone = HIDDEN.replace("content-length", "connection: close\r\ncontent-length");
    assert_eq!(
        statuses(server.address, &(submit(&format!("content-length: {length}\r\n"), JOB) + &alone)).await,
        [201, 200]
    );
    assert!(queues(&http).await.contains("hidden"), "it is executed where it is a request");
}

#[tokio::test]
async fn a_body_with_another_coding_is_refused() {
    let server = TestServer::start().await;
    let close = "connection: close\r\n";
    for coding in ["gzip, chunked", "chunked\r\ntransfer-encoding: chunked"] {
        let request = submit(&format!("transfer-encoding: {coding}\r\n{close}"), &chunked(JOB));
        assert_eq!(statuses(server.address, &request).await, [501], "{coding}");
    }
    let plain = submit(&format!("transfer-encoding: CHUNKED\r\n{close}"), &chunked(JOB));
    assert_eq!(statuses(server.address, &plain).await, [201]);
    let encoded = submit(&format!("content-encoding: gzip\r\ncontent-length: 17\r\n{close}"), JOB);
    assert_eq!(statuses(server.address, &encoded).await, [415]);
    assert_eq!(server.info().await.jobs, 1);
}

#[tokio::test]
async fn a_request_names_one_allowed_host() {
    let server = TestServer::start().await;
    let request =
        |target: &str, hosts: &str| format!("GET {target} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
    let cases = [
        ("http://localhost/v1/server", "host: localhost\r\n", 200),
        ("http://evil.example/v1/server", "host: localhost\r\n", 421),
        ("/v1/server", "host: evil.example\r\n", 421),
        ("/v1/server", "host: localhost\r\nhost: evil.example\r\n", 421),
        ("/v1/server", "host: evil.example\r\nhost: localhost\r\n", 421),
        ("/v1/server", "host: localhost@evil.example\r\n", 421),
    ];
    for (target, hosts, status) in cases {
        assert_eq!(statuses(server.address, &request(target, hosts)).await, [status], "{target} {hosts}");
    }
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let server = TestServer::start().await;
    let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
    assert_eq!(statuses(server.address, &submit(&(many + "content-length: 0\r\n"), "")).await, [431]);
    let long = submit(&format!("x-a: {}\r\ncontent-length: 17\r\n", "y".repeat(70_000)), JOB);
    let target = long.replace("x-a", "x-b").replace("/v1/jobs", &format!("/{}", "a".repeat(70_000)));
    let trailers = chunked(JOB).replace("\r\n0\r\n", &format!("\r\n0\r\n{}", "x: y\r\n".repeat(20_000)));
    let trailers = submit("transfer-encoding: chunked\r\n", &trailers);
    for (name, request) in [("header", long), ("target", target), ("trailers", trailers)] {
        // The reset of the connection may overtake the response.
        let statuses = statuses(server.address, &request).await;
        assert!(matches!(statuses[..], [] | [431] | [400]), "{name}: {statuses:?}");
    }
    assert_eq!(server.info().await.jobs, 0);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start().await;
    let request = |number: usize| {
        let close = if number == 99 { "connection: close\r\n" } else { "" };
        format!("GET /v1/server HTTP/1.1\r\nhost: localhost\r\nx-request-id: {number}\r\n{close}\r\n")
    };
    let pipeline: String = (0..100).map(request).collect();
    let answers = http1(server.address, pipeline.as_bytes()).await;
    let answers = String::from_utf8(answers).expect("text");
    let ids = answers.lines().filter_map(|line| line.strip_prefix("x-request-id: "));
    assert!(ids.eq((0..100).map(|number| number.to_string())), "{answers}");
}

#[tokio::test]
async fn a_slow_body_is_408() {
    let server = TestServer::with(|setup| {
        setup.server.serve.limits.request_body_timeout = Duration::from_millis(200);
    })
    .await;
    let mut stream = TcpStream::connect(server.address).await.expect("a listening socket");
    let head = submit("content-type: application/json\r\ncontent-length: 17\r\n", "{\"kind\"");
    stream.write_all(head.as_bytes()).await.expect("an open connection");
    let mut answer = String::new();
    wait_for("the connection closes", stream.read_to_string(&mut answer)).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("application/problem+json") && answer.contains("send it faster"), "{answer}");

    let stream = TcpStream::connect(server.address).await.expect("a listening socket");
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut client, connection) = hyper::client::conn::http2::handshake(executor, io).await.expect("HTTP/2");
    tokio::spawn(connection);
    let first = hyper::body::Frame::data(Bytes::from_static(b"{\"kind\""));
    let slow = tokio_stream::StreamExt::chain(
        tokio_stream::once(Ok::<_, std::convert::Infallible>(first)),
        tokio_stream::pending(),
    );
    let request = Request::post(format!("http://{}/v1/jobs", server.address)).body(StreamBody::new(slow));
    let response = wait_for("the answer", client.send_request(request.expect("a request"))).await;
    let response = response.expect("an answer");
    assert_eq!(response.status(), 408);
    let body = wait_for("the body", response.into_body().collect()).await.expect("a body").to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("send it faster"), "{body:?}");
    assert_eq!(server.info().await.jobs, 0);
}

#[tokio::test]
async fn a_malformed_or_huge_url_is_refused_with_its_part() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let repeated = |part: &str, count: usize| format!("/v1/jobs?{}", vec![part; count].join("&"));
    let labels: Vec<_> = (0..5_000).map(|number| format!("label.{number}=1")).collect();
    let cases = [
        (repeated("state=QUEUED", 5_000), 400, "state: has 5000 entries"),
        (format!("/v1/jobs?{}", labels.join("&")), 400, "label: has 5000 entries"),
        (repeated("", 60_000), 200, "nextPageToken"),
        (repeated("=", 20_000), 400, "is not a query parameter"),
        (format!("/v1/jobs?{}", "a".repeat(60_000)), 400, "is not a query parameter"),
        (format!("/v1/jobs?kind={}", "%41".repeat(20_000)), 400, "has 20000 bytes"),
        (repeated("kind=a", 2), 400, "kind: is given twice"),
        ("/v1/jobs?label.a=%ff".to_owned(), 400, "query: is not UTF-8"),
        ("/v1/jobs?label.a=%00".to_owned(), 400, "label"),
        ("/v1/jobs?label.=x".to_owned(), 400, "label[\\\"\\\"]"),
        ("/v1/jobs?kind=%zz".to_owned(), 400, "%zz"),
        ("/v1/jobs?pageSize=-1".to_owned(), 400, "pageSize"),
        ("/v1/jobs?pageSize=1&pageSize=2".to_owned(), 400, "pageSize: is given twice"),
        ("/v1/jobs?pageToken=%00".to_owned(), 400, "pageToken"),
        ("/v1/jobs/%ff".to_owned(), 400, "jobId: is \\\"%ff\\\", which is not UTF-8"),
        ("/v1/jobs/%00".to_owned(), 400, "jobId"),
        ("/v1/jobs/%2e%2e/events".to_owned(), 400, "jobId"),
        ("/v1/jobs/%2f".to_owned(), 400, "jobId"),
        ("/v1/%6a%6f%62s".to_owned(), 404, "there is nothing at"),
        ("//v1/jobs".to_owned(), 404, "there is nothing at"),
        ("/v1/jobs/".to_owned(), 404, "there is nothing at"),
        ("/v1/../v1/jobs".to_owned(), 404, "there is nothing at"),
    ];
    for (path, status, part) in cases {
        let answer = http.get(&path).await;
        let shown = &path[..path.len().min(80)];
        assert_eq!(answer.status.as_u16(), status, "{shown}: {answer:?}");
        let body = String::from_utf8_lossy(&answer.body);
        assert!(body.contains(part), "{shown}: {part} is not in {body}");
    }
}

#[tokio::test]
async fn a_name_is_one_encoded_segment_and_its_action_is_not_encoded() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let pause = async |name: &str| {
        let answer = http.send(Method::POST, &format!("/v1/queues/{name}"), &[], "").await;
        (answer.status.as_u16(), answer.json()["queue"]["queue"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(pause("a%2Fb:pause").await, (200, "a/b".to_owned()));
    assert_eq!(pause("a:b:pause").await, (200, "a:b".to_owned()));
    assert_eq!(pause("a%3Apause:pause").await, (200, "a:pause".to_owned()));
    for name in ["a%3Apause", "a%252Fb:pause", "a+b:pause", "a%20b:pause", ":pause", "a/b:pause"] {
        let (status, _) = pause(name).await;
        assert!([400, 404].contains(&status), "{name}: {status}");
    }
}

#[tokio::test]
async fn a_submit_with_a_malformed_wait_submits_nothing() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    for wait in ["-1s", "", "1m", "99999999999999s", "1s&wait=2s"] {
        let answer = http.post(&format!("/v1/jobs?wait={wait}"), JOB).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["violations"][0]["field"]), (400, &"wait".into()));
    }
    assert_eq!(server.info().await.jobs, 0);
}
