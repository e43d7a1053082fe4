//! Quotas: how much of a server a principal may use.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// How much a principal may use. The default has no limit.
///
/// ```
/// use std::num::NonZeroU32;
///
/// use jobstream::access::Quota;
///
/// let mut quota = Quota::default();
/// quota.submits_per_second = NonZeroU32::new(100);
/// quota.waiting_jobs = Some(10_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Quota {
    /// Jobs that it may submit a second, on average. Each job of a batch and of a stream counts, and each retry.
    pub submits_per_second: Option<NonZeroU32>,
    /// Jobs that it may submit at once after a pause. Default: those of one second.
    pub burst: Option<NonZeroU32>,
    /// Jobs that wait or run.
    pub waiting_jobs: Option<u32>,
    /// Bytes of payloads, labels and headers of these jobs.
    pub waiting_bytes: Option<u64>,
    /// Open watches: WatchResult, WatchJobs, Run, and GetResult while it waits.
    pub watches: Option<u32>,
    /// Open streams: SubmitStream and Work.
    pub streams: Option<u32>,
}

/// The quotas of all principals with a name. Anonymous callers have none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quotas {
    /// The quota of each principal that has none of its own. Default: no limit.
    pub default: Quota,
    /// The quotas of single principals, by name. They replace the default.
    pub by_name: BTreeMap<String, Quota>,
}

impl Quotas {
    /// The quota of the principal with this name.
    pub fn of(&self, name: &str) -> Quota {
        self.by_name.get(name).copied().unwrap_or(self.default)
    }
}

/// The error of a principal that would exceed a limit of its quota.
pub(crate) fn quota_exceeded(principal: &str, message: String, retry_after: Duration) -> Error {
    let subject = format!("principal:{principal}");
    Error::new(ErrorKind::ResourceExhausted { reason: "QUOTA", subject, retry_after }, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_of_a_principal_replaces_the_default() {
        let own = Quota { watches: Some(1), ..Quota::default() };
        let default = Quota { streams: Some(2), ..Quota::default() };
        let quotas = Quotas { default, by_name: [("billing".to_owned(), own)].into() };
        assert_eq!((quotas.of("billing"), quotas.of("mail")), (own, default));
    }
}
