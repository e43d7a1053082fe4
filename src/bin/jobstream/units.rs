//! Parses job ids, spans, times and pairs of the command line.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use jobstream::error::ErrorKind;
use jobstream::job::JobId;
use prost_types::Timestamp;

/// Parses the UUID of a job.
pub(crate) fn job_id(text: &str) -> Result<JobId, String> {
    JobId::parse("job_id", text).map_err(|error| match error.kind() {
        // Without the field: the flag is named beside it.
        ErrorKind::InvalidField(violations) => violations[0].description.clone(),
        _ => error.to_string(),
    })
}

/// Reads `30s`, `1h 30m`, `250ms`, or a bare `0`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}: write a number and a unit, such as 30s, 1h30m or 250ms"))
}

/// Reads a span above 0, for a timeout.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be more than 0, such as 5s".to_owned()),
        timeout => Ok(timeout),
    }
}

/// Reads an RFC 3339 time: `2026-12-24T18:00:00Z`, or with an offset. A time without a zone is refused: it could be
/// local or UTC.
pub(crate) fn timestamp(text: &str) -> Result<Timestamp, String> {
    const EXAMPLES: &str = "2026-12-24T18:00:00Z (UTC) or 2026-12-24T18:00:00+01:00";
    let time = text.parse().map_err(|_| format!("write it as in {EXAMPLES}"))?;
    let clock = text.split_once([' ', 'T', 't']).map_or("", |(_, clock)| clock);
    match clock.contains(['Z', 'z', '+', '-']) {
        true => Ok(time),
        false => Err(format!("has no time zone: write it as in {EXAMPLES}")),
    }
}

/// Parses an RFC 3339 time, or a span before now: `15m`.
pub(crate) fn past(text: &str) -> Result<Timestamp, String> {
    let from_span = |span| now().checked_sub(span).map(Timestamp::from);
    match (duration(text).ok().and_then(from_span), timestamp(text)) {
        (Some(time), _) | (None, Ok(time)) => Ok(time),
        (None, Err(problem)) => Err(format!("{problem}, or how long ago: 15m")),
    }
}

/// The local time, for relative times.
#[allow(clippy::disallowed_methods, reason = "the ban is for the library, whose time is an argument")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Parses a span as a protobuf Duration.
pub(crate) fn proto_duration(text: &str) -> Result<prost_types::Duration, String> {
    duration(text)?.try_into().map_err(|_| "is too long".to_owned())
}

/// Reads `key=value`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as key=value".to_owned()),
    }
}

/// The pairs as a map; of two with the same key the last one counts.
pub(crate) fn pairs(pairs: &[(String, String)]) -> HashMap<String, String> {
    pairs.iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_humane() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert!(duration("-1s").is_err());
        assert!(duration("10").expect_err("no unit").contains("30s"));
    }

    #[test]
    fn times_are_absolute_or_past() {
        assert_eq!(timestamp("1970-01-01T01:00:00+01:00").map(|time| time.seconds), Ok(0));
        assert!(timestamp("tomorrow").is_err());
        for text in ["2026-12-24 18:00:00", "2026-12-24T18:00:00", "2026-12-24"] {
            assert!(timestamp(text).expect_err("no zone").starts_with("has no time zone"), "{text}");
            assert!(past(text).expect_err("no zone").starts_with("has no time zone"), "{text}");
        }
        for text in ["2026-12-24 18:00:00Z", "2026-12-24T18:00:00.5-01:00"] {
            assert!(timestamp(text).is_ok(), "{text}");
        }
        assert!(past("15m").is_ok());
        assert!(past("1970-01-01T00:00:00Z").is_ok());
        assert!(past("noon").is_err());
    }

    #[test]
    fn a_pair_needs_a_key() {
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(pair("a="), Ok(("a".into(), String::new())));
        assert!(pair("=b").is_err());
        assert!(pair("a").is_err());
    }
}
