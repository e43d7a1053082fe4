//! Errors over HTTP: every refused request has a problem that says what is wrong and how to fix it.

use http::{Method, StatusCode};

use crate::support::{Http, TestServer};

#[tokio::test]
async fn a_wrong_request_has_a_problem_with_words() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let json = ("content-type", "application/json");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let cases = [
        (Method::GET, "/v2", json, "", 404, "UNKNOWN_PATH", "/v1/jobs"),
        (Method::GET, "/jobstream.v1.JobService/Submit", json, "", 404, "UNKNOWN_PATH", "application/grpc"),
        (Method::PUT, "/v1/jobs", json, "", 405, "METHOD_NOT_ALLOWED", "POST"),
        (Method::GET, "/v1/queues/a:pause", json, "", 405, "METHOD_NOT_ALLOWED", "POST"),
        (Method::POST, "/v1/queues/a:stop", json, "", 404, "UNKNOWN_PATH", ":pause"),
        (Method::POST, "/v1/jobs", form, "a=b", 415, "UNSUPPORTED_MEDIA_TYPE", "--json"),
        (Method::POST, "/v1/jobs", json, "", 400, "INVALID_FIELD", "empty"),
        (Method::POST, "/v1/jobs", json, "[]", 400, "INVALID_FIELD", "type: array, expected an object"),
        (Method::POST, "/v1/jobs", json, "{", 400, "INVALID_FIELD", "line 1 column 1"),
        (Method::POST, "/v1/jobs", json, r#"{"kid": "a"}"#, 400, "INVALID_FIELD", "kind"),
        (Method::POST, "/v1/jobs", json, r#"{"kind": "a", "kind": "b"}"#, 400, "INVALID_FIELD", "twice"),
        (
            Method::POST,
            "/v1/jobs",
            json,
            r#"{"retry": {"maxAttempts": 1000}}"#,
            400,
            "INVALID_FIELD",
            "retry.maxAttempts",
        ),
        (
            Method::POST,
            "/v1/jobs",
            json,
            r#"{"kind": "a", "payload": {"json": {"n": 9007199254740993}}}"#,
            400,
            "INVALID_FIELD",
            "payload.json.n",
        ),
        (Method::GET, "/v1/jobs?staet=QUEUED", json, "", 400, "INVALID_FIELD", "state"),
        (Method::GET, "/v1/jobs?pageSize=x", json, "", 400, "INVALID_FIELD", "pageSize"),
        (
            Method::GET,
            "/v1/jobs/01890000-0000-7000-8000-000000000000/payload?wait=1s",
            json,
            "",
            400,
            "INVALID_FIELD",
            "wait",
        ),
        (Method::GET, "/v1/jobs/seven", json, "", 400, "INVALID_FIELD", "jobId"),
        (Method::GET, "/v1/jobs/01890000-0000-7000-8000-000000000000", json, "", 404, "JOB_NOT_FOUND", ""),
    ];
    for (method, path, content_type, body, status, reason, part) in cases {
        let answer = http.send(method.clone(), path, &[content_type], body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path} {body}: {answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{method} {path}");
        let problem = answer.json();
        assert_eq!((&problem["reason"], &problem["status"]), (&reason.into(), &status.into()), "{problem}");
        assert!(problem.to_string().contains(part), "{part} in {problem}");
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_413() {
    let server = TestServer::with(|setup| setup.server.message_bytes_max = 1 << 20).await;
    let http = Http::new(server.address, false);
    let body = format!(r#"{{"kind": "a", "payload": {{"text": "{}"}}}}"#, "x".repeat(1 << 20));
    let answer = http.post("/v1/jobs", &body).await;
    assert_eq!(
        (answer.status, &answer.json()["reason"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &"PAYLOAD_TOO_LARGE".into())
    );
}

#[tokio::test]
async fn every_response_has_a_request_id() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let sent = http.send(Method::GET, "/v1/server", &[("x-request-id", "mine-1")], "").await;
    assert_eq!(sent.header("x-request-id"), "mine-1");
    assert_ne!(http.get("/v1/nothing").await.header("x-request-id"), "");
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_options_the_methods() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let get = http.get("/v1/queues").await;
    let head = http.send(Method::HEAD, "/v1/queues", &[], "").await;
    assert_eq!((head.status, head.header("content-length")), (StatusCode::OK, &*get.body.len().to_string()));
    let options = http.send(Method::OPTIONS, "/v1/jobs", &[], "").await;
    assert_eq!(
        (options.status, options.header("allow")),
        (StatusCode::NO_CONTENT, "OPTIONS, POST, GET, HEAD")
    );
}

#[tokio::test]
async fn a_long_list_is_compressed_for_clients_that_accept_it() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    for _ in 0..20 {
        http.post("/v1/jobs", r#"{"kind": "nobody"}"#).await;
    }
    let gzip = [("accept-encoding", "gzip")];
    let listed = http.send(Method::GET, "/v1/jobs", &gzip, "").await;
    assert_eq!(listed.header("content-encoding"), "gzip");
    let small = http.send(Method::GET, "/v1/queues", &gzip, "").await;
    assert_eq!(small.header("content-encoding"), "");
}
