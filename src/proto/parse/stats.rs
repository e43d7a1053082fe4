//! Parses GetStatsRequest.

use super::Violations;
use super::request::{optional_kind, optional_queue};
use super::time::{self, STATS_RANGE};
use crate::error::Result;
use crate::job::{StatsFilter, StatsWindow};
use crate::proto::v1;

/// Parses a GetStatsRequest.
///
/// # Errors
///
/// `InvalidField` with every violation.
pub(crate) fn get_stats(request: v1::GetStatsRequest) -> Result<StatsFilter> {
    let mut found = Violations::default();
    let range = found.check("range", time::optional(request.range, &STATS_RANGE)).flatten();
    let step = found.check("step", time::optional(request.step, &STATS_RANGE)).flatten();
    let kind = optional_kind("kind", &request.kind, &mut found);
    let queue = optional_queue("queue", &request.queue, &mut found);
    let range = range.unwrap_or(StatsWindow::FINE_RANGE_MAX);
    let window = StatsWindow::new(range, step.unwrap_or_default());
    found.finish(|| Some(StatsFilter { window, queue, kind }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> Option<prost_types::Duration> {
        Some(prost_types::Duration { seconds, nanos: 0 })
    }

    fn window(range: Option<i64>, step: Option<i64>) -> (u64, usize) {
        let request = v1::GetStatsRequest {
            range: range.and_then(seconds),
            step: step.and_then(seconds),
            ..v1::GetStatsRequest::default()
        };
        let window = get_stats(request).unwrap().window;
        (window.step().as_secs(), window.steps())
    }

    #[test]
    fn a_window_has_whole_steps() {
        assert_eq!(window(None, None), (10, 180));
        assert_eq!(window(Some(1_801), None), (300, 7));
        assert_eq!(window(Some(86_400), None), (300, 288));
        assert_eq!(window(Some(3_600), Some(10)), (300, 12), "no shorter step");
        assert_eq!(window(Some(60), Some(25)), (30, 2), "a multiple of the shortest step");
        assert_eq!(window(Some(15), Some(86_400)), (20, 1), "at most the range");
        assert_eq!(window(Some(1), Some(1)), (10, 1), "at least a step");
    }

    #[test]
    fn every_violation_is_named() {
        let request = v1::GetStatsRequest {
            range: seconds(86_401),
            step: seconds(0),
            queue: "a b".to_owned(),
            kind: "c d".to_owned(),
        };
        let error = get_stats(request).unwrap_err().to_string();
        for field in
            ["range: is 86401 s: allowed is 1 s to 24 h", "step: is 0 s", "queue: \"a b\"", "kind: \"c d\""]
        {
            assert!(error.contains(field), "{field}: {error}");
        }
    }
}
