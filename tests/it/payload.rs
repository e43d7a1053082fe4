//! Payloads: the encoding is preserved by every read, and the size limit is exact.

use jobstream::proto::v1;
use jobstream::proto::v1::payload::Body;
use prost_types::Value;
use prost_types::value::Kind;
use serde_json::json;
use tonic::Code;

use crate::support::{TestServer, data, job, json as value, refused, text};

const LIMIT: usize = 1 << 20;

fn with(payload: v1::Payload) -> v1::JobSpec {
    v1::JobSpec { payload: Some(payload), ..job("demo.echo") }
}

/// Submits a payload. Returns it from every call that returns payloads.
async fn read_back(server: &TestServer, payload: &v1::Payload) -> Vec<v1::Payload> {
    let ended = server.run_to_end(with(payload.clone())).await;
    let seen = server.get(&ended.id).await;
    let watched = server.watch_all(&ended.id, 0).await;
    let of = |outcome: &v1::Outcome| match &outcome.end {
        Some(v1::outcome::End::Result(result)) => result.clone(),
        other => panic!("no result: {other:?}"),
    };
    vec![
        ended.result().clone(),
        seen.spec.and_then(|spec| spec.payload).unwrap_or_default(),
        of(&seen.outcome.expect("the job has ended")),
        of(watched.outcome()),
    ]
}

