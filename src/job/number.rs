//! Numbers of JSON and the doubles that the `json` arm of a payload holds: which of them a double carries as they are.

/// From here on, 2^53, several integers share a double: one that was rounded on the way cannot be told from one that was
/// not. The `json` arm takes numbers of a smaller magnitude only, in both directions.
pub(crate) const JSON_NUMBER_MAX: f64 = 9_007_199_254_740_992.0;

/// Numbers of at most so many characters and only digits are below [`JSON_NUMBER_MAX`].
const SHORT_INTEGER_BYTES: usize = 15;

/// Whether the `json` arm of a payload carries every number of this JSON text as it is: its double denotes the same
/// decimal number, and is below 2^53 in magnitude. JSON of which it does not is sent as text with content type
/// `application/json`, and keeps every digit.
///
/// The text is taken to be well-formed.
pub fn json_arm_carries(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(first) = rest.first() {
        let taken = match first {
            b'"' => string_bytes(rest),
            b'-' | b'0'..=b'9' => {
                let number = number_bytes(rest);
                if !is_carried(&rest[..number]) {
                    return false;
                }
                number
            }
            _ => 1,
        };
        rest = &rest[taken..];
    }
    true
}

/// Bytes of the string that the text begins with, quotes included.
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

fn is_carried(number: &[u8]) -> bool {
    if number.len() <= SHORT_INTEGER_BYTES && number.iter().all(u8::is_ascii_digit) {
        return true;
    }
    let Ok(text) = str::from_utf8(number) else { return false };
    let Ok(double) = text.parse::<f64>() else { return false };
    // If the shortest text that reads as the double is the same number, no digit was lost.
    double.abs() < JSON_NUMBER_MAX
        && Decimal::of(text).is_some_and(|exact| Decimal::of(&shortest(double)) == Some(exact))
}

/// A decimal number without its sign: digits that neither begin nor end with zero, times a power of ten. Zero has none.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// `None` if the exponent is out of all range.
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

/// A double as a number of JSON: a whole one up to 2^64 with every digit, others as the shortest text that reads as it.
pub(crate) fn double_as_json(number: f64) -> String {
    const WHOLE_MAX: f64 = 18_446_744_073_709_551_616.0;
    match number.trunc() == number && number.abs() <= WHOLE_MAX {
        // -0 is 0.
        true => format!("{:.0}", number + 0.0),
        false => shortest(number),
    }
}

/// The shortest text that reads as the double, and of several the one that JavaScript and Python write too: between two
/// of them the standard library chooses another.
fn shortest(number: f64) -> String {
    serde_json::Number::from_f64(number).map_or_else(|| "null".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_that_a_double_changes_is_not_carried() {
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
    fn a_number_that_a_double_holds_is_carried() {
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
    fn whole_doubles_have_every_digit() {
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
        fn what_is_carried_comes_back_as_the_same_number(double in any::<f64>().prop_filter("finite", |double| double.is_finite())) {
            let text = double_as_json(double);
            prop_assert_eq!(text.parse::<f64>().unwrap(), double);
            prop_assert_eq!(json_arm_carries(text.as_bytes()), double.abs() < JSON_NUMBER_MAX);
        }
    }
}
