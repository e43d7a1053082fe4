//! A shutdown of the server, as clients of HTTP see it.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::support::{Http, TestServer, job, read_until, until, wait_for};

#[tokio::test]
async fn a_draining_server_ends_streams_with_a_retry_and_refuses_jobs() {
    let server = TestServer::with(|setup| setup.server.drain_timeout = Duration::from_secs(20)).await;
    let running = server.submit(job("test.gate")).await;
    server.gate.arrival().await;
    let waiting = server.submit(job("nobody")).await;
    let http = Http::new(server.address, true);
    let events = |id: &str| format!("/v1/jobs/{id}/events");
    let event_stream = [("accept", "text/event-stream")];
    let (_, _, mut stream) = http.open(Method::GET, &events(&waiting), &event_stream, "").await;
    let (_, _, mut of_curl) = http.open(Method::GET, &events(&waiting), &[("accept", "*/*")], "").await;
    read_until(&mut of_curl, "\nid: 1\n").await;
    let begin = read_until(&mut stream, "\nid: 1\n").await;
    let (_, _, mut live) = http.open(Method::GET, &events(&running), &[], "").await;
    read_until(&mut live, "JOB_STATE_RUNNING").await;
    server.shutdown.graceful.cancel();
    until("the drain begins", || async { server.info().await.draining }).await;

    let rest = wait_for("the stream ends", http_body_util::BodyExt::collect(stream)).await;
    let rest = rest.expect("a complete stream").to_bytes();
    let text = begin + &String::from_utf8_lossy(&rest);
    assert!(text.ends_with("\n\nretry: 1000\n\n") && !text.contains("problem"), "{text}");
    read_until(&mut of_curl, "event: problem\ndata: {").await;
    let refused =
        http.send(Method::POST, "/v1/jobs:run", &event_stream, r#"{"job": {"kind": "nobody"}}"#).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "a job that was not submitted is no success");
    let refused = http.post("/v1/jobs", r#"{"kind": "nobody"}"#).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    assert_eq!(
        (&refused.json()["reason"], refused.json()["retryAfter"].is_u64()),
        (&"DRAINING".into(), true)
    );
    assert_ne!(refused.header("retry-after"), "");
    for last in ["", "1"] {
        let headers = [("accept", "text/event-stream"), ("last-event-id", last)];
        let answer = http.send(Method::GET, &events(&waiting), &headers, "").await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!((answer.status, text.contains("\nid: 1\n")), (StatusCode::OK, last.is_empty()), "{text}");
        assert!(text.ends_with("\n\nretry: 1000\n\n") && !text.contains("problem"), "{text}");
    }
    let ndjson = [("accept", "application/x-ndjson")];
    let refused = http.send(Method::GET, &events(&waiting), &ndjson, "").await;
    assert!(
        refused.status == StatusCode::SERVICE_UNAVAILABLE
            || String::from_utf8_lossy(&refused.body).contains("DRAINING"),
        "{refused:?}"
    );
    server.gate.open(1);
    read_until(&mut live, "JOB_STATE_SUCCEEDED").await;
}