#[tokio::test]
async fn every_encoding_is_preserved() {
    let server = TestServer::start().await;
    let typed = |payload: v1::Payload, content_type: &str| v1::Payload {
        content_type: content_type.to_owned(),
        ..payload
    };
    for payload in [
        data(vec![0, 255, 128, 10, 0]),
        data(Vec::new()),
        typed(data("{}"), "application/json"),
        text(""),
        text("naïve 🦀\u{0}\n"),
        typed(text("<a/>"), "text/xml; charset=utf-8"),
        typed(text(r#"{"id":9223372036854775807,"pi":3.14159265358979323846}"#), "application/json"),
    ] {
        for back in read_back(&server, &payload).await {
            assert_eq!(back, payload);
        }
    }
}

#[tokio::test]
async fn json_values_are_read_back_equal() {
    let server = TestServer::start().await;
    for payload in [
        json!(null),
        json!(true),
        json!(-0.1),
        json!(9_007_199_254_740_991_i64),
        json!(-9_007_199_254_740_991_i64),
        json!(1.7976931348623157e-300),
        json!(5e-324),
        json!(""),
        json!("\u{0}\u{1f}\"\\/\u{2028}🦀"),
        json!([]),
        json!({}),
        json!({"": {"": [[], {}, null, false]}}),
        json!([1, [2, [3, [4, [5]]]]]),
    ] {
        for back in read_back(&server, &value(payload.clone())).await {
            assert_eq!(back, value(payload.clone()), "{payload}");
        }
    }
}

#[tokio::test]
async fn a_missing_payload_is_an_empty_one() {
    let server = TestServer::start().await;
    let ended = server.run_to_end(job("demo.echo")).await;
    let empty = server.get(&ended.id).await.spec.unwrap().payload.unwrap_or_default();
    for payload in [ended.result().clone(), empty] {
        assert!(matches!(&payload.body, None | Some(Body::Data(_))), "{payload:?}");
        assert_eq!(payload, v1::Payload { body: payload.body.clone(), ..Default::default() });
        assert!(!matches!(&payload.body, Some(Body::Data(bytes)) if !bytes.is_empty()));
    }
}

#[tokio::test]
async fn the_size_limit_is_exact_in_every_encoding() {
    let server = TestServer::start().await;
    // A JSON string has two additional bytes for its quotes.
    let json_string = |bytes: usize| value(json!("x".repeat(bytes - 2)));
    for (fits, exceeds) in [
        (data(vec![7; LIMIT]), data(vec![7; LIMIT + 1])),
        (text(&"x".repeat(LIMIT)), text(&"x".repeat(LIMIT + 1))),
        (json_string(LIMIT), json_string(LIMIT + 1)),
    ] {
        for back in read_back(&server, &fits).await {
            assert!(back == fits, "a payload of 1 MiB came back changed");
        }
        let status = server.try_submit(with(exceeds)).await.unwrap_err();
        let details = refused(&status, Code::InvalidArgument, "PAYLOAD_TOO_LARGE");
        let facts = &details.error_info().unwrap().metadata;
        assert_eq!((facts["size"].as_str(), facts["limit"].as_str()), ("1048577", "1048576"));
        assert_eq!(facts["field"], "job.payload");
    }
    assert_eq!(server.info().await.jobs, 3);
}

#[tokio::test]
async fn values_that_are_not_json_are_rejected() {
    let server = TestServer::start().await;
    let of =
        |kind: Option<Kind>| v1::Payload { body: Some(Body::Json(Value { kind })), ..Default::default() };
    let nested = (0..31).fold(json!(1), |inner, _| json!([inner]));
    for payload in [
        of(None),
        of(Some(Kind::NumberValue(f64::NAN))),
        of(Some(Kind::NumberValue(f64::INFINITY))),
        value(nested),
        value(json!(vec![0; 200_000])),
    ] {
        let status = server.try_submit(with(payload)).await.unwrap_err();
        let details = refused(&status, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "job.payload.json");
    }
    let xml = v1::Payload { content_type: "text/xml".to_owned(), ..value(json!(1)) };
    let status = server.try_submit(with(xml)).await.unwrap_err();
    let details = refused(&status, Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "job.payload.content_type");
    assert_eq!(server.info().await.jobs, 0);
}

#[tokio::test]
async fn a_result_with_a_number_beyond_double_precision_is_text() {
    let server = TestServer::with(|setup| {
        let worker = std::mem::take(&mut setup.worker);
        setup.worker = worker
            .handler("test.max", async |_, _: serde_json::Value| Ok(vec![u64::MAX, 1 << 53]))
            .handler("test.small", async |_, _: serde_json::Value| Ok(vec![0.5, -9_007_199_254_740_991.0]));
    })
    .await;
    let spec = |kind: &str| v1::JobSpec { payload: Some(value(json!({}))), ..job(kind) };
    let ended = server.run_to_end(spec("test.max")).await;
    let exact = v1::Payload {
        content_type: "application/json".to_owned(),
        ..text("[18446744073709551615,9007199254740992]")
    };
    let watched = server.watch_all(&ended.id, 0).await;
    let Some(v1::outcome::End::Result(seen)) = &watched.outcome().end else { panic!("no result") };
    assert_eq!((ended.result(), seen), (&exact, &exact));
    let ended = server.run_to_end(spec("test.small")).await;
    assert_eq!(ended.result(), &value(json!([0.5, -9_007_199_254_740_991_i64])));
}

#[tokio::test]
async fn a_number_that_may_have_lost_digits_is_rejected_with_its_path() {
    let server = TestServer::start().await;
    let lossy = value(json!({"orders": [{"id": 9_007_199_254_740_993_i64}]}));
    let batch = v1::BatchSubmitRequest { jobs: vec![with(lossy.clone())], atomic: true };
    let id = server.run_to_end(with(value(json!(1)))).await.id;
    let retry = v1::RetryRequest { job_id: id, payload: Some(lossy.clone()), ..Default::default() };
    let run = v1::RunRequest { job: Some(with(lossy.clone())), ..Default::default() };
    let answers = [
        (server.try_submit(with(lossy)).await.unwrap_err(), "job.payload.json.orders[0].id"),
        (server.jobs().batch_submit(batch).await.unwrap_err(), "jobs[0].payload.json.orders[0].id"),
        (server.jobs().retry(retry).await.unwrap_err(), "payload.json.orders[0].id"),
        (server.jobs().run(run).await.unwrap_err(), "job.payload.json.orders[0].id"),
    ];
    for (status, path) in answers {
        let details = refused(&status, Code::InvalidArgument, "INVALID_FIELD");
        let violation = &details.bad_request().unwrap().field_violations[0];
        assert_eq!(violation.field, path);
        for part in ["9007199254740992", "as text with content type application/json"] {
            assert!(violation.description.contains(part), "{}", violation.description);
        }
    }
}
