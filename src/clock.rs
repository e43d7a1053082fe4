//! The only reader of time: wall time for people, monotonic time for every deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::job::Timestamp;

/// A moment, read once a command and passed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Whole microseconds since the clock was made; never goes back and ignores changes of the wall clock.
    pub monotonic: Duration,
    /// Wall clock time.
    pub wall: Timestamp,
}

/// A source of [`Now`].
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    /// The moment at which it was made, and its monotonic time then.
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

    /// The machine's clocks, with a monotonic time that goes on from this one.
    pub(crate) fn system_after(monotonic: Duration) -> Self {
        let micros = monotonic.as_nanos().div_ceil(1_000) as u64;
        Self(Source::System(Instant::now(), Duration::from_micros(micros)))
    }

    /// A clock that moves only when told to; starts at 2026-01-01.
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::new(ManualTime {
            monotonic_micros: AtomicU64::new(0),
            wall_micros: AtomicU64::new(1_767_225_600_000_000),
        })))
    }

    /// The present moment.
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

    /// Moves the wall time of a manual clock alone, as if nothing ran meanwhile.
    #[cfg(test)]
    pub(crate) fn advance_wall(&self, by: Duration) {
        if let Source::Manual(time) = &self.0 {
            time.wall_micros.fetch_add(by.as_micros() as u64, Ordering::Relaxed);
        }
    }

    /// Moves a manual clock forward, monotonic and wall alike; does nothing to the system's.
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
