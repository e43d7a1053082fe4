//! Payloads, JSON values and the well-known types of protobuf as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jobstream::proto::v1::Payload;
use jobstream::proto::v1::payload::Body;
use prost_types::value::Kind;
use serde_json::{Map, Number, Value};

use super::Object;

/// Whole numbers within 64 bits are shown without a fraction, with every digit of the double.
const I64_MAX: f64 = 9_223_372_036_854_775_808.0;
const U64_MAX: f64 = 18_446_744_073_709_551_616.0;

/// The payload under the name of its arm: `json` as it is, `text` as a string, `data` in base64.
pub(crate) fn payload(payload: &Payload) -> Value {
    let object = match &payload.body {
        Some(Body::Json(json)) => Object::default().with("json", value(json)),
        Some(Body::Text(text)) => Object::default().with("text", text.as_str()),
        Some(Body::Data(data)) => Object::default().with("data", STANDARD.encode(data)),
        None => Object::default(),
    };
    object.with_text("contentType", &payload.content_type).done()
}

/// A protobuf JSON value as JSON. Integers are written without a fraction.
pub(crate) fn value(value: &prost_types::Value) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(*value),
        Some(Kind::NumberValue(number)) => self::number(*number),
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(self::value).collect()),
        Some(Kind::StructValue(fields)) => {
            let fields = fields.fields.iter().map(|(name, value)| (name.clone(), self::value(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}

fn number(number: f64) -> Value {
    match number.fract() == 0.0 {
        true if (-I64_MAX..I64_MAX).contains(&number) => Value::from(number as i64),
        true if (0.0..U64_MAX).contains(&number) => Value::from(number as u64),
        _ => Number::from_f64(number).map_or(Value::Null, Value::Number),
    }
}

/// A time or a span as proto JSON writes it.
pub(crate) fn well_known(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::payload::to_proto;

    #[test]
    fn each_arm_keeps_its_name() {
        let of = |body, content_type: &str| payload(&Payload { body, content_type: content_type.into() });
        assert_eq!(
            of(Some(Body::Text("a".into())), "text/csv"),
            json!({ "text": "a", "contentType": "text/csv" })
        );
        assert_eq!(of(Some(Body::Data(Bytes::from_static(b"\0\xff"))), ""), json!({ "data": "AP8=" }));
        assert_eq!(of(Some(Body::Json(to_proto(&json!([1])))), ""), json!({ "json": [1] }));
        assert_eq!(of(None, ""), json!({}));
    }

    #[test]
    fn json_survives_the_wire_form() {
        let original = json!({ "a": [1, -2.5, true, null, "x"], "b": { "c": 9_007_199_254_740_992_i64 } });
        assert_eq!(value(&to_proto(&original)).to_string(), original.to_string());
    }
}
