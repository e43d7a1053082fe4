//! Who submitted what has not ended, so that no caller fills the server for all others.
//!
//! The last part of each bound is a reserve. While it is not touched nothing is compared but two numbers. Within it a caller is
//! served only while it holds less than the reserve divided by the callers that hold anything.

use hashbrown::HashMap;

/// The part of a bound that is kept for callers that hold little: an eighth.
const RESERVE_PART: u64 = 8;

/// A caller as the server tells callers apart: a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Caller(u64);

impl Caller {
    /// No caller: the program that the engine is part of. It may use every bound to its end.
    pub(crate) const NOBODY: Self = Self(0);

    /// The caller with this number; 0 is nobody.
    pub(crate) const fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// Where a caller is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CallerKey(u16);

/// What a caller holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    caller: Caller,
    /// Jobs that have not ended.
    pub(super) jobs: u32,
    /// Their bytes when they were accepted.
    pub(super) bytes: u64,
    /// Pairs of queue and kind that its jobs were the first of.
    pub(super) lanes: u32,
}

impl Held {
    fn is_idle(&self) -> bool {
        self.jobs == 0 && self.lanes == 0
    }
}

/// Every caller that holds something, and some that did.
pub(super) struct Callers {
    /// The first stands for nobody, and for callers beyond the most that can be told apart.
    held: Vec<Held>,
    keys: HashMap<Caller, CallerKey>,
    free: Vec<CallerKey>,
    /// Callers with jobs.
    active: u32,
    /// The caller that was looked for last.
    last: (Caller, CallerKey),
}

impl Default for Callers {
    fn default() -> Self {
        Self {
            held: vec![Held::default()],
            keys: HashMap::new(),
            free: Vec::new(),
            active: 0,
            last: (Caller::NOBODY, CallerKey::default()),
        }
    }
}

/// The part of a bound that is kept for callers that hold little; none if the bound is small.
pub(super) fn reserve(bound: u64) -> u64 {
    bound / RESERVE_PART
}

impl Callers {
    /// Where the caller is counted from now on.
    pub(super) fn key(&mut self, caller: Caller) -> CallerKey {
        if self.last.0 == caller {
            return self.last.1;
        }
        let key = self.keys.get(&caller).copied().unwrap_or_else(|| self.add(caller));
        self.last = (caller, key);
        key
    }

    /// What the caller holds.
    pub(super) fn held(&self, caller: Caller) -> Held {
        let key = if self.last.0 == caller { Some(&self.last.1) } else { self.keys.get(&caller) };
        key.map_or_else(Held::default, |key| self.held[key.0 as usize])
    }

    /// What a caller may hold and still use a reserve of this size.
    pub(super) fn share(&self, caller: Caller, reserve: u64) -> u64 {
        let is_new = self.held(caller).jobs == 0;
        reserve / (u64::from(self.active) + u64::from(is_new)).max(1)
    }

    pub(super) fn add_job(&mut self, key: CallerKey, bytes: u64) {
        let held = &mut self.held[key.0 as usize];
        held.jobs += 1;
        held.bytes += bytes;
        self.active += u32::from(held.jobs == 1 && key != CallerKey::default());
    }

    pub(super) fn remove_job(&mut self, key: CallerKey, bytes: u64) {
        let held = &mut self.held[key.0 as usize];
        held.jobs -= 1;
        held.bytes -= bytes;
        self.active -= u32::from(held.jobs == 0 && key != CallerKey::default());
    }

    pub(super) fn add_lane(&mut self, key: CallerKey) {
        self.held[key.0 as usize].lanes += 1;
    }

    pub(super) fn remove_lane(&mut self, key: CallerKey) {
        self.held[key.0 as usize].lanes -= 1;
    }

    fn add(&mut self, caller: Caller) -> CallerKey {
        if self.free.is_empty() && self.held.len() > 2 * self.active as usize + 64 {
            self.forget_idle();
        }
        let held = Held { caller, ..Held::default() };
        let key = match self.free.pop() {
            Some(key) => {
                self.held[key.0 as usize] = held;
                key
            }
            None => {
                let Ok(next) = u16::try_from(self.held.len()) else { return CallerKey::default() };
                self.held.push(held);
                CallerKey(next)
            }
        };
        self.keys.insert(caller, key);
        key
    }

    /// Forgets callers that hold nothing, so that their places are used again.
    fn forget_idle(&mut self) {
        let idle = self.held.iter().enumerate().skip(1).filter(|(_, held)| held.is_idle());
        for (at, held) in idle {
            // A place that is free already names a caller that is elsewhere by now, or nowhere.
            let key = CallerKey(at as u16);
            if self.keys.get(&held.caller) == Some(&key) {
                self.keys.remove(&held.caller);
                self.free.push(key);
            }
        }
        self.last = (Caller::NOBODY, CallerKey::default());
    }

    /// What each place counts.
    #[cfg(test)]
    pub(super) fn counted(&self) -> impl Iterator<Item = (CallerKey, Held)> + '_ {
        (0..).map(CallerKey).zip(self.held.iter().copied())
    }
}
