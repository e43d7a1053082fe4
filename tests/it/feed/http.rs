//! The feed over HTTP: server-sent events and NDJSON.

use http::{Method, StatusCode};

use crate::support::{Http, TestServer, echo, job, read_until};

/// The newest id in a stream of server-sent events.
fn last_id(text: &str) -> &str {
    let (_, last) = text.rsplit_once("id: ").expect("an id");
    last.lines().next().expect("a line")
}

#[tokio::test]
async fn server_sent_events_resume_after_the_last_id() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let path = "/v1/events?kind=demo.echo&include=outcomes";
    let (status, headers, mut body) = http.open(Method::GET, path, &[], "").await;
    assert_eq!((status, headers["content-type"].to_str().ok()), (StatusCode::OK, Some("text/event-stream")));
    read_until(&mut body, ": heartbeat\nid: ").await;
    let first = server.run_to_end(echo("a")).await.id;
    server.submit(job("unserved")).await;
    let text = read_until(&mut body, "JOB_STATE_SUCCEEDED").await;
    assert!(text.contains("event: change\ndata: {") && text.contains(&first), "{text}");
    drop(body);
    let second = server.run_to_end(echo("b")).await.id;
    let headers = [("last-event-id", last_id(&text))];
    let (_, _, mut body) = http.open(Method::GET, path, &headers, "").await;
    let text = read_until(&mut body, "JOB_STATE_SUCCEEDED").await;
    assert!(text.contains(&second) && !text.contains(&first) && !text.contains("unserved"), "{text}");
}

#[tokio::test]
async fn a_heartbeat_has_the_newest_cursor_although_nothing_matches() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, true);
    let (_, _, mut body) = http.open(Method::GET, "/v1/events?kind=none&heartbeat=1s", &[], "").await;
    let begin = read_until(&mut body, "id: ").await;
    server.run_to_end(echo("a")).await;
    let text = read_until(&mut body, ": heartbeat\nid: ").await;
    assert_ne!(last_id(&begin), last_id(&text));
    assert!(!text.contains("event:"), "{text}");
}

#[tokio::test]
async fn ndjson_has_a_cursor_in_each_line() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, true);
    let accept = [("accept", "application/x-ndjson")];
    let (_, _, mut body) = http.open(Method::GET, "/v1/events", &accept, "").await;
    let mut text = read_until(&mut body, "\n").await;
    let id = server.submit(job("unserved")).await;
    text += &read_until(&mut body, "\n").await;
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines[0]["cursor"].is_string() && lines[0]["heartbeat"].is_object(), "{text}");
    assert_eq!((&lines[1]["change"]["jobId"], lines[1]["cursor"].is_string()), (&id.into(), true));
    let wrong = http.get("/v1/events?afterCursor=x").await;
    assert_eq!((wrong.status, &wrong.json()["reason"]), (StatusCode::BAD_REQUEST, &"INVALID_FIELD".into()));
}
