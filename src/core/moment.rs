//! Points of monotonic time, as deadlines are stored.

use std::time::Duration;

use crate::clock::Now;

/// A point of monotonic time in whole microseconds: half of what a `Duration` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

impl Moment {
    /// Later than all others.
    pub(super) const NEVER: Self = Self(u64::MAX);

    /// The first tick of the wheel at or after it.
    pub(super) fn tick(self) -> u64 {
        self.0.div_ceil(1_000)
    }

    pub(super) fn is_past(self, now: Now) -> bool {
        Duration::from(self) <= now.monotonic
    }
}

/// Rounded up: nothing is due early. Only the end of time is never.
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
