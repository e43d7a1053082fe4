//! The header `Retry-After`: seconds or an HTTP date.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::RETRY_AFTER;

use crate::job::Timestamp;

/// Longest delay. A longer one is shortened to it.
const DELAY_MAX: Duration = Duration::from_secs(24 * 3600);

/// The delay that a response asks for. A header that cannot be parsed is ignored.
pub(super) fn delay(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let delay = match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true if text.is_empty() => return None,
        true => Duration::from_secs(text.parse().unwrap_or(u64::MAX)),
        false => time(httpdate::parse_http_date(text).ok()?).since(now),
    };
    Some(delay.min(DELAY_MAX))
}

fn time(time: SystemTime) -> Timestamp {
    let micros = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn seconds_and_dates_are_delays() {
        // 1994-11-06T08:49:37Z.
        let now = Timestamp::from_micros(784_111_777_000_000);
        let seconds = Duration::from_secs;
        for (text, expected) in [
            ("120", Some(seconds(120))),
            ("0", Some(seconds(0))),
            ("99999999999999999999999", Some(DELAY_MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(seconds(60))),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(seconds(60))),
            ("Sun Nov  6 08:50:37 1994", Some(seconds(60))),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(seconds(0))),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(DELAY_MAX)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            assert_eq!(delay(&headers, now), expected, "{text:?}");
        }
        assert_eq!(delay(&HeaderMap::new(), now), None);
    }
}
