//! Parses protobuf durations and timestamps.

use std::time::Duration;

use super::DURATION_MAX;
use crate::job::{StatsWindow, Timestamp};

const NANOS_PER_SECOND: i32 = 1_000_000_000;
const MICROS_PER_SECOND: i64 = 1_000_000;
/// 0001-01-01T00:00:00Z, in seconds since 1970.
const FIRST_SECOND: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z, in seconds since 1970.
const LAST_SECOND: i64 = 253_402_300_799;

/// The valid durations of a field, both ends included.
pub(crate) struct DurationRange {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
    text: &'static str,
}

/// A delay: not negative, at most 10 years.
pub(crate) const DELAY: DurationRange =
    DurationRange { min: Duration::ZERO, max: DURATION_MAX, text: "0 to 10 years" };
/// A time limit: at least 1 ms, at most 10 years.
pub(crate) const TIMEOUT: DurationRange =
    DurationRange { min: Duration::from_millis(1), max: DURATION_MAX, text: "1 ms to 10 years" };
/// A heartbeat interval: 1 s to 1 h.
pub(crate) const HEARTBEAT: DurationRange =
    DurationRange { min: Duration::from_secs(1), max: Duration::from_secs(3600), text: "1 s to 1 h" };
/// A grace period after a cancel: at most 1 h.
pub(crate) const GRACE: DurationRange =
    DurationRange { min: Duration::ZERO, max: Duration::from_secs(3600), text: "0 to 1 h" };
/// The time for the running attempts of a drained worker: at most 24 h.
pub(crate) const DRAIN: DurationRange =
    DurationRange { min: Duration::ZERO, max: Duration::from_secs(24 * 3600), text: "0 to 24 h" };
/// The lifetime of a minted token: at least 1 s, at most 24 h.
pub(crate) const LIFETIME: DurationRange =
    DurationRange { min: Duration::from_secs(1), max: Duration::from_secs(24 * 3600), text: "1 s to 24 h" };
/// The window of statistics, and its steps: at least 1 s, at most 24 h.
pub(crate) const STATS_RANGE: DurationRange =
    DurationRange { min: Duration::from_secs(1), max: StatsWindow::RANGE_MAX, text: "1 s to 24 h" };
/// A wait of any length.
pub(crate) const WAIT: DurationRange =
    DurationRange { min: Duration::ZERO, max: Duration::MAX, text: "0 or more" };

/// Parses a duration within the range.
pub(super) fn duration(wire: prost_types::Duration, range: &DurationRange) -> Result<Duration, String> {
    let prost_types::Duration { seconds, nanos } = wire;
    if nanos.unsigned_abs() >= NANOS_PER_SECOND.unsigned_abs()
        || (seconds > 0 && nanos < 0)
        || (seconds < 0 && nanos > 0)
    {
        return Err(format!(
            "is not a duration: {seconds} seconds and {nanos} nanos, but nanos must be within ±999999999 \
             and have the sign of the seconds"
        ));
    }
    let parsed = match (u64::try_from(seconds), u32::try_from(nanos)) {
        (Ok(seconds), Ok(nanos)) => Some(Duration::new(seconds, nanos)),
        _ => None,
    };
    parsed
        .filter(|duration| (range.min..=range.max).contains(duration))
        .ok_or_else(|| format!("is {}: allowed is {}", format_seconds(seconds, nanos), range.text))
}

/// Parses an optional duration.
pub(super) fn optional(
    wire: Option<prost_types::Duration>,
    range: &DurationRange,
) -> Result<Option<Duration>, String> {
    wire.map(|wire| duration(wire, range)).transpose()
}

