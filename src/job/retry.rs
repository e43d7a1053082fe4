//! Retry policies decide whether and when a failed attempt is retried.

use std::time::Duration;

use super::{Failure, FailureReason, JobId};

/// The retry policy of a job: an exponential back-off with jitter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Most attempts, with the first one.
    pub max_attempts: u32,
    /// Back-off before the second attempt.
    pub initial_backoff: Duration,
    /// Factor between consecutive back-offs.
    pub multiplier: f64,
    /// Longest back-off.
    pub max_backoff: Duration,
    /// Random fraction of each back-off, from 0 to 1.
    pub jitter: f64,
    /// The job fails when this many attempts were lost with their worker.
    pub max_lost_attempts: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 1,
            initial_backoff: Duration::from_secs(1),
            multiplier: 2.0,
            max_backoff: Duration::from_secs(3600),
            jitter: 0.2,
            max_lost_attempts: 3,
        }
    }
}

/// The decision of a retry policy after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// The next attempt starts after this delay; at once if it is zero.
    Retry(Duration),
    /// The job ends.
    End,
}

impl RetryPolicy {
    /// Decides what follows a failed attempt.
    ///
    /// `counted` is the number of attempts that count against `max_attempts`, and `lost` the number of attempts that
    /// were lost with their worker, both with this one. `retry_after` is the handler's own delay, if it set one.
    pub fn after(
        &self,
        failure: &Failure,
        job_id: JobId,
        counted: u32,
        lost: u32,
        retry_after: Option<Duration>,
    ) -> AfterFailure {
        if failure.reason == FailureReason::WorkerLost {
            return if lost < self.max_lost_attempts {
                AfterFailure::Retry(Duration::ZERO)
            } else {
                AfterFailure::End
            };
        }
        if !failure.retryable || counted >= self.max_attempts {
            return AfterFailure::End;
        }
        AfterFailure::Retry(retry_after.unwrap_or_else(|| self.backoff(job_id, counted)))
    }

    /// The back-off after this many counted attempts. The jitter is a hash of job and attempt, so it is reproducible
    /// and differs between jobs.
    fn backoff(&self, job_id: JobId, counted: u32) -> Duration {
        let exponent = i32::try_from(counted.saturating_sub(1)).unwrap_or(i32::MAX);
        let factor = self.multiplier.powi(exponent);
        let seconds = (self.initial_backoff.as_secs_f64() * factor).min(self.max_backoff.as_secs_f64());
        let jittered = seconds * (1.0 - self.jitter * unit_hash(job_id, counted));
        Duration::try_from_secs_f64(jittered).unwrap_or(self.max_backoff)
    }
}

/// A hash of job and attempt, uniform in `0..1`: FNV-1a with a final mix.
fn unit_hash(job_id: JobId, attempt: u32) -> f64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in job_id.as_bytes().iter().chain(&attempt.to_le_bytes()) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: [u8; 16] = [7; 16];

    fn policy() -> RetryPolicy {
        RetryPolicy { max_attempts: 5, jitter: 0.0, ..RetryPolicy::default() }
    }

    #[test]
    fn backoff_grows_by_the_multiplier_up_to_its_limit() {
        let policy = RetryPolicy { max_backoff: Duration::from_secs(5), ..policy() };
        let backoffs: Vec<_> = (1..=4).map(|n| policy.backoff(JobId::from_bytes(JOB), n).as_secs()).collect();
        assert_eq!(backoffs, [1, 2, 4, 5]);
    }

    #[test]
    fn jitter_shortens_the_backoff_by_at_most_its_fraction_and_is_reproducible() {
        let policy = RetryPolicy { jitter: 0.5, ..policy() };
        let mut distinct = std::collections::BTreeSet::new();
        for n in 0..100 {
            let id = JobId::from_bytes([n; 16]);
            let backoff = policy.backoff(id, 1);
            assert!(backoff > Duration::from_millis(499) && backoff <= Duration::from_secs(1), "{backoff:?}");
            assert_eq!(backoff, policy.backoff(id, 1));
            distinct.insert(backoff);
        }
        assert!(distinct.len() > 90);
    }

    #[test]
    fn huge_exponents_give_the_longest_backoff() {
        let policy = RetryPolicy { multiplier: 100.0, ..policy() };
        assert_eq!(policy.backoff(JobId::from_bytes(JOB), u32::MAX), policy.max_backoff);
    }

    #[test]
    fn longest_backoff_may_be_the_largest_duration() {
        let policy = RetryPolicy { max_backoff: Duration::MAX, ..policy() };
        assert_eq!(policy.backoff(JobId::from_bytes(JOB), u32::MAX), Duration::MAX);
    }

    #[test]
    fn lost_attempts_have_their_own_budget() {
        let lost = Failure::new(FailureReason::WorkerLost, "gone");
        let policy = RetryPolicy::default();
        let id = JobId::from_bytes(JOB);
        assert_eq!(policy.after(&lost, id, 0, 2, None), AfterFailure::Retry(Duration::ZERO));
        assert_eq!(policy.after(&lost, id, 0, 3, None), AfterFailure::End);
    }
}
