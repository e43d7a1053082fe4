//! Back-off between tries, and how long a watch or a wait reconnects during an outage.

use std::mem;
use std::time::Duration;

use tokio::time::Instant;

use super::error::{Error, ErrorKind, Result};
use super::{Client, ClientOptions, RetryOptions};

/// The pauses of one series of tries.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    options: RetryOptions,
    /// The bound of the next pause.
    bound: Duration,
}

impl Backoff {
    /// Starts with the shortest pause.
    pub(crate) fn new(options: RetryOptions) -> Self {
        Self { options, bound: options.first_pause.min(options.longest_pause) }
    }

    /// The next pause: random, so that clients of one server do not reconnect together, plus the delay that the server
    /// requests.
    pub(crate) fn pause(&mut self, retry_after: Option<Duration>) -> Duration {
        self.pause_with_jitter(rand::random(), retry_after)
    }

    /// Starts with the shortest pause again.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.options);
    }

    fn pause_with_jitter(&mut self, share: f64, retry_after: Option<Duration>) -> Duration {
        let pause = self.bound.mul_f64(share);
        self.bound = self.bound.saturating_mul(2).min(self.options.longest_pause);
        pause.saturating_add(retry_after.unwrap_or_default())
    }
}

/// The time since the server last answered a watch or a wait, and its bound.
#[derive(Debug)]
pub(crate) struct Outage {
    patience: Duration,
    backoff: Backoff,
    lost_since: Option<Instant>,
    /// Whether the client can get another token.
    renews_token: bool,
    /// Whether a refused token may be replaced: once until the server answers.
    can_renew: bool,
}

impl Outage {
    pub(crate) fn new(options: &ClientOptions) -> Self {
        let ClientOptions { retry, patience, .. } = *options;
        let renews_token = options.renews_token();
        Self {
            patience,
            backoff: Backoff::new(retry),
            lost_since: None,
            renews_token,
            can_renew: renews_token,
        }
    }

    /// The server answered: the outage is over.
    pub(crate) fn end(&mut self) {
        self.can_renew = self.renews_token;
        if self.lost_since.take().is_some() {
            self.backoff.reset();
        }
    }

    /// Pauses before the next try.
    ///
    /// # Errors
    ///
    /// The same error if a retry cannot help, or the outage is longer than `patience`.
    pub(super) async fn pause(&mut self, client: &Client, error: Error) -> Result<()> {
        if error.is_refused_token() && mem::take(&mut self.can_renew) {
            return Ok(());
        }
        let pause = self.next_pause(error.clone(), Instant::now())?;
        client.pause(error, pause).await;
        Ok(())
    }

    fn next_pause(&mut self, error: Error, now: Instant) -> Result<Duration> {
        if !error.is_transient() && error.kind() != ErrorKind::DeadlineExceeded {
            return Err(error);
        }
        let lost_for = now - *self.lost_since.get_or_insert(now);
        let pause = self.backoff.pause(error.retry_after());
        match lost_for.saturating_add(pause) > self.patience {
            true => Err(error.given_up(&format!("{lost_for:.1?} without an answer"))),
            false => Ok(pause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: RetryOptions = RetryOptions {
        tries_max: 3,
        first_pause: Duration::from_millis(100),
        longest_pause: Duration::from_secs(1),
        when_exhausted: true,
    };

    #[test]
    fn pauses_are_random_below_a_bound_that_grows() {
        let mut longest = Duration::ZERO;
        for _ in 0..200 {
            let mut backoff = Backoff::new(OPTIONS);
            for bound in [100, 200, 400, 800, 1000, 1000].map(Duration::from_millis) {
                let pause = backoff.pause(None);
                assert!(pause <= bound, "{pause:?} of {bound:?}");
                longest = longest.max(pause);
            }
        }
        assert!(longest > Duration::from_millis(800), "{longest:?}");
    }

    #[test]
    fn what_the_server_asks_for_comes_on_top() {
        let pause = Backoff::new(OPTIONS).pause(Some(Duration::from_secs(7)));
        assert!(pause >= Duration::from_secs(7) && pause <= Duration::from_millis(7100), "{pause:?}");
        assert_eq!(Backoff::new(OPTIONS).pause(Some(Duration::MAX)), Duration::MAX);
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again() {
        let (first_pause, longest_pause) = (Duration::from_millis(50), Duration::from_secs(5));
        let mut backoff = Backoff::new(RetryOptions { first_pause, longest_pause, ..OPTIONS });
        let pauses: Vec<_> = (0..9).map(|_| backoff.pause_with_jitter(1.0, None).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.pause_with_jitter(1.0, None), first_pause);
        backoff.reset();
        let retry_after = Some(Duration::from_secs(3));
        assert_eq!(backoff.pause_with_jitter(0.5, retry_after), Duration::from_millis(3025));
        assert_eq!(backoff.pause_with_jitter(0.0, None), Duration::ZERO);
    }

    fn away() -> Error {
        Error::new(ErrorKind::Unreachable, "", "away")
    }

    #[test]
    fn an_outage_is_bounded_and_an_answer_ends_it() {
        let patience = Duration::from_secs(60);
        let mut outage = Outage::new(&ClientOptions { retry: OPTIONS, patience, ..Default::default() });
        let start = Instant::now();
        let mut pause_at = |seconds| outage.next_pause(away(), start + Duration::from_secs(seconds));
        for seconds in [0, 30, 59] {
            pause_at(seconds).expect("it is shorter");
        }
        let error = pause_at(61).unwrap_err();
        assert_eq!(error.message(), "away; gave up after 61.0s without an answer");
        outage.end();
        outage.next_pause(away(), start + Duration::from_secs(62)).expect("a new outage");
    }

    #[test]
    fn an_error_that_no_retry_can_mend_ends_the_wait() {
        let mut outage = Outage::new(&ClientOptions::default());
        let gone = Error::new(ErrorKind::NotFound, "JOB_NOT_FOUND", "gone");
        assert_eq!(outage.next_pause(gone.clone(), Instant::now()), Err(gone));
    }
}
