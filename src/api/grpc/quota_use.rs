//! The use of each principal's quota: its rate of submits, its open watches and streams.
//!
//! The core counts the jobs that wait or run, because they outlive the calls.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::Api;
use crate::access::{Quota, quota_exceeded};
use crate::core::Caller;
use crate::error::{Error, Result};
use crate::job::NewJob;

/// Most principals whose use is stored. Idle ones are removed before one is refused.
const PRINCIPALS_MAX: usize = 100_000;
/// The table is searched for idle principals when it has so many, and then each time it has doubled.
const SWEPT_MIN: usize = 1_024;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// The delay before another try to open a watch or a stream.
const OPEN_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The use of the principals of a server. Clones share it.
#[derive(Clone, Default)]
pub(super) struct QuotaUse(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    principals: HashMap<Arc<str>, Use>,
    /// The number of principals at which idle ones are removed next.
    sweep_at: usize,
}

/// The use of one principal.
#[derive(Default)]
struct Use {
    /// Monotonic time at which the submits so far are within the average rate.
    submits_until: Duration,
    watches: u32,
    streams: u32,
}

/// The kinds of calls whose number is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    Watch,
    Stream,
}

/// An open watch or stream of a principal, until it is dropped.
pub(super) struct OpenPermit {
    quota_use: QuotaUse,
    principal: Arc<str>,
    open: Open,
}

impl Use {
    /// The number of open calls of this kind.
    fn open_mut(&mut self, open: Open) -> &mut u32 {
        match open {
            Open::Watch => &mut self.watches,
            Open::Stream => &mut self.streams,
        }
    }

    fn is_idle(&self, now: Duration) -> bool {
        self.submits_until <= now && self.watches == 0 && self.streams == 0
    }
}

/// The rate of a quota: the time that each job takes of a second, and the time that may be taken in advance.
struct Rate {
    interval: Duration,
    burst: Duration,
}

impl Rate {
    fn of(quota: &Quota) -> Option<Self> {
        let per_second = quota.submits_per_second?;
        // A rate above 1,000,000,000 is one of this much.
        let interval = Duration::from_nanos((NANOS_PER_SECOND / u64::from(per_second.get())).max(1));
        Some(Self { interval, burst: interval.saturating_mul(quota.burst.unwrap_or(per_second).get()) })
    }

    /// How many jobs may be submitted now, at most `jobs`.
    fn admits(&self, jobs: u32, until: Duration, now: Duration) -> u32 {
        let left = self.burst.saturating_sub(until.saturating_sub(now));
        let admitted = left.as_nanos() / self.interval.as_nanos();
        u32::try_from(admitted).unwrap_or(u32::MAX).min(jobs)
    }

    /// The time until `jobs` may be submitted. More than a burst never may.
    fn wait(&self, jobs: u32, until: Duration, now: Duration) -> Duration {
        let needed = self.interval.saturating_mul(jobs).min(self.burst);
        (until.saturating_sub(now) + needed).saturating_sub(self.burst)
    }
}

impl QuotaUse {
    /// Counts so many submits of the caller, or as many of them as its rate admits. Returns their number, and the
    /// error of the others.
    pub(super) fn submit_some(&self, caller: &Caller, now: Duration, jobs: u32) -> (u32, Option<Error>) {
        let Some((name, quota, rate)) = rate_of(caller) else { return (jobs, None) };
        let mut table = self.0.lock();
        let used = match table.of(name, now) {
            Ok(used) => used,
            Err(error) => return (0, Some(error)),
        };
        let admitted = rate.admits(jobs, used.submits_until, now);
        used.submits_until = used.submits_until.max(now) + rate.interval.saturating_mul(admitted);
        let error = (admitted < jobs).then(|| too_fast(name, quota, rate.wait(1, used.submits_until, now)));
        (admitted, error)
    }

    /// Counts so many submits of the caller, or none of them.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted`.
    pub(super) fn submit_all(&self, caller: &Caller, now: Duration, jobs: u32) -> Result<()> {
        let Some((name, quota, rate)) = rate_of(caller) else { return Ok(()) };
        let mut table = self.0.lock();
        let used = table.of(name, now)?;
        if rate.admits(jobs, used.submits_until, now) < jobs {
            return Err(too_fast(name, quota, rate.wait(jobs, used.submits_until, now)));
        }
        used.submits_until = used.submits_until.max(now) + rate.interval.saturating_mul(jobs);
        Ok(())
    }

