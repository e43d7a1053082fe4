//! Event streams over HTTP: resume, the end, and the forms of a stream.

use http::{Method, StatusCode};

use crate::support::{Http, TestServer, read_until};

async fn finished_job(http: &Http) -> String {
    let answer = http.post("/v1/jobs?wait=30s", r#"{"kind": "demo.echo", "payload": {"text": "x"}}"#).await;
    answer.json()["submit"]["jobId"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_stream_resumes_after_the_last_event_and_stays_closed_after_the_end() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let path = format!("/v1/jobs/{}/events", finished_job(&http).await);
    let resumed = http.send(Method::GET, &path, &[("last-event-id", "1")], "").await;
    let text = String::from_utf8_lossy(&resumed.body).into_owned();
    assert!(!text.contains("\nid: 1\n") && text.contains("\nid: 2\n"), "{text}");
    for last in ["3", "4000000000"] {
        let ended = http.send(Method::GET, &path, &[("last-event-id", last)], "").await;
        assert_eq!((ended.status, ended.body.len()), (StatusCode::NO_CONTENT, 0), "{last}");
    }
    let wrong = http.send(Method::GET, &path, &[("last-event-id", "x")], "").await;
    assert_eq!((wrong.status, &wrong.json()["reason"]), (StatusCode::BAD_REQUEST, &"INVALID_FIELD".into()));
}

#[tokio::test]
async fn a_stream_is_ndjson_for_clients_that_ask_for_it() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, true);
    let path = format!("/v1/jobs/{}/events?types=STATE_CHANGE", finished_job(&http).await);
    // `curl --json` accepts application/json.
    let as_json = http.send(Method::GET, &path, &[("accept", "application/json")], "").await;
    let events = http.send(Method::GET, &path, &[("accept", "application/x-ndjson")], "").await;
    assert_eq!(events.header("content-type"), "application/x-ndjson");
    assert_eq!((as_json.header("content-type"), &as_json.body), ("application/x-ndjson", &events.body));
    let lines: Vec<serde_json::Value> = events
        .body
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let sequences: Vec<_> = lines.iter().map(|line| line["event"]["sequence"].as_u64()).collect();
    assert_eq!(sequences, [Some(1), Some(2), Some(3)]);
}

#[tokio::test]
async fn run_streams_the_whole_life_of_a_job() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let run = http.post("/v1/jobs:run", r#"{"job": {"kind": "demo.echo", "payload": {"text": "x"}}}"#).await;
    let text = String::from_utf8_lossy(&run.body).into_owned();
    assert!(
        text.contains("\nevent: submitted\ndata: {\"jobId\":") || text.contains("event: submitted"),
        "{text}"
    );
    assert!(text.contains("\"text\":\"x\""), "{text}");
}

#[tokio::test]
async fn an_open_stream_has_heartbeats_and_live_events() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let submitted = http.post("/v1/jobs", r#"{"kind": "test.gate"}"#).await.json();
    let id = submitted["jobId"].as_str().expect("an id");
    let path = format!("/v1/jobs/{id}/events?heartbeat=1s");
    let (status, _, mut body) = http.open(Method::GET, &path, &[], "").await;
    assert_eq!(status, StatusCode::OK);
    read_until(&mut body, ": heartbeat\n\n").await;
    server.gate.open(1);
    read_until(&mut body, "JOB_STATE_SUCCEEDED").await;
}
