//! The usage of each caller, so that no caller takes the capacity of all others.
//!
//! The last part of each bound is a reserve. Outside of it, callers are not compared. Within it, a caller is admitted only while its
//! usage is at most the reserve divided by the callers that have jobs.

use hashbrown::HashMap;

/// The reserve of a bound is one part in so many.
const RESERVE_PART: u64 = 8;

/// A caller of the server: a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Caller(u64);

impl Caller {
    /// The program that embeds the engine. It may use every reserve.
    pub(crate) const EMBEDDER: Self = Self(0);

    /// The caller with this number; 0 is the embedder.
    pub(crate) const fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// The usage of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    /// Jobs that have not ended.
    pub(super) jobs: u32,
    /// Bytes of these jobs when they were accepted.
    pub(super) bytes: u64,
    /// Lanes that its jobs created.
    pub(super) lanes: u32,
}

/// The usage of every caller that has jobs or lanes.
#[derive(Default)]
pub(super) struct Callers {
    usage: HashMap<Caller, Usage>,
    /// Callers with jobs, without the embedder.
    active: u32,
}

/// The size of a bound's reserve; 0 if the bound is small.
pub(super) fn reserve(bound: u64) -> u64 {
    bound / RESERVE_PART
}

impl Callers {
    pub(super) fn usage(&self, caller: Caller) -> Usage {
        self.usage.get(&caller).copied().unwrap_or_default()
    }

    /// Returns the largest usage with which the caller may use a reserve of this size.
    pub(super) fn share(&self, caller: Caller, reserve: u64) -> u64 {
        let is_new = self.usage(caller).jobs == 0;
        reserve / (u64::from(self.active) + u64::from(is_new)).max(1)
    }

    pub(super) fn add_job(&mut self, caller: Caller, bytes: u64) {
        self.change(caller, |usage| {
            usage.jobs += 1;
            usage.bytes += bytes;
        });
    }

    pub(super) fn remove_job(&mut self, caller: Caller, bytes: u64) {
        self.change(caller, |usage| {
            usage.jobs -= 1;
            usage.bytes -= bytes;
        });
    }

    pub(super) fn add_lane(&mut self, caller: Caller) {
        self.change(caller, |usage| usage.lanes += 1);
    }

    pub(super) fn remove_lane(&mut self, caller: Caller) {
        self.change(caller, |usage| usage.lanes -= 1);
    }

    fn change(&mut self, caller: Caller, change: impl FnOnce(&mut Usage)) {
        let usage = self.usage.entry(caller).or_default();
        let had_jobs = usage.jobs > 0;
        change(usage);
        let (has_jobs, is_idle) = (usage.jobs > 0, *usage == Usage::default());
        if is_idle {
            self.usage.remove(&caller);
        }
        if caller != Caller::EMBEDDER {
            self.active = self.active + u32::from(has_jobs) - u32::from(had_jobs);
        }
    }

    /// Every caller with its usage.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (Caller, Usage)> + '_ {
        self.usage.iter().map(|(caller, usage)| (*caller, *usage))
    }
}
