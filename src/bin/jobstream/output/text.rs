//! Short text for people: durations, counts, sizes and enum values.

use std::time::{Duration, SystemTime};

use indicatif::HumanCount;
use jobstream::proto::v1::payload::Body;
use jobstream::proto::v1::{
    Cancellation, Durability, Failure, FailureReason, JobState, Payload, WaitReason, WorkerLink, WorkerState,
};
use prost_types::Timestamp;

use super::json;

/// Most bytes that are shown as base64.
const BASE64_BYTES_MAX: usize = 48;

/// A duration in its two largest units: `1h 5m`, `12s`, `340ms`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |first: u64, first_unit: &str, second: u64, second_unit: &str| match second {
        0 => format!("{first}{first_unit}"),
        _ => format!("{first}{first_unit} {second}{second_unit}"),
    };
    match seconds {
        86_400.. => two(days, "d", hours, "h"),
        3_600.. => two(hours, "h", minutes, "m"),
        60.. => two(minutes, "m", seconds % 60, "s"),
        1.. => match duration.subsec_millis() / 100 {
            0 => format!("{seconds}s"),
            tenths => format!("{seconds}.{tenths}s"),
        },
        0 => format!("{}ms", duration.as_millis()),
    }
}

/// The time relative to now: `3m ago`, `in 12s`; empty if unset.
pub(crate) fn relative(time: Option<&Timestamp>, now: SystemTime) -> String {
    let Some(time) = time.and_then(|time| SystemTime::try_from(*time).ok()) else {
        return String::new();
    };
    match now.duration_since(time) {
        Ok(passed) => format!("{} ago", coarse(passed)),
        Err(ahead) => format!("in {}", coarse(ahead.duration())),
    }
}

fn coarse(passed: Duration) -> String {
    duration(Duration::from_secs(passed.as_secs()).max(Duration::from_millis(0))).replace("0ms", "0s")
}

/// RFC 3339 in UTC, or nothing.
pub(crate) fn time(time: Option<&Timestamp>) -> String {
    time.map(Timestamp::to_string).unwrap_or_default()
}

/// A number with separated thousands: `1,204`.
pub(crate) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A number with what it counts: `1 job`, `1,204 jobs`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A size in the largest binary unit that divides it well: `1 MiB`, `1.5 GiB`, `300 B`.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, size) in units {
        if bytes >= size {
            return match bytes % size * 10 / size {
                0 => format!("{} {unit}", bytes / size),
                tenths => format!("{}.{tenths} {unit}", bytes / size),
            };
        }
    }
    format!("{bytes} B")
}

/// Why an attempt failed, on one line: `EXIT_STATUS: exited with 3`.
pub(crate) fn failure(failure: &Failure) -> String {
    let mut parts = vec![reason(failure.reason()).to_owned()];
    parts.extend([&failure.r#type, &failure.message].into_iter().filter(|part| !part.is_empty()).cloned());
    parts.join(": ")
}

/// How a job was cancelled, on one line: `cancelled by ops: no longer needed`.
pub(crate) fn cancellation(end: &Cancellation) -> String {
    let by = Some(&end.principal).filter(|name| !name.is_empty());
    let by = by.map(|name| format!(" by {name}")).unwrap_or_default();
    let forced = match (by.as_str(), end.forced) {
        (_, false) => "",
        ("", true) => " by force",
        (_, true) => ", by force",
    };
    let reason = Some(&end.reason).filter(|reason| !reason.is_empty());
    let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("cancelled{by}{forced}{because}")
}

/// A payload by its content type: compact JSON, text as it is, and of other bytes the size and, if short, base64.
pub(crate) fn payload(payload: &Payload) -> String {
    let as_json = || json::message("Payload", payload);
    let (data, default_type) = match &payload.body {
        Some(Body::Json(_)) => {
            return as_json().map_or_else(|error| error.message, |json| json["json"].to_string());
        }
        Some(Body::Text(text)) => (text.as_bytes(), "text/plain"),
        Some(Body::Data(data)) => (data.as_ref(), "application/octet-stream"),
        None => return String::new(),
    };
    let content_type = match payload.content_type.as_str() {
        "" => default_type,
        content_type => content_type,
    };
    if data.is_empty() {
        return String::new();
    }
    let mime = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = mime == "application/json" || mime.ends_with("+json");
    match str::from_utf8(data) {
        Ok(text) if is_json => compact_json(text),
        Ok(text) if mime.starts_with("text/") || matches!(payload.body, Some(Body::Text(_))) => {
            text.to_owned()
        }
        _ => {
            let size = counted(data.len() as u64, "byte", "bytes");
            match as_json() {
                Ok(json) if data.len() <= BASE64_BYTES_MAX => {
                    format!("{size} of {content_type}, base64 {}", json["data"].as_str().unwrap_or_default())
                }
                _ => format!("{size} of {content_type}"),
            }
        }
    }
}

/// JSON without white space between its tokens. Numbers are not changed.
fn compact_json(text: &str) -> String {
    let (mut is_in_string, mut is_escaped) = (false, false);
    let is_kept = |c: &char| {
        let is_kept = is_in_string || !c.is_ascii_whitespace();
        is_in_string ^= *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        is_kept
    };
    text.chars().filter(is_kept).collect()
}

/// The name of an enum value without its prefix, as it is shown everywhere: `SUCCEEDED`.
fn short<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

/// `SUCCEEDED`.
pub(crate) fn state(state: JobState) -> &'static str {
    short(state.as_str_name(), "JOB_STATE_")
}

/// `NO_WORKER`; empty if the job does not wait.
pub(crate) fn wait_reason(reason: WaitReason) -> &'static str {
    match reason {
        WaitReason::Unspecified => "",
        reason => short(reason.as_str_name(), "WAIT_REASON_"),
    }
}

