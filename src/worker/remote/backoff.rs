//! Pauses between tries to connect: growing, and spread by chance so that workers do not come back all at once.

use std::time::Duration;

/// Most of the first pause.
const FIRST_PAUSE_MAX: Duration = Duration::from_millis(50);

/// The pauses since the last connection that lasted.
#[derive(Debug)]
pub(super) struct Backoff {
    longest: Duration,
    next_max: Duration,
}

impl Backoff {
    /// Pauses of at most this long.
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, next_max: FIRST_PAUSE_MAX.min(longest) }
    }

    /// A connection lasted: begins anew.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.longest);
    }

    /// The next pause: this share, 0 to 1, of what it may be, on top of what the server asked for.
    pub(super) fn next(&mut self, share: f64, asked: Duration) -> Duration {
        let pause = self.next_max.mul_f64(share);
        self.next_max = (self.next_max * 2).min(self.longest);
        asked.saturating_add(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(5);

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new(LONGEST);
        let pauses: Vec<_> = (0..9).map(|_| backoff.next(1.0, Duration::ZERO).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.next(1.0, Duration::ZERO), FIRST_PAUSE_MAX);
    }

    #[test]
    fn what_the_server_asks_for_is_added() {
        let mut backoff = Backoff::new(LONGEST);
        assert_eq!(backoff.next(0.5, Duration::from_secs(3)), Duration::from_millis(3025));
        assert_eq!(backoff.next(0.0, Duration::ZERO), Duration::ZERO);
    }
}
