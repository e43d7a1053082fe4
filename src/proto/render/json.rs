//! Converts JSON text to a protobuf JSON value, without an intermediate tree.

use std::fmt;

use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::job::{json_arm_carries, json_too_deep};
use crate::proto::parse::{JSON_DEPTH_MAX, JSON_SMALL_TEXT_BYTES, JSON_WIRE_BYTES_MAX};

/// The value of a JSON text. `None` if the text is malformed, too deep or too large for some peers, or has a number that a
/// double cannot represent.
pub(super) fn to_value(text: &[u8]) -> Option<Value> {
    if !json_arm_carries(text) {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Reader { levels_left: JSON_DEPTH_MAX }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    let fits = text.len() <= JSON_SMALL_TEXT_BYTES || value.encoded_len() <= JSON_WIRE_BYTES_MAX;
    fits.then_some(value)
}

/// Deserializes one value with at most this many nested levels.
#[derive(Clone, Copy)]
struct Reader {
    levels_left: usize,
}

impl Reader {
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        let levels_left = self.levels_left.checked_sub(1).ok_or_else(|| E::custom(json_too_deep()))?;
        Ok(Self { levels_left })
    }
}

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self).map(|kind| Value { kind: Some(kind) })
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Kind, E> {
        Ok(Kind::NullValue(prost_types::NullValue::NullValue.into()))
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Kind, E> {
        Ok(Kind::BoolValue(truth))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Kind, E> {
        Ok(Kind::NumberValue(number as f64))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Kind, E> {
        Ok(Kind::NumberValue(number as f64))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Kind, E> {
        Ok(Kind::NumberValue(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Kind, E> {
        Ok(Kind::StringValue(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Kind::ListValue(ListValue { values }))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let inner = self.inner()?;
        let mut object = Struct::default();
        while let Some(key) = items.next_key()? {
            object.fields.insert(key, items.next_value_seed(inner)?);
        }
        Ok(Kind::StructValue(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1;

    #[test]
    fn every_kind_of_value_is_converted() {
        let value = to_value(br#" {"a":[null,true,-1,1e3,9007199254740991],"b":"\u00e9"} "#).unwrap();
        let Some(Kind::StructValue(object)) = value.kind else { panic!("an object is a struct") };
        assert_eq!(object.fields["b"].kind, Some(Kind::StringValue("é".to_owned())));
        let Some(Kind::ListValue(list)) = &object.fields["a"].kind else { panic!("an array is a list") };
        let kinds: Vec<_> = list.values.iter().map(|value| value.kind.clone().unwrap()).collect();
        let number = Kind::NumberValue;
        let expected = [
            Kind::NullValue(0),
            Kind::BoolValue(true),
            number(-1.0),
            number(1e3),
            number(2f64.powi(53) - 1.0),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn text_that_is_not_one_json_value_is_refused() {
        for text in ["", "{", "1 2", "nul", "NaN", "1e999", "[1,]", "\"\u{1}\""] {
            assert_eq!(to_value(text.as_bytes()), None, "{text}");
        }
        assert_eq!(to_value(b"\"\xff\""), None);
    }

    #[test]
    fn a_number_that_a_double_would_change_is_refused() {
        for text in ["9007199254740993", "[0.1234567890123456789]", r#"{"id":9007199254740992}"#] {
            assert_eq!(to_value(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn values_that_clients_would_refuse_are_not_converted() {
        let zeros = |count| format!("[{}0]", "0,".repeat(count));
        assert!(to_value(zeros(128 * 1024).as_bytes()).unwrap().encoded_len() <= JSON_WIRE_BYTES_MAX);
        assert_eq!(to_value(zeros(256 * 1024).as_bytes()), None);
        let text = format!("\"{}\"", "x".repeat(1024 * 1024 - 2));
        assert!(to_value(text.as_bytes()).is_some());
    }

    #[test]
    fn the_deepest_value_can_be_decoded_from_the_deepest_response() {
        let nested = |depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert_eq!(to_value(nested(JSON_DEPTH_MAX + 1).as_bytes()), None);
        let value = to_value(nested(JSON_DEPTH_MAX).as_bytes()).unwrap();

        let body = Some(v1::payload::Body::Json(value));
        let details = Some(v1::Payload { body, ..Default::default() });
        let failure = Some(v1::Failure { details, ..Default::default() });
        let outcome = Some(v1::Outcome { end: failure.map(v1::outcome::End::Failure) });
        let change = v1::StateChange { outcome, ..Default::default() };
        let event = Some(v1::job_event::Event::StateChange(change));
        let event = v1::JobEvent { event, ..Default::default() };
        let sent = v1::RunResponse { message: Some(v1::run_response::Message::Event(event)) };
        assert_eq!(v1::RunResponse::decode(sent.encode_to_vec().as_slice()), Ok(sent));
    }
}
