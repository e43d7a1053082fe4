//! The clock of the server: wall time for display, monotonic time for deadlines. No other module reads the wall clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::job::Timestamp;

/// A point in time. The engine reads it once for each command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Whole microseconds since the clock was created. Monotonic, and independent of changes of the wall clock.
    pub monotonic: Duration,
    /// Wall clock time.
    pub wall: Timestamp,
}

/// A source of [`Now`].
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    /// The instant at which the clock was created, and its monotonic time at that instant.
    System(Instant, Duration),
    Manual(Arc<ManualTime>),
}

#[derive(Debug)]
struct ManualTime {
    monotonic_micros: AtomicU64,
    wall_micros: AtomicU64,
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self::system_after(Duration::ZERO)
    }

    /// The machine's clocks, with a monotonic time that starts at this value.
    pub(crate) fn system_after(monotonic: Duration) -> Self {
        let micros = monotonic.as_nanos().div_ceil(1_000) as u64;
        Self(Source::System(Instant::now(), Duration::from_micros(micros)))
    }

    /// A clock for tests that only [`advance`](Self::advance) moves. Its wall time starts at 2026-01-01.
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::new(ManualTime {
            monotonic_micros: AtomicU64::new(0),
            wall_micros: AtomicU64::new(1_767_225_600_000_000),
        })))
    }

    /// The current time.
    pub fn now(&self) -> Now {
        match &self.0 {
            Source::System(start, before) => {
                let elapsed = Duration::from_micros(start.elapsed().as_micros() as u64);
                Now { monotonic: *before + elapsed, wall: system_wall() }
            }
            Source::Manual(time) => Now {
                monotonic: Duration::from_micros(time.monotonic_micros.load(Ordering::Relaxed)),
                wall: Timestamp::from_micros(time.wall_micros.load(Ordering::Relaxed) as i64),
            },
        }
    }

    /// Advances only the wall time of a manual clock, as if the process had not run in between.
    #[cfg(test)]
    pub(crate) fn advance_wall(&self, by: Duration) {
        if let Source::Manual(time) = &self.0 {
            time.wall_micros.fetch_add(by.as_micros() as u64, Ordering::Relaxed);
        }
    }

    /// Advances a manual clock, both its monotonic and its wall time. Has no effect on the system clock.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(time) = &self.0 {
            time.monotonic_micros.fetch_add(by.as_micros() as u64, Ordering::Relaxed);
            time.wall_micros.fetch_add(by.as_micros() as u64, Ordering::Relaxed);
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the clock is the one place that reads wall time")]
fn system_wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(since_epoch.as_micros() as i64)
}
