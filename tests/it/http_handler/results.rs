//! Responses with status 2xx: results in the arm and with the content type that fit.

use bytes::Bytes;
use http::Response;
use jobstream::proto::v1;
use jobstream::proto::v1::FailureReason;
use serde_json::json;

use super::endpoint::{Endpoint, chunks, empty, response};
use super::{http_job, server, server_with};
use crate::support::{data, json as payload, text};

/// An endpoint that answers with its input, as this content type.
async fn echo_as(content_type: &'static str) -> Endpoint {
    Endpoint::new(move |request| async move { response(200, content_type, request.into_body()) }).await
}

#[tokio::test]
async fn the_body_is_the_result_in_the_arm_that_fits() {
    let value = payload(json!({"n": 7}));
    let typed = |payload: v1::Payload, content_type: &str| v1::Payload {
        content_type: content_type.to_owned(),
        ..payload
    };
    for (content_type, input, result) in [
        ("application/json", value.clone(), value.clone()),
        ("Application/JSON; charset=utf-8", value.clone(), value.clone()),
        ("application/json", text("not json"), typed(text("not json"), "application/json")),
        ("application/vnd.x+json", value, typed(text(r#"{"n":7}"#), "application/vnd.x+json")),
        ("application/json", typed(text("[1]"), "application/json"), typed(text("[1]"), "application/json")),
        ("text/csv", text("a,b"), typed(text("a,b"), "text/csv")),
        ("image/png", data(vec![0x89, 0xff]), typed(data(vec![0x89, 0xff]), "image/png")),
        ("text/plain; charset=utf-8", text("plain"), text("plain")),
    ] {
        let endpoint = echo_as(content_type).await;
        let server = server(&endpoint).await;
        let ended = server.run_to_end(v1::JobSpec { payload: Some(input), ..http_job() }).await;
        assert_eq!(ended.result(), &result, "{content_type}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_text_or_data_whatever_its_type() {
    let input = payload(json!({}));
    for (body, result) in [(&b"{broken"[..], text("{broken")), (&[0xff], data(vec![0xff]))] {
        let endpoint = Endpoint::new(move |_| async move { response(201, "application/json", body) }).await;
        let server = server(&endpoint).await;
        let ended = server.run_to_end(v1::JobSpec { payload: Some(input.clone()), ..http_job() }).await;
        assert_eq!(ended.result().body, result.body);
        assert_eq!(ended.result().content_type, "application/json");
    }
}

#[tokio::test]
async fn a_response_without_a_content_type_is_text_or_octets() {
    for (body, result) in [(&b""[..], text("")), (b"text", text("text")), (&[0xff], data(vec![0xff]))] {
        let endpoint = Endpoint::new(move |_| async move {
            let mut response = response(200, "text/plain", body);
            response.headers_mut().remove("content-type");
            response
        });
        let endpoint = endpoint.await;
        assert_eq!(server(&endpoint).await.run_to_end(http_job()).await.result(), &result);
    }
}

#[tokio::test]
async fn a_result_beyond_the_limit_is_a_permanent_failure() {
    let announced = || response(200, "text/plain", vec![b'x'; 1_001]);
    let chunked = || Response::new(chunks(11, Bytes::from(vec![b'x'; 100])));
    let exact = || Response::new(chunks(10, Bytes::from(vec![b'x'; 100])));
    for (is_announced, message) in [
        (true, "the result is 1001 bytes, limit is 1000"),
        (false, "the result is more than 1000 bytes, limit is 1000"),
    ] {
        let endpoint =
            Endpoint::new(move |_| async move { if is_announced { announced() } else { chunked() } }).await;
        let server = server_with(&endpoint, |mut handler| {
            handler.result_bytes_max = 1_000;
            handler
        });
        let retry = v1::RetryPolicy { max_attempts: 3, ..Default::default() };
        let ended = server.await.run_to_end(v1::JobSpec { retry: Some(retry), ..http_job() }).await;
        let failure = ended.failure();
        assert_eq!((failure.reason(), failure.attempt), (FailureReason::ResultTooLarge, 1));
        assert!(!failure.retryable && failure.message.starts_with(message), "{failure:?}");
    }
    let endpoint = Endpoint::new(move |_| async move { exact() }).await;
    let server = server_with(&endpoint, |mut handler| {
        handler.result_bytes_max = 1_000;
        handler
    });
    assert_eq!(server.await.run_to_end(http_job()).await.text().len(), 1_000);
}

#[tokio::test]
async fn an_encoded_result_is_refused() {
    let endpoint = Endpoint::new(|request: http::Request<Bytes>| async move {
        assert_eq!(request.headers()["accept-encoding"], "identity");
        let mut response = empty(200);
        response.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        response
    });
    let ended = server(&endpoint.await).await.run_to_end(http_job()).await;
    assert_eq!(ended.failure().r#type, "http.content_encoding");
    assert!(ended.failure().message.contains("gzip") && !ended.failure().retryable, "{ended:?}");
}
