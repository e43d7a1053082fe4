//! Payloads: arms, limits, content types and buffers.

use bytes::Bytes;
use prost_types::value::Kind;

use super::*;
use crate::job::{Encoding, Payload};
use crate::proto::v1;
use crate::proto::v1::payload::Body;

fn wire(body: Body, content_type: &str) -> Option<v1::Payload> {
    Some(v1::Payload { content_type: content_type.to_owned(), body: Some(body) })
}

fn read(body: Body, content_type: &str) -> Result<Payload> {
    payload(wire(body, content_type), "payload", PayloadSource::Shared, 1 << 20)
}

fn number(number: f64) -> Body {
    Body::Json(prost_types::Value { kind: Some(Kind::NumberValue(number)) })
}

#[test]
fn an_unset_payload_is_empty() {
    let limits = 1 << 20;
    let unset = payload(None, "payload", PayloadSource::Alone, limits).unwrap();
    assert_eq!(unset, Payload::default());
    let wire = v1::Payload { content_type: "image/png".to_owned(), body: None };
    let typed = payload(Some(wire), "payload", PayloadSource::Alone, limits).unwrap();
    assert_eq!((typed.is_empty(), typed.content_type()), (true, "image/png"));
}

#[test]
fn each_arm_has_its_encoding() {
    let text = read(Body::Text("hé".to_owned()), "").unwrap();
    assert_eq!((text.encoding, &text.bytes[..]), (Encoding::Text, "hé".as_bytes()));
    let json = read(number(4.0), "application/json").unwrap();
    assert_eq!(
        (json.encoding, &json.bytes[..], json.explicit_content_type()),
        (Encoding::Json, &b"4"[..], None)
    );
    let data = read(Body::Data(Bytes::from_static(b"\0")), "image/png").unwrap();
    assert_eq!((data.encoding, data.content_type()), (Encoding::Data, "image/png"));
}

#[test]
fn only_large_data_that_is_alone_shares_its_buffer() {
    let buffer = Bytes::from(vec![7; 64 * 1024]);
    let shares = |bytes, source| {
        let data = Body::Data(buffer.slice(..bytes));
        let read = payload(wire(data, ""), "payload", source, 1 << 20).unwrap();
        assert_eq!(read.bytes, buffer.slice(..bytes));
        read.bytes.as_ptr() == buffer.as_ptr()
    };
    assert!(shares(16 * 1024, PayloadSource::Alone));
    assert!(!shares(16 * 1024 - 1, PayloadSource::Alone));
    assert!(!shares(16 * 1024, PayloadSource::Shared));
}

#[test]
fn text_has_no_spare_capacity() {
    let mut text = String::with_capacity(4096);
    text.push_str("short");
    let stored = read(Body::Text(text), "").unwrap().bytes;
    assert_eq!(Vec::from(stored).capacity(), 5);
}

#[test]
fn the_limit_counts_the_bytes_as_stored() {
    let limits = 4;
    let read = |body| payload(wire(body, ""), "payload", PayloadSource::Alone, limits);
    assert!(read(Body::Text("four".to_owned())).is_ok());
    assert!(read(number(1234.0)).is_ok());
    for body in [Body::Text("fives".to_owned()), number(12345.0), Body::Data(Bytes::from_static(b"fives"))] {
        let error = read(body).unwrap_err();
        let expected = ErrorKind::PayloadTooLarge { field: "payload".to_owned(), size: 5, limit: 4 };
        assert_eq!(error.kind(), &expected);
        assert!(error.message().starts_with("payload has 5 bytes, the limit is 4:"), "{error}");
    }
}

#[test]
fn content_types_are_short_printable_ascii() {
    let read = |content_type: &str| read(Body::Text(String::new()), content_type);
    assert!(read(&"x".repeat(128)).is_ok());
    assert_eq!(violation(read(&"x".repeat(129))), "payload.content_type: has 129 bytes, the limit is 128");
    for bad in ["text/plän", "a\nb", "\u{7f}"] {
        let message = violation(read(bad));
        assert!(
            message.starts_with("payload.content_type: \"") && message.contains("printable ASCII"),
            "{message}"
        );
    }
}

#[test]
fn the_json_arm_refuses_another_content_type() {
    let message = violation(read(number(1.0), "text/csv"));
    assert!(message.starts_with("payload.content_type: is \"text/csv\""), "{message}");
    assert!(message.contains("application/json"), "{message}");
}

#[test]
fn invalid_json_and_an_invalid_content_type_are_both_reported() {
    let error = read(number(f64::NAN), "\n").unwrap_err();
    assert_eq!(fields(&error), ["payload.json", "payload.content_type"]);
    assert!(error.message().contains("NaN"), "{error}");
}
