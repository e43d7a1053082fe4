//! The memory budget of a config, and the limits that derive from it.

use jobstream::memory::{MEMORY_BYTES_MIN, MemoryBudget};

use super::{LimitsConfig, at_least_one};
use crate::error::{Error, Result};
use crate::output::text;

impl LimitsConfig {
    /// The configured budget, or the default of this machine.
    pub(crate) fn budget(&self) -> MemoryBudget {
        self.memory_max.map_or_else(MemoryBudget::of_machine, MemoryBudget::of)
    }

    /// The limit of one connection, at least the largest message.
    pub(crate) fn connection_bytes(&self) -> u64 {
        let share = self.budget().connection_bytes_max().max(self.message_bytes_max);
        self.connection_bytes_max.unwrap_or(share)
    }

    /// The limit of all connections, at least that of one.
    pub(crate) fn connections_bytes(&self) -> u64 {
        let share = self.budget().connections_bytes_max().max(self.connection_bytes());
        self.connections_bytes_max.unwrap_or(share)
    }

    /// Sets every unset limit to its share of the budget.
    pub(crate) fn derive(&mut self) {
        let budget = self.budget();
        self.memory_max.get_or_insert(budget.bytes());
        self.jobs_max.get_or_insert(at_least_one(budget.jobs_max()));
        let connection_max = self.connection_bytes();
        self.connections_bytes_max = Some(self.connections_bytes());
        self.connection_bytes_max = Some(connection_max);
        self.queues_max.get_or_insert(at_least_one(budget.queues_max()));
        self.job_bytes_max.get_or_insert(budget.job_bytes_max());
        self.retention_bytes_max.get_or_insert(budget.retention_bytes_max());
        self.retention_memory_bytes_max.get_or_insert(budget.retention_memory_bytes_max());
        self.idempotency_ids_max.get_or_insert(budget.idempotency_ids_max());
        self.worker_bytes_max.get_or_insert(budget.worker_bytes_max());
        self.feed_bytes.get_or_insert(budget.feed_bytes());
        self.watchers_max.get_or_insert(at_least_one(budget.watchers_max()));
    }
}

/// Refuses a budget below the minimum, whose shares would not hold one job.
pub(super) fn check_memory(limits: &LimitsConfig) -> Result<()> {
    match limits.memory_max {
        Some(bytes) if bytes < MEMORY_BYTES_MIN => {
            let least = text::bytes(MEMORY_BYTES_MIN);
            Err(Error::usage(format!("memory_max is {}: it must be at least {least}", text::bytes(bytes))))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn derived(toml: &str) -> LimitsConfig {
        let mut limits: LimitsConfig = toml::from_str(toml).expect("TOML");
        limits.derive();
        limits
    }

    #[test]
    fn what_is_not_set_derives_from_the_budget() {
        let limits = derived("memory_max = '512MiB'");
        assert_eq!((limits.job_bytes_max, limits.retention_bytes_max), (Some(96 << 20), Some(96 << 20)));
        assert_eq!(limits.jobs_max.map(NonZeroU32::get), Some(98_304));
    }

    #[test]
    fn what_is_set_stays() {
        let limits = derived("memory_max = '512MiB'\njob_bytes_max = '2GiB'\njobs_max = 5");
        assert_eq!((limits.job_bytes_max, limits.jobs_max), (Some(2 << 30), NonZeroU32::new(5)));
    }

    #[test]
    fn a_budget_that_is_too_small_is_refused() {
        let limits: LimitsConfig = toml::from_str("memory_max = '1MiB'").expect("TOML");
        let error = check_memory(&limits).expect_err("too small");
        assert_eq!(error.message, "memory_max is 1 MiB: it must be at least 64 MiB");
    }
}