    /// Counts an open watch or stream of the caller until the permit is dropped. There is no permit without a limit.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted`.
    pub(super) fn open(&self, caller: &Caller, now: Duration, open: Open) -> Result<Option<OpenPermit>> {
        let limit = |quota: &Quota| match open {
            Open::Watch => ("watches", quota.watches),
            Open::Stream => ("streams", quota.streams),
        };
        let Caller::Principal(name, quota) = caller else { return Ok(None) };
        let (what, Some(limit)) = limit(quota) else { return Ok(None) };
        let mut table = self.0.lock();
        let opened = table.of(name, now)?.open_mut(open);
        if *opened >= limit {
            let message = format!(
                "principal {name} has {opened} open {what}, its quota is {limit}: close some of them, or raise {what}"
            );
            return Err(quota_exceeded(name, message, OPEN_RETRY_AFTER));
        }
        *opened += 1;
        Ok(Some(OpenPermit { quota_use: self.clone(), principal: name.clone(), open }))
    }
}

/// The name, the quota and the rate of a principal with a rate.
fn rate_of(caller: &Caller) -> Option<(&Arc<str>, &Quota, Rate)> {
    let Caller::Principal(name, quota) = caller else { return None };
    Some((name, quota, Rate::of(quota)?))
}

fn too_fast(principal: &str, quota: &Quota, retry_after: Duration) -> Error {
    let per_second = quota.submits_per_second.map_or(0, Into::into);
    let burst = quota.burst.map_or(per_second, Into::into);
    let message = format!(
        "principal {principal} submits more jobs than its quota of {per_second} a second and {burst} at once: submit \
         again later, or raise submits_per_second or burst"
    );
    quota_exceeded(principal, message, retry_after)
}

impl Table {
    /// The use of the principal with this name.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` if too many principals are active.
    fn of(&mut self, name: &Arc<str>, now: Duration) -> Result<&mut Use> {
        let count = self.principals.len();
        if count >= self.sweep_at.clamp(SWEPT_MIN, PRINCIPALS_MAX) && !self.principals.contains_key(name) {
            self.principals.retain(|_, used| !used.is_idle(now));
            self.sweep_at = 2 * self.principals.len();
            if self.principals.len() >= PRINCIPALS_MAX {
                let message =
                    format!("{PRINCIPALS_MAX} principals with quotas are active, the limit: try again later");
                return Err(quota_exceeded(name, message, OPEN_RETRY_AFTER));
            }
        }
        Ok(self.principals.entry(name.clone()).or_default())
    }
}

impl Api {
    /// Counts a watch or a stream of the caller until the permit is dropped.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` if it exceeds the quota of its principal.
    pub(super) fn open(&self, caller: &Caller, open: Open) -> Result<Option<OpenPermit>> {
        self.quota_use.open(caller, self.engine.now().monotonic, open)
    }

    /// Counts submits of the caller: all of them or none.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` if they exceed the quota of its principal.
    pub(super) fn count_submits(&self, caller: &Caller, jobs: usize) -> Result<()> {
        let jobs = u32::try_from(jobs).unwrap_or(u32::MAX);
        self.quota_use.submit_all(caller, self.engine.now().monotonic, jobs)
    }

    /// Counts each valid job of a batch. Those above the rate of the caller's principal are replaced by an error.
    pub(super) fn count_each(&self, caller: &Caller, jobs: &mut [Result<NewJob>]) {
        let valid = u32::try_from(jobs.iter().flatten().count()).unwrap_or(u32::MAX);
        let (admitted, error) = self.quota_use.submit_some(caller, self.engine.now().monotonic, valid);
        let Some(error) = error else { return };
        let above = jobs.iter_mut().filter(|job| job.is_ok()).skip(admitted as usize);
        above.for_each(|job| *job = Err(error.clone()));
    }
}

