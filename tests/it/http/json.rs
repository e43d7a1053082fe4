//! JSON documents that parsers disagree on, as request bodies and as payloads: the right value, or a 400 with the place.

mod documents;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Http, TestServer};
use documents::{Document, Expected, JOBS, VALUES};

/// Asserts that a document is refused with its place: the line and column of a syntax error, the path of any other.
#[track_caller]
fn assert_refused(answer: &Answer, part: &str, name: &str) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}: {answer:?}");
    let problem = answer.json();
    let detail = problem["detail"].as_str().expect("a detail");
    let field = problem["violations"][0]["field"].as_str().expect("a field");
    let has_place = field.contains("payload") || (detail.contains(" line ") && detail.contains(" column "));
    assert!(has_place || detail.contains("is empty"), "{name} has no place: {problem}");
    assert!(detail.contains(part), "{name}: {part:?} is not in {detail}");
}

async fn post(http: &Http, body: Vec<u8>) -> Answer {
    http.send_bytes(Method::POST, "/v1/jobs", &[("content-type", "application/json")], body).await
}

/// The payload of the job of an answer, read back.
async fn stored(http: &Http, answer: &Answer) -> Value {
    let id = answer.json()["jobId"].as_str().expect("an id").to_owned();
    http.get(&format!("/v1/jobs/{id}")).await.json()["job"]["spec"]["payload"].clone()
}

/// A job whose payload has these bytes as its JSON value.
fn with_value(document: &[u8]) -> Vec<u8> {
    [&br#"{"kind": "nobody", "payload": {"json": "#[..], document, b"}}"].concat()
}

#[tokio::test]
async fn a_document_as_a_json_payload_is_stored_or_refused_with_its_place() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    for Document { name, bytes, expected } in VALUES {
        let answer = post(&http, with_value(bytes)).await;
        match expected {
            Expected::Value(text) => {
                assert_eq!(answer.status, StatusCode::CREATED, "{name}: {answer:?}");
                assert_eq!(stored(&http, &answer).await["json"].to_string(), *text, "{name}");
            }
            Expected::Error(part) | Expected::NoPayload(part) => assert_refused(&answer, part, name),
        }
    }
}

#[tokio::test]
async fn a_document_as_a_body_is_no_job_or_refused_with_its_place() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, true);
    for Document { name, bytes, expected } in VALUES {
        let answer = post(&http, bytes.to_vec()).await;
        match expected {
            // It is JSON, and no job.
            Expected::Value(_) | Expected::NoPayload(_) => {
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}: {answer:?}");
                assert!(!answer.json()["detail"].to_string().contains("is not JSON"), "{name}: {answer:?}");
            }
            Expected::Error(_) => assert_refused(&answer, "", name),
        }
    }
    assert_eq!(server.info().await.jobs, 0);
}

#[tokio::test]
async fn a_document_as_text_is_stored_byte_for_byte() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    for Document { name, bytes, .. } in VALUES {
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        let payload = json!({ "text": text, "contentType": "application/json" });
        let job = json!({ "kind": "demo.echo", "payload": payload }).to_string();
        let answer = http.post("/v1/jobs?wait=30s", &job).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{name}: {answer:?}");
        let answer = answer.json();
        assert_eq!(answer["result"]["outcome"]["result"], payload, "{name}");
        let id = answer["submit"]["jobId"].as_str().expect("an id").to_owned();
        let sent = http.get(&format!("/v1/jobs/{id}/payload")).await;
        assert_eq!((&sent.body[..], sent.header("content-type")), (*bytes, "application/json"), "{name}");
    }
}

#[tokio::test]
async fn a_body_is_read_as_the_job_that_its_json_means() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    for Document { name, bytes, expected } in JOBS {
        let answer = post(&http, bytes.to_vec()).await;
        match expected {
            Expected::Value(text) => {
                assert_eq!(answer.status, StatusCode::CREATED, "{name}: {answer:?}");
                let id = answer.json()["jobId"].as_str().expect("an id").to_owned();
                let spec = &http.get(&format!("/v1/jobs/{id}")).await.json()["job"]["spec"];
                let expected: Value = serde_json::from_str(text).expect("JSON");
                for (field, value) in expected.as_object().expect("an object") {
                    assert_eq!(&spec[field], value, "{name}");
                }
            }
            Expected::Error(part) | Expected::NoPayload(part) => {
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}: {answer:?}");
                assert!(answer.json()["detail"].to_string().contains(part), "{name}: {answer:?}");
            }
        }
    }
}
