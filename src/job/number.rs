//! Decides which JSON numbers a double represents exactly. The `json` arm of a payload, a `google.protobuf.Value`,
//! represents numbers as doubles.

use super::JSON;

/// 2^53. From here on, several integers map to one double, so a rounded integer cannot be detected. The `json` arm only
/// accepts numbers of smaller magnitude, in both directions.
pub(crate) const JSON_NUMBER_MAX: f64 = 9_007_199_254_740_992.0;

/// Deepest nesting of lists and objects in the `json` arm.
///
/// Each nested object is three messages deeper on the wire, and protobuf decoders stop at 100. With this limit every
/// response can be decoded.
pub(crate) const JSON_DEPTH_MAX: usize = 30;

/// Why deeper JSON is refused, without the name of the field.
pub(crate) fn json_too_deep() -> String {
    format!("is nested deeper than {JSON_DEPTH_MAX} levels: send it as text with content type {JSON}")
}

/// Integers with at most this many digits are below [`JSON_NUMBER_MAX`].
const SHORT_INTEGER_BYTES: usize = 15;

/// Whether the `json` arm of a payload carries this JSON text unchanged: it has at most 30 levels of nesting, and a
/// double represents each number exactly, with a magnitude below 2^53. Other JSON is sent as text with content type
/// `application/json`, which has neither limit.
///
/// The text must be well-formed.
pub fn json_arm_carries(json: &[u8]) -> bool {
    let (mut rest, mut depth) = (json, 0_usize);
    while let Some(first) = rest.first() {
        let token_bytes = match first {
            b'"' => string_bytes(rest),
            b'-' | b'0'..=b'9' => {
                let bytes = number_bytes(rest);
                if !is_exact(&rest[..bytes]) {
                    return false;
                }
                bytes
            }
            b'[' | b'{' => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    return false;
                }
                1
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                1
            }
            _ => 1,
        };
        rest = &rest[token_bytes..];
    }
    true
}

/// Length of the string at the start of the text, with its quotes.
fn string_bytes(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    text.len()
}

fn number_bytes(text: &[u8]) -> usize {
    let ends = |byte: &u8| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    text.iter().position(ends).unwrap_or(text.len())
}

fn is_exact(number: &[u8]) -> bool {
    if number.len() <= SHORT_INTEGER_BYTES && number.iter().all(u8::is_ascii_digit) {
        return true;
    }
    let Ok(text) = str::from_utf8(number) else { return false };
    let Ok(double) = text.parse::<f64>() else { return false };
    // The double is exact if its shortest decimal representation is the same number.
    double.abs() < JSON_NUMBER_MAX
        && Decimal::of(text).is_some_and(|exact| Decimal::of(&shortest(double)) == Some(exact))
}

/// The magnitude of a decimal number: digits without leading and trailing zeros, times a power of ten. Zero has no
/// digits.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// Parses a number. Returns `None` if its exponent overflows.
    fn of(number: &str) -> Option<Self> {
        let unsigned = number.trim_start_matches('-');
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> =
            whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0').collect();
        let significant = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        let trailing = digits.len() - significant;
        digits.truncate(significant);
        if digits.is_empty() {
            return Some(Self { digits, exponent: 0 });
        }
        let exponent: i64 = exponent.parse().ok()?;
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        Some(Self { digits, exponent: exponent.checked_add(i64::try_from(trailing).ok()?)? })
    }
}

/// The JSON representation of a double: all digits for an integer up to 2^64, else the shortest representation.
pub(crate) fn double_as_json(number: f64) -> String {
    const INTEGER_MAX: f64 = 18_446_744_073_709_551_616.0;
    match number.trunc() == number && number.abs() <= INTEGER_MAX {
        // Adding 0 turns -0 into 0.
        true => format!("{:.0}", number + 0.0),
        false => shortest(number),
    }
}

/// The shortest decimal representation of a double. If there are several, it is the one that JavaScript and Python use;
/// the standard library may choose another one.
fn shortest(number: f64) -> String {
    serde_json::Number::from_f64(number).map_or_else(|| "null".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_that_a_double_rounds_are_not_exact() {
        for number in [
            "9007199254740993",
            "9007199254740992",
            "-9007199254740992",
            "9007199254740993.0",
            "123456789012345678901234567890",
            "18446744073709551615",
            "0.1234567890123456789",
            "1e400",
            "-1e400",
            "1e-400",
            "1e300",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "4503599627370497.25",
            "1.23456789e-320",
        ] {
            for json in [number.to_owned(), format!("[1,{number}]"), format!("{{\"a\\\"1\": {number}}}")] {
                assert!(!json_arm_carries(json.as_bytes()), "{json}");
            }
        }
    }

    #[test]
    fn numbers_that_a_double_represents_are_exact() {
        for json in [
            "9007199254740991",
            "-9007199254740991",
            "0",
            "-0",
            "0.0",
            "0e99999999999999999999",
            "1.0",
            "0.1",
            "1E+2",
            "100000e-5",
            "5e-324",
            "1.7976931348623157e-300",
            "999999999999999",
            "2251799813685249.5",
            "-1974442724200704.2",
            r#"{"9007199254740993": "9007199254740993 \" 1e400", "b": [1.5, true, null]}"#,
            "",
        ] {
            assert!(json_arm_carries(json.as_bytes()), "{json}");
        }
    }

    #[test]
    fn integers_are_written_with_all_digits() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (2f64.powi(60), "1152921504606846976"),
            (-2f64.powi(63), "-9223372036854775808"),
            (0.1, "0.1"),
            (1e300, "1e300"),
            (-1_974_442_724_200_704.0 - 0.25, "-1974442724200704.2"),
        ];
        for (number, text) in cases {
            assert_eq!(double_as_json(number).replace('+', ""), text);
        }
    }

    proptest! {
        #[test]
        fn representation_parses_to_the_same_double(double in any::<f64>().prop_filter("finite", |double| double.is_finite())) {
            let text = double_as_json(double);
            prop_assert_eq!(text.parse::<f64>().unwrap(), double);
            prop_assert_eq!(json_arm_carries(text.as_bytes()), double.abs() < JSON_NUMBER_MAX);
        }
    }
}