/// `EXIT_STATUS`.
pub(crate) fn reason(reason: FailureReason) -> &'static str {
    short(reason.as_str_name(), "FAILURE_REASON_")
}

/// `MEMORY`.
pub(crate) fn durability(durability: Durability) -> &'static str {
    short(durability.as_str_name(), "DURABILITY_")
}

/// `STREAM`.
pub(crate) fn worker_link(link: WorkerLink) -> &'static str {
    short(link.as_str_name(), "WORKER_LINK_")
}

/// `CONNECTED`.
pub(crate) fn worker_state(state: WorkerState) -> &'static str {
    short(state.as_str_name(), "WORKER_STATE_")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn durations_keep_two_units() {
        let cases = [
            (0, "0ms"),
            (340, "340ms"),
            (1_000, "1s"),
            (1_240, "1.2s"),
            (65_000, "1m 5s"),
            (3_600_000, "1h"),
            (90_061_000, "1d 1h"),
        ];
        for (millis, shown) in cases {
            assert_eq!(duration(Duration::from_millis(millis)), shown);
        }
    }

    #[test]
    fn times_are_shown_relative_to_now() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let at = |seconds| Timestamp { seconds, nanos: 0 };
        assert_eq!(relative(Some(&at(940)), now), "1m ago");
        assert_eq!(relative(Some(&at(1_000)), now), "0s ago");
        assert_eq!(relative(Some(&at(1_012)), now), "in 12s");
        assert_eq!(relative(None, now), "");
        assert_eq!(time(Some(&at(0))), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn counts_and_sizes_are_readable() {
        assert_eq!(
            (count(7), count(1_204), count(1_000_000)),
            ("7".into(), "1,204".into(), "1,000,000".into())
        );
        assert_eq!(
            (bytes(300), bytes(1 << 20), bytes(3 << 29)),
            ("300 B".into(), "1 MiB".into(), "1.5 GiB".into())
        );
        assert_eq!((bytes((1 << 30) + 5), bytes((1 << 30) - 1)), ("1 GiB".into(), "1023.9 MiB".into()));
    }

    #[test]
    fn a_payload_is_decoded_by_its_content_type() {
        let of = |body, content_type: &str| {
            payload(&Payload { body: Some(body), content_type: content_type.to_owned() })
        };
        let big = "{ \"a b\": \"\\\" }\",\n \"n\": 9007199254740993 }";
        let compact = r#"{"a b":"\" }","n":9007199254740993}"#;
        assert_eq!(of(Body::Text(big.to_owned()), "application/json"), compact);
        assert_eq!(of(Body::Data(big.as_bytes().into()), "application/json; charset=utf-8"), compact);
        assert_eq!(of(Body::Text("a\nb".to_owned()), ""), "a\nb");
        assert_eq!(of(Body::Data(Bytes::from_static(b"ab")), "text/csv"), "ab");
        assert_eq!(
            of(Body::Data(Bytes::from_static(b"\0\xff")), ""),
            "2 bytes of application/octet-stream, base64 AP8="
        );
        assert_eq!(of(Body::Data(vec![0; 1_204].into()), "image/png"), "1,204 bytes of image/png");
        assert_eq!(payload(&Payload::default()), "");
        assert_eq!(of(Body::Data(Bytes::new()), ""), "");
    }

    #[test]
    fn one_of_a_kind_is_singular() {
        assert_eq!((counted(1, "job", "jobs"), counted(0, "job", "jobs")), ("1 job".into(), "0 jobs".into()));
    }
}