/// Parses a timestamp. Nanoseconds are rounded up to microseconds, so that the time is never too early. In the last
/// microsecond of 9999 they are rounded down.
pub(super) fn timestamp(wire: prost_types::Timestamp) -> Result<Timestamp, String> {
    let prost_types::Timestamp { seconds, nanos } = wire;
    if !(0..NANOS_PER_SECOND).contains(&nanos) || !(FIRST_SECOND..=LAST_SECOND).contains(&seconds) {
        return Err(format!(
            "is not a timestamp: {seconds} seconds and {nanos} nanos, but seconds must be within the years \
             1 to 9999 and nanos 0 to 999999999"
        ));
    }
    let micros = i64::from(nanos.unsigned_abs().div_ceil(1000));
    Ok(Timestamp::from_micros(seconds * MICROS_PER_SECOND + micros))
}

/// An exact duration for error messages: `-1.5 s`.
fn format_seconds(seconds: i64, nanos: i32) -> String {
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let (seconds, nanos) = (seconds.unsigned_abs(), nanos.unsigned_abs());
    match nanos {
        0 => format!("{sign}{seconds} s"),
        _ => format!("{sign}{seconds}.{} s", format!("{nanos:09}").trim_end_matches('0')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(seconds: i64, nanos: i32) -> prost_types::Duration {
        prost_types::Duration { seconds, nanos }
    }

    #[test]
    fn durations_keep_their_nanoseconds() {
        assert_eq!(duration(wire(3, 7), &DELAY), Ok(Duration::new(3, 7)));
        assert_eq!(duration(wire(0, 0), &DELAY), Ok(Duration::ZERO));
    }

    #[test]
    fn an_error_of_a_duration_names_its_value_and_range() {
        let refused = |seconds, nanos, range| duration(wire(seconds, nanos), range).unwrap_err();
        assert_eq!(refused(-1, -500_000_000, &DELAY), "is -1.5 s: allowed is 0 to 10 years");
        assert_eq!(refused(0, -1, &DELAY), "is -0.000000001 s: allowed is 0 to 10 years");
        assert_eq!(refused(315_360_000, 1, &DELAY), "is 315360000.000000001 s: allowed is 0 to 10 years");
        assert_eq!(refused(i64::MIN, 0, &DELAY), "is -9223372036854775808 s: allowed is 0 to 10 years");
        assert_eq!(refused(0, 999_999, &TIMEOUT), "is 0.000999999 s: allowed is 1 ms to 10 years");
        assert_eq!(refused(3601, 0, &GRACE), "is 3601 s: allowed is 0 to 1 h");
        assert_eq!(refused(-1, 0, &WAIT), "is -1 s: allowed is 0 or more");
        assert!(duration(wire(315_360_000, 0), &TIMEOUT).is_ok());
        assert!(duration(wire(0, 1_000_000), &TIMEOUT).is_ok());
    }

    #[test]
    fn invalid_nanoseconds_are_refused() {
        for (seconds, nanos) in [(0, NANOS_PER_SECOND), (0, i32::MIN), (1, -1), (-1, 1)] {
            let description = duration(wire(seconds, nanos), &WAIT).unwrap_err();
            let value = format!("{seconds} seconds and {nanos} nanos");
            assert!(description.contains(&value) && description.contains("999999999"), "{description}");
        }
    }

    #[test]
    fn timestamps_round_up_to_microseconds() {
        let read = |seconds, nanos| timestamp(prost_types::Timestamp { seconds, nanos });
        assert_eq!(read(1, 1), Ok(Timestamp::from_micros(1_000_001)));
        assert_eq!(read(1, 1000), Ok(Timestamp::from_micros(1_000_001)));
        assert_eq!(read(-1, 999_999_999), Ok(Timestamp::from_micros(0)));
        assert_eq!(read(LAST_SECOND, 999_999_999), Ok(Timestamp::MAX));
    }

    #[test]
    fn invalid_timestamps_are_refused() {
        for (seconds, nanos) in
            [(0, -1), (0, NANOS_PER_SECOND), (LAST_SECOND + 1, 0), (i64::MIN, 0), (i64::MAX, 0)]
        {
            let description = timestamp(prost_types::Timestamp { seconds, nanos }).unwrap_err();
            assert!(description.contains(&format!("{seconds} seconds and {nanos} nanos")), "{description}");
            assert!(description.contains("9999"), "{description}");
        }
    }
}
