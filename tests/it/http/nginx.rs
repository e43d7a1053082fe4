//! HTTP/JSON and event streams through nginx, with its defaults and without its buffers.

use http::{Method, StatusCode};

use crate::support::{FaultProxy, Http, Nginx, TestServer, needs, read_until};

/// Runs a job at the gate and reads its events live, through this port.
async fn follow_live(server: &TestServer, port: u16) {
    let http = Http::new(Nginx::address(port), false);
    let submitted = http.post("/v1/jobs", r#"{"kind": "test.gate", "payload": {"text": "x"}}"#).await;
    assert_eq!(submitted.status, StatusCode::CREATED, "{submitted:?}");
    let id = submitted.json()["jobId"].as_str().expect("an id").to_owned();
    server.gate.arrival().await;
    let path = format!("/v1/jobs/{id}/events?heartbeat=1s");
    let (_, headers, mut stream) = http.open(Method::GET, &path, &[], "").await;
    assert_eq!(headers["content-type"], "text/event-stream");
    // These arrive while the stream is open.
    read_until(&mut stream, "JOB_STATE_RUNNING").await;
    read_until(&mut stream, ": heartbeat").await;
    server.gate.open(1);
    read_until(&mut stream, "JOB_STATE_SUCCEEDED").await;
}

#[tokio::test]
async fn calls_and_live_events_pass_with_the_defaults() {
    needs!("nginx");
    let server = TestServer::start().await;
    let nginx = Nginx::before(&server.address.to_string()).await;
    let http = Http::new(Nginx::address(nginx.defaults), false);
    let job = r#"{"kind": "demo.echo", "payload": {"text": "x"}}"#;
    let submitted = http.post("/v1/jobs?wait=30s", job).await;
    assert_eq!(submitted.status, StatusCode::CREATED, "{submitted:?}");
    let path = submitted.header("location").to_owned();
    let payload =
        http.send(Method::GET, &format!("{path}/result/payload"), &[("range", "bytes=0-0")], "").await;
    assert_eq!((payload.status, &payload.body[..]), (StatusCode::PARTIAL_CONTENT, &b"x"[..]));
    let refused = http.post("/v1/jobs", "{").await;
    assert_eq!(
        (refused.status, refused.header("content-type")),
        (StatusCode::BAD_REQUEST, "application/problem+json")
    );
    assert_eq!(http.send(Method::HEAD, "/v1/queues", &[], "").await.status, StatusCode::OK);
    follow_live(&server, nginx.defaults).await;
    // The limit of nginx is below that of the server.
    let large = format!(r#"{{"kind": "nobody", "payload": {{"text": "{}"}}}}"#, "x".repeat(1_100_000));
    let refused = http.post("/v1/jobs", &large).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(refused.header("content-type").starts_with("text/html"), "{refused:?}");
    let own = Http::new(Nginx::address(nginx.kept), false).post("/v1/jobs", &large).await;
    assert_eq!(
        (own.status, &own.json()["reason"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &"PAYLOAD_TOO_LARGE".into())
    );
}

#[tokio::test]
async fn a_buffered_stream_ends_and_resumes() {
    needs!("nginx");
    let server = TestServer::start().await;
    let nginx = Nginx::before(&server.address.to_string()).await;
    let http = Http::new(Nginx::address(nginx.buffering), false);
    let submitted = http.post("/v1/jobs", r#"{"kind": "test.gate"}"#).await.json();
    let path = format!("/v1/jobs/{}/events", submitted["jobId"].as_str().expect("an id"));
    let stream = http.send(Method::GET, &path, &[], "");
    let release = async {
        server.gate.arrival().await;
        server.gate.open(1);
    };
    let (stream, ()) = tokio::join!(stream, release);
    let text = String::from_utf8_lossy(&stream.body).into_owned();
    assert!(text.contains("\nid: 1\n") && text.contains("JOB_STATE_SUCCEEDED"), "{text}");
    let resumed = http.send(Method::GET, &path, &[("last-event-id", "2")], "").await;
    let text = String::from_utf8_lossy(&resumed.body).into_owned();
    assert!(!text.contains("\nid: 2\n") && text.contains("\nid: 3\n"), "{text}");
    let ended = http.send(Method::GET, &path, &[("last-event-id", "3")], "").await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn connections_to_the_server_are_kept_without_buffering() {
    needs!("nginx");
    let server = TestServer::start().await;
    let proxy = FaultProxy::start(server.address).await;
    let nginx = Nginx::before(proxy.url().trim_start_matches("http://")).await;
    follow_live(&server, nginx.kept).await;
    let opened = proxy.opened();
    let http = Http::new(Nginx::address(nginx.kept), false);
    for _ in 0..50 {
        let answer = http.post("/v1/jobs?wait=30s", r#"{"kind": "demo.echo"}"#).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    }
    assert!(proxy.opened() <= opened + 1, "{} connections more", proxy.opened() - opened);
    // A cut connection is an error of one request, and a repeat of a GET succeeds.
    proxy.cut();
    assert_eq!(http.get("/v1/server").await.status, StatusCode::OK);
}
