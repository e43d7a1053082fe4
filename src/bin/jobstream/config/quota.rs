//! The `[auth.quota]` table of a config, and `[token.quota]` of a tokens file: how much a principal may use.

use std::num::NonZeroU32;

use jobstream::access::Quota;
use serde::{Deserialize, Serialize};

use super::table::table;
use super::values;
use crate::error::{Error, Result};

table! {
    /// The quota of a principal.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct QuotaConfig {
        /// Jobs that it may submit a second, on average [default: no limit]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub(crate) submits_per_second: Option<NonZeroU32>,
        /// Jobs that it may submit at once after a pause [default: submits_per_second]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub(crate) burst: Option<NonZeroU32>,
        /// Jobs that wait or run [default: no limit]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub(crate) waiting_jobs: Option<u32>,
        /// Bytes of payloads, labels and headers of these jobs [default: no limit]
        #[serde(default, with = "values::optional_size", skip_serializing_if = "Option::is_none")]
        pub(crate) waiting_bytes: Option<u64>,
        /// Open watches: WatchResult, WatchJobs, Run, and GetResult while it waits [default: no limit]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub(crate) watches: Option<u32>,
        /// Open streams: SubmitStream and Work [default: no limit]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub(crate) streams: Option<u32>,
    }
}

impl QuotaConfig {
    /// Whether it has no limit.
    pub(super) fn is_unset(&self) -> bool {
        *self == Self::default()
    }

    /// The quota in this table.
    ///
    /// # Errors
    ///
    /// A usage error if a burst has no rate.
    pub(crate) fn quota(&self, table: &str) -> Result<Quota> {
        if self.burst.is_some() && self.submits_per_second.is_none() {
            return Err(Error::usage(format!(
                "{table}.burst is set without submits_per_second: set both, or remove it"
            )));
        }
        let mut quota = Quota::default();
        (quota.submits_per_second, quota.burst) = (self.submits_per_second, self.burst);
        (quota.waiting_jobs, quota.waiting_bytes) = (self.waiting_jobs, self.waiting_bytes);
        (quota.watches, quota.streams) = (self.watches, self.streams);
        Ok(quota)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_a_quota() {
        let text = "submits_per_second = 10\nburst = 20\nwaiting_jobs = 0\nwaiting_bytes = '1MiB'";
        let quota = toml::from_str::<QuotaConfig>(text).expect("TOML").quota("auth.quota").expect("a quota");
        assert_eq!((quota.submits_per_second, quota.burst), (NonZeroU32::new(10), NonZeroU32::new(20)));
        assert_eq!((quota.waiting_jobs, quota.waiting_bytes), (Some(0), Some(1 << 20)));
        assert_eq!((quota.watches, quota.streams), (None, None));
    }

    #[test]
    fn a_burst_needs_a_rate() {
        let config = toml::from_str::<QuotaConfig>("burst = 20").expect("TOML");
        let error = config.quota("auth.quota").expect_err("no rate").message;
        assert!(error.contains("auth.quota.burst is set without submits_per_second"), "{error}");
    }
}
