//! The callers that have jobs, and the usage of each, so that no caller takes the capacity of all others.
//!
//! The last part of each bound is a reserve. Outside of it, callers are not compared. Within it, a caller is admitted only while its
//! usage is at most the reserve divided by the callers that have jobs.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::access::Quota;

/// The reserve of a bound is one part in so many.
const RESERVE_PART: u64 = 8;

/// A caller of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The program that embeds the engine. It may use every reserve.
    Embedder,
    /// A connection of the server without an identity, by a number that no other open connection has.
    Connection(u64),
    /// A principal, by its name, over any number of connections, and its quota.
    Principal(Arc<str>, Quota),
}

impl Caller {
    /// The owner of the jobs that it submits, if it is a principal.
    pub(crate) fn owner(&self) -> Option<&Arc<str>> {
        match self {
            Self::Principal(name, _) => Some(name),
            Self::Embedder | Self::Connection(_) => None,
        }
    }
}

/// A caller with jobs or lanes. It is used again after the last of them is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CallerKey(u32);

impl CallerKey {
    pub(super) const EMBEDDER: Self = Self(0);
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

/// A caller that jobs or lanes refer to.
struct Record {
    caller: Caller,
    usage: Usage,
    /// Jobs in the table that refer to it. Those of a connection refer to it until they end, the others until they are
    /// removed.
    stored: u32,
}

impl Record {
    fn new(caller: Caller) -> Self {
        Self { caller, usage: Usage::default(), stored: 0 }
    }
}

/// Every caller that has jobs or lanes, the caller of the current command, and the embedder.
pub(super) struct Callers {
    /// By key. The first is the embedder.
    records: Vec<Option<Record>>,
    free: Vec<CallerKey>,
    connections: HashMap<u64, CallerKey>,
    principals: HashMap<Arc<str>, CallerKey>,
    current: CallerKey,
    /// Callers with jobs that have not ended, without the embedder.
    active: u32,
}

/// The size of a bound's reserve; 0 if the bound is small.
pub(super) fn reserve(bound: u64) -> u64 {
    bound / RESERVE_PART
}

impl Callers {
    pub(super) fn new() -> Self {
        let embedder = Record::new(Caller::Embedder);
        Self {
            records: vec![Some(embedder)],
            free: Vec::new(),
            connections: HashMap::new(),
            principals: HashMap::new(),
            current: CallerKey::EMBEDDER,
            active: 0,
        }
    }

    /// The caller of the current command.
    pub(super) fn current(&self) -> CallerKey {
        self.current
    }

    /// Sets the caller of the commands that follow. Its quota is in force from now on.
    pub(super) fn set_current(&mut self, caller: Caller) {
        let key = self.key_of(&caller);
        self.record_mut(key).caller = caller;
        let earlier = std::mem::replace(&mut self.current, key);
        self.remove_if_idle(earlier);
    }

    /// The owner of jobs of this caller, if it is a principal.
    pub(super) fn owner(&self, key: CallerKey) -> Option<&Arc<str>> {
        self.record(key).caller.owner()
    }

    /// The name and the quota of the caller, if it is a principal.
    pub(super) fn quota(&self, key: CallerKey) -> Option<(&str, &Quota)> {
        match &self.record(key).caller {
            Caller::Principal(name, quota) => Some((name, quota)),
            Caller::Embedder | Caller::Connection(_) => None,
        }
    }

    pub(super) fn usage(&self, key: CallerKey) -> Usage {
        self.record(key).usage
    }

    /// Returns the largest usage with which the caller may use a reserve of this size.
    pub(super) fn share(&self, key: CallerKey, reserve: u64) -> u64 {
        let is_new = self.usage(key).jobs == 0;
        reserve / (u64::from(self.active) + u64::from(is_new)).max(1)
    }

    /// Adds a job of the caller to those in the table.
    pub(super) fn store_job(&mut self, key: CallerKey) {
        self.record_mut(key).stored += 1;
    }

