//! Monotonic time in a compact form, for deadlines.

use std::time::Duration;

use crate::clock::Now;

/// A point of monotonic time in whole microseconds. It has half the size of a `Duration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

impl Moment {
    /// Later than all other moments.
    pub(super) const NEVER: Self = Self(u64::MAX);

    /// Rounds up to whole milliseconds, so that deadlines of the same millisecond are handled together.
    pub(super) fn whole_millis(self) -> Self {
        match self {
            Self::NEVER => Self::NEVER,
            Self(micros) => Self(micros.div_ceil(1_000).saturating_mul(1_000).min(u64::MAX - 1)),
        }
    }

    pub(super) fn is_past(self, now: Now) -> bool {
        Duration::from(self) <= now.monotonic
    }
}

/// Rounds up, so that nothing is due early. Only `Duration::MAX` becomes `NEVER`.
impl From<Duration> for Moment {
    fn from(time: Duration) -> Self {
        if time == Duration::MAX {
            return Self::NEVER;
        }
        let (seconds, micros) = (time.as_secs(), time.subsec_nanos().div_ceil(1_000));
        Self(seconds.saturating_mul(1_000_000).saturating_add(micros.into()).min(u64::MAX - 1))
    }
}

impl From<Moment> for Duration {
    fn from(moment: Moment) -> Self {
        match moment {
            Moment::NEVER => Self::MAX,
            Moment(micros) => Self::from_micros(micros),
        }
    }
}
