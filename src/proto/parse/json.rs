//! JSON values of the wire, written as compact JSON text.

use prost::Message;
use prost_types::Value;
use prost_types::value::Kind;

/// Deepest nesting of lists and objects.
///
/// An object nested in another is three messages deeper on the wire and protobuf decoders stop at 100: with
/// this bound a value can be read back within every response.
pub(crate) const DEPTH_MAX: usize = 30;

/// Largest value on the wire, in bytes.
pub(crate) const WIRE_BYTES_MAX: usize = crate::job::JSON_WIRE_BYTES_MAX;
/// Texts of this size stay below that: `0,` takes 11 bytes on the wire and nothing grows more.
pub(crate) const SMALL_TEXT_BYTES: usize = 256 * 1024;

/// Doubles up to here hold every integer exactly.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// The value as JSON text: keys sorted, integral numbers without a fraction.
pub(super) fn to_text(value: &Value) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    write_value(&mut out, value, 0)?;
    let wire_bytes = if out.len() > SMALL_TEXT_BYTES { value.encoded_len() } else { 0 };
    match wire_bytes {
        0..=WIRE_BYTES_MAX => Ok(out),
        _ => Err(format!(
            "takes {wire_bytes} bytes as a value on the wire, the limit is {WIRE_BYTES_MAX}: send it as text"
        )),
    }
}

fn write_value(out: &mut Vec<u8>, value: &Value, depth: usize) -> Result<(), String> {
    match &value.kind {
        None => Err("holds a value without a kind: set one, for null nullValue".to_owned()),
        Some(Kind::NullValue(_)) => write(out, &()),
        Some(Kind::BoolValue(truth)) => write(out, truth),
        Some(Kind::StringValue(text)) => write(out, text),
        Some(Kind::NumberValue(number)) => write_number(out, *number),
        Some(Kind::ListValue(list)) => write_list(out, &list.values, deeper(depth)?),
        Some(Kind::StructValue(object)) => write_object(out, object, deeper(depth)?),
    }
}

fn deeper(depth: usize) -> Result<usize, String> {
    match depth {
        DEPTH_MAX => Err(format!("is nested deeper than {DEPTH_MAX} levels: send it as text")),
        _ => Ok(depth + 1),
    }
}

fn write_number(out: &mut Vec<u8>, number: f64) -> Result<(), String> {
    if !number.is_finite() {
        return Err(format!("holds the number {number}: JSON has finite numbers only"));
    }
    if number.trunc() == number && number.abs() <= EXACT_INTEGER_MAX {
        return write(out, &(number as i64));
    }
    write(out, &number)
}

fn write_list(out: &mut Vec<u8>, values: &[Value], depth: usize) -> Result<(), String> {
    out.push(b'[');
    for (index, value) in values.iter().enumerate() {
        separate(out, index);
        write_value(out, value, depth)?;
    }
    out.push(b']');
    Ok(())
}

fn write_object(out: &mut Vec<u8>, object: &prost_types::Struct, depth: usize) -> Result<(), String> {
    out.push(b'{');
    for (index, (key, value)) in object.fields.iter().enumerate() {
        separate(out, index);
        write(out, key)?;
        out.push(b':');
        write_value(out, value, depth)?;
    }
    out.push(b'}');
    Ok(())
}

fn separate(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}

fn write(out: &mut Vec<u8>, scalar: &(impl serde::Serialize + ?Sized)) -> Result<(), String> {
    serde_json::to_writer(out, scalar).map_err(|error| format!("cannot be written as JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: Kind) -> Result<String, String> {
        to_text(&Value { kind: Some(kind) }).map(|text| String::from_utf8(text).unwrap())
    }

    fn list(values: Vec<Value>) -> Kind {
        Kind::ListValue(prost_types::ListValue { values })
    }

    #[test]
    fn integers_print_as_integers() {
        assert_eq!(text(Kind::NumberValue(3.0)).unwrap(), "3");
        assert_eq!(text(Kind::NumberValue(-0.0)).unwrap(), "0");
        assert_eq!(text(Kind::NumberValue(-EXACT_INTEGER_MAX)).unwrap(), "-9007199254740992");
        assert_eq!(text(Kind::NumberValue(0.1)).unwrap(), "0.1");
        assert_eq!(text(Kind::NumberValue(1e300)).unwrap().parse(), Ok(1e300));
    }

    #[test]
    fn numbers_that_json_lacks_are_refused() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let description = text(list(vec![Value { kind: Some(Kind::NumberValue(number)) }])).unwrap_err();
            assert!(description.contains(&number.to_string()), "{description}");
        }
    }

    #[test]
    fn a_value_without_a_kind_is_refused() {
        assert!(to_text(&Value { kind: None }).unwrap_err().contains("without a kind"));
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
