//! Pauses between tries: longer each time, never quite the same, never shorter than the server asks for.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// The longest pause that a server may ask for and get.
const ASKED_MAX: Duration = Duration::from_secs(30);

/// The pauses of one series of tries.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// Starts with the shortest pause.
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The next pause; at least what the server asked for, within reason.
    pub(crate) fn pause(&mut self, asked: Option<Duration>) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(LONGEST);
        // Half of it is random, so that clients which lost the same server do not come back at the same moment.
        let pause = full.mul_f64(0.5 + rand::random::<f64>() / 2.0);
        pause.max(asked.unwrap_or_default().min(ASKED_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let mut backoff = Backoff::new();
        assert!(backoff.pause(None) <= FIRST);
        for _ in 0..10 {
            backoff.pause(None);
        }
        let pause = backoff.pause(None);
        assert!(pause >= LONGEST / 2 && pause <= LONGEST, "{pause:?}");
    }

    #[test]
    fn the_server_may_ask_for_more_within_reason() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.pause(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(backoff.pause(Some(Duration::from_secs(9_000))), ASKED_MAX);
    }
}