    /// Adds a recovered job of the owner, if it has one, to those in the table.
    pub(super) fn store_recovered(&mut self, owner: Option<Arc<str>>) -> CallerKey {
        let principal = |owner| self.key_of(&Caller::Principal(owner, Quota::default()));
        let key = owner.map_or(CallerKey::EMBEDDER, principal);
        self.store_job(key);
        key
    }

    /// Adds a stored job that has not ended to the usage.
    pub(super) fn begin_job(&mut self, key: CallerKey, bytes: u64) {
        self.change(key, |usage| {
            usage.jobs += 1;
            usage.bytes += bytes;
        });
    }

    /// Removes a job that ended from the usage. Returns the caller that it refers to from now on: not a connection, which
    /// may end before the job is removed.
    pub(super) fn end_job(&mut self, key: CallerKey, bytes: u64) -> CallerKey {
        self.change(key, |usage| {
            usage.jobs -= 1;
            usage.bytes -= bytes;
        });
        if !matches!(self.record(key).caller, Caller::Connection(_)) {
            return key;
        }
        self.store_job(CallerKey::EMBEDDER);
        self.remove_job(key);
        CallerKey::EMBEDDER
    }

    /// Removes a job that the table does not have any more.
    pub(super) fn remove_job(&mut self, key: CallerKey) {
        self.record_mut(key).stored -= 1;
        self.remove_if_idle(key);
    }

    pub(super) fn add_lane(&mut self, key: CallerKey) {
        self.change(key, |usage| usage.lanes += 1);
    }

    pub(super) fn remove_lane(&mut self, key: CallerKey) {
        self.change(key, |usage| usage.lanes -= 1);
        self.remove_if_idle(key);
    }

    fn change(&mut self, key: CallerKey, change: impl FnOnce(&mut Usage)) {
        let usage = &mut self.record_mut(key).usage;
        let had_jobs = usage.jobs > 0;
        change(usage);
        let has_jobs = usage.jobs > 0;
        if key != CallerKey::EMBEDDER {
            self.active = self.active + u32::from(has_jobs) - u32::from(had_jobs);
        }
    }

    fn key_of(&mut self, caller: &Caller) -> CallerKey {
        let known = match caller {
            Caller::Embedder => Some(&CallerKey::EMBEDDER),
            Caller::Connection(number) => self.connections.get(number),
            Caller::Principal(name, _) => self.principals.get(name),
        };
        if let Some(key) = known {
            return *key;
        }
        let key = self.free.pop().unwrap_or_else(|| {
            self.records.push(None);
            CallerKey(self.records.len() as u32 - 1)
        });
        self.records[key.0 as usize] = Some(Record::new(caller.clone()));
        match caller {
            Caller::Embedder => {}
            Caller::Connection(number) => _ = self.connections.insert(*number, key),
            Caller::Principal(name, _) => _ = self.principals.insert(name.clone(), key),
        }
        key
    }

    /// Removes a caller that nothing refers to.
    fn remove_if_idle(&mut self, key: CallerKey) {
        let record = self.record(key);
        let is_referred_to = record.stored > 0 || record.usage.lanes > 0 || record.usage.jobs > 0;
        if is_referred_to || key == self.current || key == CallerKey::EMBEDDER {
            return;
        }
        let Some(record) = self.records[key.0 as usize].take() else { return };
        match record.caller {
            Caller::Embedder => {}
            Caller::Connection(number) => _ = self.connections.remove(&number),
            Caller::Principal(name, _) => _ = self.principals.remove(&name),
        }
        self.free.push(key);
    }

    fn record(&self, key: CallerKey) -> &Record {
        self.records[key.0 as usize].as_ref().expect("a caller exists while a job or a lane refers to it")
    }

    fn record_mut(&mut self, key: CallerKey) -> &mut Record {
        self.records[key.0 as usize].as_mut().expect("a caller exists while a job or a lane refers to it")
    }

    /// Callers that memory is allocated for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.records.len()
    }

    /// Every caller with its usage and the number of jobs in the table that refer to it.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (CallerKey, &Caller, Usage, u32)> + '_ {
        let keys = (0..).map(CallerKey).zip(&self.records);
        keys.filter_map(|(key, record)| {
            record.as_ref().map(|record| (key, &record.caller, record.usage, record.stored))
        })
    }
}
