//! Converts protobuf JSON values to compact JSON text.

use prost::Message;
use prost_types::Value;
use prost_types::value::Kind;

use crate::job::{JSON, JSON_NUMBER_MAX, double_as_json, json_too_deep, quoted};

/// Deepest nesting of lists and objects.
pub(crate) const DEPTH_MAX: usize = crate::job::JSON_DEPTH_MAX;

/// Largest value on the wire, in bytes.
pub(crate) const WIRE_BYTES_MAX: usize = crate::job::JSON_WIRE_BYTES_MAX;
/// A JSON text up to this size, in bytes, cannot exceed [`WIRE_BYTES_MAX`] as a value. `0,` grows most: to 11 bytes.
pub(crate) const SMALL_TEXT_BYTES: usize = 256 * 1024;

/// Longest path in an error, in bytes. A longer path is reduced to its end.
const PATH_BYTES_MAX: usize = 256;

/// Which numbers are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// Numbers that a double represents exactly: below [`JSON_NUMBER_MAX`] in magnitude.
    Exact,
    /// All finite numbers.
    All,
}

/// Why a value is refused, with the path of a refused number: `.orders[2].id`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) path: String,
    pub(super) description: String,
    has_path: bool,
}

impl Refusal {
    fn of_number(description: String) -> Self {
        Self { path: String::new(), description, has_path: true }
    }

    fn within(mut self, part: &str) -> Self {
        const ELLIPSIS: &str = "...";
        if !self.has_path || self.path.starts_with(ELLIPSIS) {
            return self;
        }
        let fits = self.path.len() + part.len() <= PATH_BYTES_MAX;
        self.path.insert_str(0, if fits { part } else { ELLIPSIS });
        self
    }
}

impl From<String> for Refusal {
    fn from(description: String) -> Self {
        Self { path: String::new(), description, has_path: false }
    }
}

/// The path segment of an object's field.
fn field_part(key: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    match !key.is_empty() && key.len() <= 64 && key.bytes().all(is_plain) {
        true => format!(".{key}"),
        false => format!("[{}]", quoted(key)),
    }
}

/// The value as JSON text, with sorted keys and integers without a fraction.
pub(super) fn to_text(value: &Value, numbers: Numbers) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::new();
    Writer { out: &mut out, numbers }.value(value, 0)?;
    let wire_bytes = if out.len() > SMALL_TEXT_BYTES { value.encoded_len() } else { 0 };
    match wire_bytes {
        0..=WIRE_BYTES_MAX => Ok(out),
        _ => Err(Refusal::from(format!(
            "takes {wire_bytes} bytes as a value on the wire, the limit is {WIRE_BYTES_MAX}: send it as text"
        ))),
    }
}

/// Writes one value as JSON text.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    numbers: Numbers,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Refusal> {
        match &value.kind {
            None => Err("has a value without a kind: set one, for null nullValue".to_owned().into()),
            Some(Kind::NullValue(_)) => write(self.out, &()),
            Some(Kind::BoolValue(truth)) => write(self.out, truth),
            Some(Kind::StringValue(text)) => write(self.out, text),
            Some(Kind::NumberValue(number)) => self.number(*number),
            Some(Kind::ListValue(list)) => self.list(&list.values, deeper(depth)?),
            Some(Kind::StructValue(object)) => self.object(object, deeper(depth)?),
        }
    }

    fn number(&mut self, number: f64) -> Result<(), Refusal> {
        if !number.is_finite() {
            let description = format!("is {number}: JSON allows finite numbers only");
            return Err(Refusal::of_number(description));
        }
        if self.numbers == Numbers::Exact && number.abs() >= JSON_NUMBER_MAX {
            let number = double_as_json(number);
            return Err(Refusal::of_number(format!(
                "is {number} and may have lost digits on the way: the json arm carries doubles, exact only below 2^53 \
                 ({JSON_NUMBER_MAX}): send the payload as text with content type {JSON}"
            )));
        }
        match number.trunc() == number {
            true if number.abs() < JSON_NUMBER_MAX => write(self.out, &(number as i64)),
            true => {
                self.out.extend_from_slice(double_as_json(number).as_bytes());
                Ok(())
            }
            false => write(self.out, &number),
        }
    }

    fn list(&mut self, values: &[Value], depth: usize) -> Result<(), Refusal> {
        self.out.push(b'[');
        for (index, value) in values.iter().enumerate() {
            separate(self.out, index);
            self.value(value, depth).map_err(|refusal| refusal.within(&format!("[{index}]")))?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, object: &prost_types::Struct, depth: usize) -> Result<(), Refusal> {
        self.out.push(b'{');
        for (index, (key, value)) in object.fields.iter().enumerate() {
            separate(self.out, index);
            write(self.out, key)?;
            self.out.push(b':');
            self.value(value, depth).map_err(|refusal| refusal.within(&field_part(key)))?;
        }
        self.out.push(b'}');
        Ok(())
    }
}

