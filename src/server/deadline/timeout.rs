//! Parses the `grpc-timeout` header: up to eight digits and a unit.

use std::time::Duration;

use http::HeaderMap;
use tonic::Status;

const HEADER: &str = "grpc-timeout";
const DIGITS_MAX: usize = 8;

/// The timeout of the request; `None` without the header.
///
/// # Errors
///
/// INVALID_ARGUMENT with the value if it is malformed.
pub(super) fn parse(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    match parse_value(value.as_bytes()) {
        Some(timeout) => Ok(Some(timeout)),
        None => Err(Status::invalid_argument(format!(
            "{HEADER} is {value:?}: send 1 to {DIGITS_MAX} digits and one of the units H, M, S, m, u, n"
        ))),
    }
}

fn parse_value(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount = digits.iter().fold(0_u64, |amount, digit| amount * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(amount * 60 * 60)),
        b'M' => Some(Duration::from_secs(amount * 60)),
        b'S' => Some(Duration::from_secs(amount)),
        b'm' => Some(Duration::from_millis(amount)),
        b'u' => Some(Duration::from_micros(amount)),
        b'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_parsed() {
        let parsed = |text: &str| parse_value(text.as_bytes());
        assert_eq!(parsed("2H"), Some(Duration::from_secs(7_200)));
        assert_eq!(parsed("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parsed("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(parsed("050m"), Some(Duration::from_millis(50)));
        assert_eq!(parsed("7u"), Some(Duration::from_micros(7)));
        assert_eq!(parsed("0n"), Some(Duration::ZERO));
    }

    #[test]
    fn malformed_values_are_refused() {
        for wrong in ["", "S", "5", "+5S", "-1S", "5 S", "1.5S", "123456789S", "5s", "5ms", "５S"] {
            assert_eq!(parse_value(wrong.as_bytes()), None, "{wrong:?} was accepted as a timeout");
        }
    }
}
