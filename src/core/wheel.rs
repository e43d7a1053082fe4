//! One timer a job in a hierarchical wheel: setting, moving and clearing cost the same with ten jobs or ten million.
//!
//! Time is in ticks of a millisecond. A timer fires at its tick or later, never before.

use super::entry::Timer;
use super::keys::JobKey;
use super::table::Table;

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 7;
/// The last tick there is, after 139 years.
pub(super) const TICK_MAX: u64 = (1 << (SLOT_BITS * LEVELS as u32)) - 1;

pub(super) struct Wheel {
    elapsed: u64,
    occupied: [u64; LEVELS],
    slots: [Slot; LEVELS * SLOTS],
}

/// The timers of a slot, in the order in which they were set: equal ticks fire in that order.
#[derive(Clone, Copy)]
struct Slot {
    first: JobKey,
    last: JobKey,
}

/// What one step of turning the wheel did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This job's timer fired; it is unset now.
    Fired(JobKey),
    /// A timer moved closer.
    Moved,
    /// No timer is due.
    Idle,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            elapsed: 0,
            occupied: [0; LEVELS],
            slots: [Slot { first: JobKey::NONE, last: JobKey::NONE }; LEVELS * SLOTS],
        }
    }

    /// Sets the job's timer to this tick, or to [`TICK_MAX`] if that is sooner, in place of the one it had.
    pub(super) fn set(&mut self, table: &mut Table, key: JobKey, at: u64) {
        let at = at.min(TICK_MAX);
        match table[key].timer.at() {
            Some(before) if before == at => return,
            Some(_) => self.clear(table, key),
            None => {}
        }
        let place = at.max(self.elapsed);
        let level = level_of(self.elapsed, place);
        let slot = level * SLOTS + slot_in(level, place);
        let previous = std::mem::replace(&mut self.slots[slot].last, key);
        match previous {
            JobKey::NONE => self.slots[slot].first = key,
            previous => table[previous].timer.next = key,
        }
        self.occupied[level] |= 1 << (slot % SLOTS);
        table[key].timer = Timer::new(at, slot, previous);
    }

    pub(super) fn clear(&mut self, table: &mut Table, key: JobKey) {
        let timer = std::mem::replace(&mut table[key].timer, Timer::UNSET);
        let Some(slot) = timer.slot() else { return };
        let Timer { previous, next, .. } = timer;
        match next {
            JobKey::NONE => self.slots[slot].last = previous,
            next => table[next].timer.previous = previous,
        }
        match previous {
            JobKey::NONE => self.slots[slot].first = next,
            previous => table[previous].timer.next = next,
        }
        if self.slots[slot].first == JobKey::NONE {
            self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        }
    }

    /// A tick at or before the earliest timer's, if there is one: nothing needs doing until then.
    pub(super) fn next_tick(&self) -> Option<u64> {
        self.next_slot().map(|(_, tick)| tick)
    }

    /// Does one timer's worth of work towards `now`.
    pub(super) fn step(&mut self, table: &mut Table, now: u64) -> Step {
        let Some((slot, tick)) = self.next_slot().filter(|(_, tick)| *tick <= now) else {
            self.elapsed = self.elapsed.max(now);
            return Step::Idle;
        };
        self.elapsed = self.elapsed.max(tick);
        let key = self.slots[slot].first;
        let at = table[key].timer.at().unwrap_or_default();
        self.clear(table, key);
        if at <= self.elapsed {
            return Step::Fired(key);
        }
        self.set(table, key, at);
        Step::Moved
    }

    /// The slot to be handled next and the tick it begins at. A slot of a higher level at the wheel's present position is
    /// one that is being spread over the lower levels: it comes first.
    fn next_slot(&self) -> Option<(usize, u64)> {
        for level in (1..LEVELS).rev() {
            let position = slot_in(level, self.elapsed);
            if self.occupied[level] & (1 << position) != 0 {
                return Some((level * SLOTS + position, self.elapsed));
            }
        }
        (0..LEVELS).find_map(|level| {
            let position = slot_in(level, self.elapsed);
            let ahead = self.occupied[level] >> position;
            (ahead != 0).then(|| {
                let slot = position + ahead.trailing_zeros() as usize;
                let shift = SLOT_BITS * level as u32;
                let begin =
                    (self.elapsed >> (shift + SLOT_BITS) << (shift + SLOT_BITS)) + ((slot as u64) << shift);
                (level * SLOTS + slot, begin)
            })
        })
    }
}

/// The level at which a tick differs from the present one.
fn level_of(elapsed: u64, at: u64) -> usize {
    let differing = (elapsed ^ at) | (SLOTS as u64 - 1);
    let level = (u64::BITS - 1 - differing.leading_zeros()) / SLOT_BITS;
    level as usize
}

fn slot_in(level: usize, tick: u64) -> usize {
    (tick >> (SLOT_BITS * level as u32)) as usize % SLOTS
}
