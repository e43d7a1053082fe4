//! Converts payloads, each to the `oneof` arm in which it was submitted.

use super::json;
use crate::job::{Encoding, Payload};
use crate::proto::v1;
use crate::proto::v1::payload::Body;

/// Converts a payload to its arm. Data is shared, not copied.
///
/// Content that its arm cannot represent is sent as text, or as data if it is not UTF-8, with an explicit content type.
/// Examples are JSON that is malformed, too deep or too large, or that has a number which a double would change.
pub(crate) fn payload(payload: &Payload) -> v1::Payload {
    if let Some(body) = body(payload) {
        let content_type = payload.explicit_content_type().unwrap_or_default().to_owned();
        return v1::Payload { content_type, body: Some(body) };
    }
    payload_without_json(payload)
}

/// Converts a payload to text, or to data if it is not UTF-8, with an explicit content type.
pub(super) fn payload_without_json(payload: &Payload) -> v1::Payload {
    let body = text(payload).unwrap_or_else(|| Body::Data(payload.bytes.clone()));
    v1::Payload { content_type: payload.content_type().to_owned(), body: Some(body) }
}

fn body(payload: &Payload) -> Option<Body> {
    match payload.encoding {
        Encoding::Data => Some(Body::Data(payload.bytes.clone())),
        Encoding::Text => text(payload),
        Encoding::Json => json::to_value(&payload.bytes).map(Body::Json),
    }
}

fn text(payload: &Payload) -> Option<Body> {
    str::from_utf8(&payload.bytes).ok().map(|text| Body::Text(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::job::JSON_NUMBER_MAX;
    use crate::proto::parse::{self, PayloadSource};

    fn read(wire: v1::Payload) -> Payload {
        parse::payload(Some(wire), "payload", PayloadSource::Shared, 1 << 20).unwrap()
    }

    fn wire(body: Body) -> v1::Payload {
        v1::Payload { content_type: String::new(), body: Some(body) }
    }

    #[test]
    fn data_is_shared() {
        let stored = Payload::data(vec![7; 100]);
        let Some(Body::Data(sent)) = payload(&stored).body else { panic!("data stays data") };
        assert_eq!(sent.as_ptr(), stored.bytes.as_ptr());
    }

    #[test]
    fn default_content_types_are_not_sent() {
        assert_eq!(
            payload(&Payload::data("x").with_content_type("application/octet-stream")).content_type,
            ""
        );
        assert_eq!(payload(&Payload::json_text("1")).content_type, "");
        assert_eq!(
            payload(&Payload::text("{}").with_content_type("application/json")).content_type,
            "application/json"
        );
    }

    #[test]
    fn malformed_json_is_sent_as_text() {
        let sent = payload(&Payload::json_text("{oops"));
        assert_eq!(sent.body, Some(Body::Text("{oops".to_owned())));
        assert_eq!(sent.content_type, "application/json");
    }

    #[test]
    fn json_with_an_inexact_number_is_sent_as_text() {
        let sent = payload(&Payload::json_text(r#"{"id":9007199254740993}"#));
        assert_eq!(sent.body, Some(Body::Text(r#"{"id":9007199254740993}"#.to_owned())));
        assert_eq!(sent.content_type, "application/json");
    }

    #[test]
    fn text_that_is_not_utf8_is_sent_as_data() {
        let mut broken = Payload::text("");
        broken.bytes = Bytes::from_static(b"\xff");
        let sent = payload(&broken);
        assert_eq!(sent.body, Some(Body::Data(Bytes::from_static(b"\xff"))));
        assert_eq!(sent.content_type, "text/plain; charset=utf-8");
    }

    fn json_value() -> impl Strategy<Value = prost_types::Value> {
        use prost_types::value::Kind;
        let number = prop_oneof![
            any::<f64>()
                .prop_filter("the json arm accepts only these", |number| number.abs() < JSON_NUMBER_MAX),
            any::<i32>().prop_map(f64::from),
        ];
        let leaf = prop_oneof![
            Just(Kind::NullValue(0)),
            any::<bool>().prop_map(Kind::BoolValue),
            number.prop_map(Kind::NumberValue),
            any::<String>().prop_map(Kind::StringValue),
        ]
        .prop_map(|kind| prost_types::Value { kind: Some(kind) });
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8)
                    .prop_map(|values| Kind::ListValue(prost_types::ListValue { values })),
                prop::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|fields| Kind::StructValue(prost_types::Struct { fields })),
            ]
            .prop_map(|kind| prost_types::Value { kind: Some(kind) })
        })
    }

    proptest! {
        #[test]
        fn text_and_data_round_trip_in_their_arm(
            body in prop_oneof![
                any::<Vec<u8>>().prop_map(|data| Body::Data(data.into())),
                any::<String>().prop_map(Body::Text),
            ],
            content_type in "[ -~]{0,128}",
        ) {
            let written = v1::Payload { content_type: content_type.clone(), body: Some(body) };
            let stored = read(written.clone());
            let sent = payload(&stored);
            prop_assert_eq!(sent.body, written.body);
            if !content_type.is_empty() {
                prop_assert_eq!(stored.content_type(), content_type);
            }
        }

        #[test]
        fn json_round_trips(value in json_value()) {
            let stored = read(wire(Body::Json(value.clone())));
            prop_assert_eq!(payload(&stored), wire(Body::Json(value)));
            let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&stored.bytes);
            prop_assert!(parsed.is_ok());
        }
    }
}