fn deeper(depth: usize) -> Result<usize, Refusal> {
    match depth {
        DEPTH_MAX => Err(json_too_deep().into()),
        _ => Ok(depth + 1),
    }
}

fn separate(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}

fn write(out: &mut Vec<u8>, scalar: &(impl serde::Serialize + ?Sized)) -> Result<(), Refusal> {
    serde_json::to_writer(out, scalar).map_err(|error| format!("cannot be written as JSON: {error}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: Kind) -> Result<String, String> {
        let text = to_text(&Value { kind: Some(kind) }, Numbers::Exact);
        text.map(|text| String::from_utf8(text).unwrap()).map_err(|refusal| refusal.description)
    }

    fn list(values: Vec<Value>) -> Kind {
        Kind::ListValue(prost_types::ListValue { values })
    }

    #[test]
    fn integers_print_as_integers() {
        assert_eq!(text(Kind::NumberValue(3.0)).unwrap(), "3");
        assert_eq!(text(Kind::NumberValue(-0.0)).unwrap(), "0");
        assert_eq!(text(Kind::NumberValue(1.0 - JSON_NUMBER_MAX)).unwrap(), "-9007199254740991");
        assert_eq!(text(Kind::NumberValue(0.1)).unwrap(), "0.1");
        assert_eq!(text(Kind::NumberValue(1e-300)).unwrap().parse(), Ok(1e-300));
    }

    #[test]
    fn numbers_that_json_lacks_are_refused() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let description = text(list(vec![Value { kind: Some(Kind::NumberValue(number)) }])).unwrap_err();
            assert!(description.contains(&number.to_string()), "{description}");
        }
    }

    fn number(number: f64) -> Value {
        Value { kind: Some(Kind::NumberValue(number)) }
    }

    fn object(key: &str, value: Value) -> Value {
        let fields = [(key.to_owned(), value)].into();
        Value { kind: Some(Kind::StructValue(prost_types::Struct { fields })) }
    }

    #[test]
    fn an_inexact_number_is_refused_with_its_path_and_a_remedy() {
        let orders = Value { kind: Some(list(vec![number(1.0), object("id", number(JSON_NUMBER_MAX))])) };
        let refusal = to_text(&object("orders", orders), Numbers::Exact).unwrap_err();
        assert_eq!(refusal.path, ".orders[1].id");
        for part in ["is 9007199254740992", "2^53", "as text with content type application/json"] {
            assert!(refusal.description.contains(part), "{}", refusal.description);
        }
        for lossy in [-JSON_NUMBER_MAX, 1e18, 1e300] {
            assert!(to_text(&number(lossy), Numbers::Exact).is_err(), "{lossy}");
        }
        let text = to_text(&number(2f64.powi(60)), Numbers::All).unwrap();
        assert_eq!(text, b"1152921504606846976", "a client accepts it");
    }

    #[test]
    fn the_path_of_an_error_is_bounded_and_escaped() {
        let path = |value: &Value| to_text(value, Numbers::Exact).unwrap_err().path;
        assert_eq!(path(&object("a\n.b", number(1e18))), "[\"a\\n.b\"]");
        let deep = (0..20).fold(number(1e18), |inner, _| object(&"k".repeat(60), inner));
        assert!(
            path(&deep).len() <= PATH_BYTES_MAX + 3 && path(&deep).starts_with("...kkk")
                || path(&deep).starts_with("....k")
        );
    }

    #[test]
    fn a_value_without_a_kind_is_refused() {
        let refusal = to_text(&Value { kind: None }, Numbers::All).unwrap_err();
        assert!(refusal.path.is_empty() && refusal.description.contains("without a kind"));
    }

    #[test]
    fn objects_are_compact_sorted_and_escaped() {
        let string = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
        let fields = [("b".to_owned(), string("\"\n")), ("a".to_owned(), Value { kind: Some(list(vec![])) })];
        let object = Kind::StructValue(prost_types::Struct { fields: fields.into() });
        assert_eq!(text(object).unwrap(), r#"{"a":[],"b":"\"\n"}"#);
    }

    #[test]
    fn values_that_grow_on_the_wire_have_a_bound() {
        let zeros = |count| list(vec![Value { kind: Some(Kind::NumberValue(0.0)) }; count]);
        assert!(text(zeros(WIRE_BYTES_MAX / 11 - 1)).is_ok());
        let description = text(zeros(WIRE_BYTES_MAX / 11 + 1)).unwrap_err();
        assert!(description.contains("send it as text"), "{description}");
    }

    #[test]
    fn nesting_has_a_bound() {
        let nested = |depth| {
            (0..depth).fold(Kind::BoolValue(true), |inner, _| list(vec![Value { kind: Some(inner) }]))
        };
        assert!(text(nested(DEPTH_MAX)).is_ok());
        assert!(text(nested(DEPTH_MAX + 1)).unwrap_err().contains("deeper than 30"));
    }
}
