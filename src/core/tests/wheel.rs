//! The timer wheel compared with a sorted set. Timers of equal ticks fire in the order in which they were set.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::fixture::cases;
use super::table::bare_entry;
use crate::core::JobKey;
use crate::core::table::Table;
use crate::core::wheel::{Step, TICK_MAX, Wheel};

const TIMERS: u32 = 12;
const CASES: u32 = 400;
/// A timer cascades at most once per level.
const STEPS_MAX: usize = TIMERS as usize * 8 + 1;

#[derive(Debug, Clone)]
enum Command {
    Set(u32, u64),
    Clear(u32),
    Advance(u64),
    /// Advances to the next tick that the wheel reports.
    AdvanceToNext,
}

/// Returns a number of ticks, uniform in its bit length.
fn span() -> impl Strategy<Value = u64> {
    (0..44_u32, any::<u64>()).prop_map(|(bits, random)| random % (1 << bits))
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => (0..TIMERS, span()).prop_map(|(timer, span)| Command::Set(timer, span)),
        1 => (0..TIMERS).prop_map(Command::Clear),
        2 => span().prop_map(|span| Command::Advance(span / 8)),
        2 => Just(Command::AdvanceToNext),
    ]
}

struct Pair {
    wheel: Wheel,
    table: Table,
    timers: Vec<JobKey>,
    /// (tick, order of setting, timer)
    model: BTreeSet<(u64, u64, JobKey)>,
    now: u64,
    sets: u64,
}

impl Pair {
    fn new() -> Self {
        let mut table = super::table::new_table();
        let timers = (0..TIMERS).map(|number| table.insert(bare_entry(number))).collect();
        Self { wheel: Wheel::new(), table, timers, model: BTreeSet::new(), now: 0, sets: 0 }
    }

    fn set(&mut self, timer: u32, at: u64) {
        let key = self.timers[timer as usize];
        let at = at.min(TICK_MAX);
        self.wheel.set(&mut self.table, key, at);
        if !self.model.iter().any(|(tick, _, other)| (*tick, *other) == (at, key)) {
            self.sets += 1;
            self.model.retain(|(.., other)| *other != key);
            self.model.insert((at, self.sets, key));
        }
    }

    fn clear(&mut self, timer: u32) {
        let key = self.timers[timer as usize];
        self.wheel.clear(&mut self.table, key);
        self.model.retain(|(.., other)| *other != key);
    }

    fn advance(&mut self, now: u64) {
        self.now = self.now.max(now.min(TICK_MAX));
        for _ in 0..STEPS_MAX {
            match self.wheel.step(&mut self.table, self.now) {
                Step::Fired(key) => {
                    let (at, _, expected) = self.model.pop_first().expect("a timer that was set");
                    assert_eq!(key, expected);
                    assert!(at <= self.now, "fired early");
                    assert_eq!(self.table[key].timer.at(), None);
                }
                Step::Moved => {}
                Step::Idle => return self.check(),
            }
        }
        panic!("the wheel does not become idle");
    }

    fn check(&self) {
        let first = self.model.first().map(|(at, ..)| *at);
        assert!(first.is_none_or(|at| at > self.now), "late");
        let next = self.wheel.next_tick();
        assert_eq!(next.is_some(), first.is_some());
        if let (Some(next), Some(first)) = (next, first) {
            assert!(self.now < next && next <= first, "{} < {next} <= {first}", self.now);
        }
    }
}

proptest! {
    #![proptest_config(cases(CASES))]

    #[test]
    fn every_timer_fires_at_its_tick(commands in vec(command(), 1..80)) {
        let mut pair = Pair::new();
        for command in commands {
            match command {
                Command::Set(timer, span) => pair.set(timer, pair.now + span),
                Command::Clear(timer) => pair.clear(timer),
                Command::Advance(span) => pair.advance(pair.now + span),
                Command::AdvanceToNext => pair.advance(pair.wheel.next_tick().unwrap_or(0)),
            }
        }
        pair.advance(TICK_MAX);
        prop_assert!(pair.model.is_empty());
    }
}

#[test]
fn a_timer_in_the_past_fires_at_the_next_advance() {
    let mut pair = Pair::new();
    pair.advance(1_000_000);
    pair.set(0, 5);
    assert_eq!(pair.wheel.step(&mut pair.table, pair.now), Step::Fired(pair.timers[0]));
}

#[test]
fn a_far_timer_takes_at_most_one_wake_up_per_level() {
    let mut pair = Pair::new();
    pair.set(0, TICK_MAX);
    let mut wake_ups = 0;
    while let Some(next) = pair.wheel.next_tick() {
        pair.advance(next);
        wake_ups += 1;
    }
    assert!(wake_ups <= 7, "{wake_ups}");
}
