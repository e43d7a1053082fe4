//! The request of an attempt: method, body, headers and signature.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use jobstream::proto::v1;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::endpoint::{Endpoint, empty};
use super::{http_job, server, server_with};
use crate::support::{data, json as payload, seconds, text, wait_for};

/// An endpoint that returns nothing and sends its requests to the test.
async fn recording() -> (Endpoint, mpsc::Receiver<Request<Bytes>>) {
    let (sender, requests) = mpsc::channel(16);
    let endpoint = Endpoint::new(move |request| {
        let sender = sender.clone();
        async move {
            sender.send(request).await.expect("the test reads");
            empty(204)
        }
    });
    (endpoint.await, requests)
}

#[track_caller]
fn header<'a>(request: &'a Request<Bytes>, name: &str) -> &'a str {
    let value = request.headers().get(name).unwrap_or_else(|| panic!("no {name}: {request:?}"));
    value.to_str().expect("text")
}

#[tokio::test]
async fn the_payload_is_the_body_and_headers_describe_the_attempt() {
    let (endpoint, mut requests) = recording().await;
    let server =
        server_with(&endpoint, |handler| handler.header("Authorization", "Bearer config").unwrap()).await;
    let headers = [
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("authorization", "Bearer job"),
        ("host", "elsewhere"),
        ("content-length", "1"),
        ("jobstream-kind", "other"),
        ("webhook-id", "other"),
    ];
    let spec = v1::JobSpec {
        queue: "images".to_owned(),
        payload: Some(payload(json!({"width": 64}))),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        attempt_timeout: Some(seconds(100)),
        trace_context: Some(v1::TraceContext { baggage: "tenant=acme".to_owned(), ..Default::default() }),
        ..http_job()
    };
    let ended = server.run_to_end(spec).await;
    assert_eq!(ended.result(), &text(""));
    let request = wait_for("a request", requests.recv()).await.expect("one");
    assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("POST", "/run?x=1"));
    assert_eq!(request.body(), r#"{"width":64}"#);
    for (name, value) in [
        ("host", endpoint.address.to_string().as_str()),
        ("content-type", "application/json"),
        ("content-length", "12"),
        ("authorization", "Bearer config"),
        ("traceparent", headers[0].1),
        ("baggage", "tenant=acme"),
        ("user-agent", concat!("jobstream/", env!("CARGO_PKG_VERSION"))),
        ("jobstream-job-id", ended.id.as_str()),
        ("jobstream-attempt", "1"),
        ("jobstream-kind", "test.http"),
        ("jobstream-queue", "images"),
    ] {
        assert_eq!(header(&request, name), value, "{name}");
    }
    assert_eq!(request.headers().get_all("authorization").iter().count(), 1);
    assert!(request.headers().get("webhook-id").is_none(), "no secret, no signature");
    let deadline: prost_types::Timestamp = header(&request, "jobstream-deadline").parse().expect("RFC 3339");
    let left =
        SystemTime::try_from(deadline).unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let created = server.get(&ended.id).await.create_time.expect("a time").seconds.cast_unsigned();
    assert!((created + 99..=created + 130).contains(&left), "{left} is not 100 s after {created}");
}

#[tokio::test]
async fn text_and_bytes_are_sent_with_their_content_type() {
    let (endpoint, mut requests) = recording().await;
    let server = server(&endpoint).await;
    let image = v1::Payload { content_type: "image/png".to_owned(), ..data(vec![0x89, 0, 0xff]) };
    for (payload, content_type, body) in [
        (text("hi"), "text/plain; charset=utf-8", &b"hi"[..]),
        (image, "image/png", &[0x89, 0, 0xff]),
        (data(vec![]), "application/octet-stream", b""),
    ] {
        server.run_to_end(v1::JobSpec { payload: Some(payload), ..http_job() }).await.result();
        let request = wait_for("a request", requests.recv()).await.expect("one");
        assert_eq!((header(&request, "content-type"), &request.body()[..]), (content_type, body));
    }
}

/// HMAC-SHA-256 as RFC 2104 defines it.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

#[tokio::test]
async fn every_secret_signs_id_timestamp_and_body() {
    const KEYS: [&[u8]; 2] = [b"the key before the rotation", b"the key after the rotation!!"];
    let published = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
    let signed = br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
    assert_eq!(STANDARD.encode(hmac(&published, signed)), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");

    let (endpoint, mut requests) = recording().await;
    let secrets =
        [String::from_utf8(KEYS[0].to_vec()).unwrap(), format!("whsec_{}", STANDARD.encode(KEYS[1]))];
    let server = server_with(&endpoint, |handler| handler.signed_with(secrets).expect("secrets")).await;
    let ended = server.run_to_end(v1::JobSpec { payload: Some(text("signed")), ..http_job() }).await;
    let request = wait_for("a request", requests.recv()).await.expect("one");
    let (id, timestamp) = (header(&request, "webhook-id"), header(&request, "webhook-timestamp"));
    assert_eq!(id, format!("{}_1", ended.id));
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    assert!(now.abs_diff(timestamp.parse().expect("seconds")) < 60, "{timestamp} is not now, {now}");
    let message = format!("{id}.{timestamp}.signed");
    let expected = KEYS.map(|key| format!("v1,{}", STANDARD.encode(hmac(key, message.as_bytes()))));
    assert_eq!(header(&request, "webhook-signature"), expected.join(" "));
}
