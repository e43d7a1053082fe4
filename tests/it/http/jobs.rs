//! Jobs over HTTP/JSON: submit, result, list, cancel, and payloads as bytes.

use http::{Method, StatusCode};

use crate::support::{Http, TestServer};

/// The id in a response.
fn id(json: &serde_json::Value) -> String {
    json["jobId"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_job_is_submitted_polled_awaited_and_followed() {
    let server = TestServer::start().await;
    for http2 in [false, true] {
        let http = Http::new(server.address, http2);
        let submitted = http.post("/v1/jobs", r#"{"kind": "test.gate", "payload": {"text": "hi"}}"#).await;
        assert_eq!(submitted.status, StatusCode::CREATED, "{submitted:?}");
        let id = id(&submitted.json());
        assert_eq!(submitted.header("location"), format!("/v1/jobs/{id}"));

        let pending = http.get(&format!("/v1/jobs/{id}/result")).await;
        assert_eq!((pending.status, pending.header("retry-after")), (StatusCode::ACCEPTED, "1"));
        assert_eq!(pending.json().get("outcome"), None);

        server.gate.arrival().await;
        server.gate.open(1);
        let result = http.get(&format!("/v1/jobs/{id}/result?wait=30s")).await;
        assert_eq!((result.status, &result.json()["state"]), (StatusCode::OK, &"JOB_STATE_SUCCEEDED".into()));

        let events = http.get(&format!("/v1/jobs/{id}/events")).await;
        assert_eq!(events.header("content-type"), "text/event-stream");
        let text = String::from_utf8_lossy(&events.body).into_owned();
        assert!(
            text.starts_with("retry: ") && text.contains("\n\nid: 1\nevent: stateChange\ndata: {"),
            "{text}"
        );
        assert!(text.contains("JOB_STATE_SUCCEEDED"), "{text}");
    }
}

#[tokio::test]
async fn a_submit_can_wait_for_the_result() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let body = r#"{"kind": "demo.echo", "payload": {"json": {"n": 1}}}"#;
    let answer = http.post("/v1/jobs?wait=30s", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let json = answer.json();
    assert_eq!(json["submit"]["disposition"], "DISPOSITION_CREATED");
    assert_eq!(json["result"]["outcome"]["result"]["json"].to_string(), r#"{"n":1}"#);
}

#[tokio::test]
async fn a_repeated_or_validated_submit_is_200() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let job = format!(r#"{{"kind": "demo.echo", "jobId": "{}"}}"#, crate::support::new_id());
    let validated = http.post("/v1/jobs?validateOnly=true", &job).await;
    assert_eq!((validated.status, validated.header("location")), (StatusCode::OK, ""));
    assert_eq!(http.post("/v1/jobs", &job).await.status, StatusCode::CREATED);
    let repeated = http.post("/v1/jobs", &job).await;
    assert_eq!(
        (repeated.status, &repeated.json()["disposition"]),
        (StatusCode::OK, &"DISPOSITION_EXISTING".into())
    );
    let other = http.post("/v1/jobs", &job.replace("demo.echo", "demo.other")).await;
    assert_eq!((other.status, &other.json()["reason"]), (StatusCode::CONFLICT, &"JOB_ID_REUSED".into()));
}

#[tokio::test]
async fn jobs_are_listed_cancelled_and_deleted() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let job = |label: &str| format!(r#"{{"kind": "nobody", "labels": {{"run": "{label}"}}}}"#);
    let first = id(&http.post("/v1/jobs", &job("a")).await.json());
    http.post("/v1/jobs", &job("b")).await;
    let listed = http.get("/v1/jobs?state=queued&state=RUNNING&label.run=a&pageSize=10").await.json();
    assert_eq!(
        (listed["jobs"].as_array().map(Vec::len), &listed["jobs"][0]["jobId"]),
        (Some(1), &first.as_str().into())
    );
    let cancelled = http.send(Method::POST, &format!("/v1/jobs/{first}:cancel"), &[], "").await;
    assert_eq!(
        (cancelled.status, &cancelled.json()["state"]),
        (StatusCode::OK, &"JOB_STATE_CANCELLED".into())
    );
    let deleted = http.send(Method::DELETE, &format!("/v1/jobs/{first}"), &[], "").await;
    assert_eq!(deleted.status, StatusCode::OK);
    let gone = http.get(&format!("/v1/jobs/{first}/result")).await;
    assert_eq!((gone.status, &gone.json()["reason"]), (StatusCode::NOT_FOUND, &"JOB_NOT_FOUND".into()));
}

#[tokio::test]
async fn a_payload_is_a_download_with_ranges() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let body = r#"{"kind": "demo.echo", "payload": {"text": "0123456789", "contentType": "text/html"}}"#;
    let id = id(&http.post("/v1/jobs?wait=30s", body).await.json()["submit"]);
    for path in [format!("/v1/jobs/{id}/payload"), format!("/v1/jobs/{id}/result/payload")] {
        let whole = http.get(&path).await;
        assert_eq!((whole.status, &whole.body[..]), (StatusCode::OK, &b"0123456789"[..]));
        let headers =
            ["content-type", "content-disposition", "x-content-type-options", "content-security-policy"];
        let expected = ["text/html", "attachment", "nosniff", "sandbox; default-src 'none'"];
        assert_eq!(headers.map(|name| whole.header(name)), expected);
        let range = |range| [("range", range)];
        let part = http.send(Method::GET, &path, &range("bytes=2-4"), "").await;
        assert_eq!((part.status, &part.body[..]), (StatusCode::PARTIAL_CONTENT, &b"234"[..]));
        assert_eq!(part.header("content-range"), "bytes 2-4/10");
        let end = http.send(Method::GET, &path, &range("bytes=-3"), "").await;
        assert_eq!(&end.body[..], b"789");
        let beyond = http.send(Method::GET, &path, &range("bytes=10-"), "").await;
        assert_eq!(
            (beyond.status, beyond.header("content-range")),
            (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */10")
        );
        let unchanged = http.send(Method::GET, &path, &[("if-none-match", whole.header("etag"))], "").await;
        assert_eq!((unchanged.status, unchanged.body.len()), (StatusCode::NOT_MODIFIED, 0));
    }
}

#[tokio::test]
async fn an_idempotency_key_makes_a_submit_repeatable() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let job = r#"{"kind": "demo.echo", "payload": {"text": "a"}}"#;
    let post = async |path: &str, key: &str, body: &str| {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        http.send(Method::POST, path, &headers, body).await
    };
    let first = post("/v1/jobs", "order-123", job).await;
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    let repeated = post("/v1/jobs", "\"order-123\"", job).await;
    assert_eq!((repeated.status, id(&repeated.json())), (StatusCode::OK, id(&first.json())));
    let other_body = post("/v1/jobs", "order-123", r#"{"kind": "demo.echo"}"#).await;
    let reused = (other_body.status, other_body.json()["reason"].clone());
    assert_eq!(reused, (StatusCode::UNPROCESSABLE_ENTITY, "JOB_ID_REUSED".into()));
    let other_key = post("/v1/jobs", "order-124", job).await;
    assert_ne!(id(&other_key.json()), id(&first.json()));

    let chosen = crate::support::new_id();
    assert_eq!(id(&post("/v1/jobs", &chosen, job).await.json()), chosen, "a UUID is the id itself");
    let same = format!(r#"{{"kind": "demo.echo", "payload": {{"text": "a"}}, "jobId": "{chosen}"}}"#);
    assert_eq!(post("/v1/jobs", &chosen, &same).await.status, StatusCode::OK);
    let path = format!("/v1/jobs/{}:retry", id(&first.json()));
    http.get(&format!("/v1/jobs/{}/result?wait=30s", id(&first.json()))).await;
    let retried = [post(&path, "again", "").await, post(&path, "again", "").await];
    assert_eq!(id(&retried[0].json()), id(&retried[1].json()));

    let long = "x".repeat(256);
    for (path, key, body) in [
        ("/v1/jobs", "other", same.as_str()),
        ("/v1/jobs", "\"open", job),
        ("/v1/jobs", &long, job),
        ("/v1/jobs", "\"\"", job),
        ("/v1/jobs:batch", "many", r#"{"jobs": [{"kind": "a"}]}"#),
    ] {
        let refused = post(path, key, body).await;
        let problem = refused.json();
        assert_eq!(
            (refused.status, &problem["violations"][0]["field"]),
            (StatusCode::BAD_REQUEST, &"Idempotency-Key".into()),
            "{problem}"
        );
    }
}