impl Drop for OpenPermit {
    fn drop(&mut self) {
        let mut table = self.quota_use.0.lock();
        if let Some(used) = table.principals.get_mut(&self.principal) {
            *used.open_mut(self.open) -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::error::ErrorKind;

    const NOW: Duration = Duration::from_secs(100);

    fn principal(name: &str, change: impl FnOnce(&mut Quota)) -> Caller {
        let mut quota = Quota::default();
        change(&mut quota);
        Caller::Principal(name.into(), quota)
    }

    fn rated(name: &str) -> Caller {
        principal(name, |quota| {
            (quota.submits_per_second, quota.burst) = (NonZeroU32::new(10), NonZeroU32::new(5));
        })
    }

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn retry_after(error: &Error) -> Duration {
        match error.kind() {
            ErrorKind::ResourceExhausted { reason: "QUOTA", subject, retry_after } => {
                assert_eq!(subject, "principal:billing");
                *retry_after
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_burst_is_admitted_and_then_the_rate() {
        let (quota_use, billing) = (QuotaUse::default(), rated("billing"));
        let submit = |now, jobs| {
            let (admitted, error) = quota_use.submit_some(&billing, now, jobs);
            (admitted, error.as_ref().map(retry_after))
        };
        assert_eq!(submit(NOW, 3), (3, None));
        assert_eq!(submit(NOW, 3), (2, Some(millis(100))), "time until the next one");
        assert_eq!(submit(NOW + millis(99), 1), (0, Some(millis(1))));
        assert_eq!(submit(NOW + millis(100), 1), (1, None));
        assert_eq!(submit(NOW + millis(10_000), 9), (5, Some(millis(100))), "a pause saves up one burst");
        assert_eq!(quota_use.submit_some(&rated("mail"), NOW, 5).0, 5, "each has a rate of its own");
    }

    #[test]
    fn the_highest_rate_admits_jobs() {
        let quota_use = QuotaUse::default();
        let billing = principal("billing", |quota| quota.submits_per_second = Some(NonZeroU32::MAX));
        assert_eq!(quota_use.submit_some(&billing, NOW, 1_000).0, 1_000);
    }

    #[test]
    fn a_batch_is_admitted_as_a_whole_or_not_at_all() {
        let (quota_use, billing) = (QuotaUse::default(), rated("billing"));
        let submit =
            |now, jobs| quota_use.submit_all(&billing, now, jobs).map_err(|error| retry_after(&error));
        assert_eq!(submit(NOW, 4), Ok(()));
        assert_eq!(submit(NOW, 3), Err(millis(200)));
        assert_eq!(submit(NOW, 1), Ok(()), "the refused batch did not count");
        assert_eq!(submit(NOW + millis(300), 3), Ok(()));
    }

    #[test]
    fn open_watches_and_streams_have_limits_of_their_own() {
        let quota_use = QuotaUse::default();
        let billing = principal("billing", |quota| (quota.watches, quota.streams) = (Some(2), Some(0)));
        let open = |open| quota_use.open(&billing, NOW, open).map_err(|error| retry_after(&error));
        let first = open(Open::Watch).unwrap();
        let _second = open(Open::Watch).unwrap();
        assert_eq!(open(Open::Watch).err(), Some(OPEN_RETRY_AFTER));
        drop(first);
        assert!(open(Open::Watch).is_ok() && open(Open::Stream).is_err());
    }

    #[test]
    fn without_a_name_or_a_limit_nothing_is_counted() {
        let quota_use = QuotaUse::default();
        let unlimited = principal("billing", |_| {});
        for caller in [&unlimited, &Caller::Connection(1), &Caller::Embedder] {
            assert_eq!(quota_use.submit_some(caller, NOW, u32::MAX).0, u32::MAX);
            assert!(quota_use.open(caller, NOW, Open::Stream).unwrap().is_none());
        }
        assert_eq!(quota_use.0.lock().principals.len(), 0);
    }

    #[test]
    fn idle_principals_are_removed_and_active_ones_are_bounded() {
        let quota_use = QuotaUse::default();
        let count = || quota_use.0.lock().principals.len();
        for number in 0..5 * SWEPT_MIN as u32 {
            let one = rated(&format!("p{number}"));
            quota_use.submit_all(&one, NOW + millis(1_000) * number, 1).unwrap();
        }
        assert!(count() <= SWEPT_MIN, "{}", count());
        let watching = |name: &str| principal(name, |quota| quota.watches = Some(1));
        let open = |name: &str| quota_use.open(&watching(name), NOW + millis(u32::MAX.into()), Open::Watch);
        let permits: Vec<_> = (0..PRINCIPALS_MAX).map(|number| open(&number.to_string()).unwrap()).collect();
        assert_eq!(count(), PRINCIPALS_MAX);
        assert!(open("billing").is_err());
        drop(permits);
        assert!(open("billing").is_ok());
        assert_eq!(count(), 1);
    }
}
