//! Random lives of a server whose disk forgets what was not synced: nothing that it answered is ever unsaid.
//!
//! Everything is the real thing but the sockets and the disk. The checker is that of the kills of `tests/it/durable`, and
//! here it is checked itself: with any one of many injected bugs it has to find something wrong.

#[path = "../../tests/checker/checker.rs"]
mod checker;
mod client;
mod faulty_service;
mod life;
mod planted;

use life::torture;
use planted::{BUGS, Bug};

/// Lives of a server in a row, each ended by a crash.
const LIVES: usize = 6;
/// Rows of lives in which every bug has to be found.
const TRIES: u64 = 20;

fn breaches(seed: u64, bug: Option<Bug>) -> Vec<String> {
    println!("seed {seed}, {bug:?}");
    // What contradicts itself may as well be noticed by the server.
    let ended = std::panic::catch_unwind(|| torture(seed, bug, LIVES));
    ended.unwrap_or_else(|_| vec!["it panicked".to_owned()])
}

/// What is shown of breaches.
fn shown(breaches: &[String]) -> String {
    let lines = breaches.iter().take(5).map(|breach| breach.chars().take(800).collect());
    lines.collect::<Vec<String>>().join("\n")
}

#[test]
fn crashes_unsay_nothing() {
    for seed in 0..20 {
        let breaches = breaches(seed, None);
        assert!(breaches.is_empty(), "{} breaches with seed {seed}:\n{}", breaches.len(), shown(&breaches));
    }
}

#[test]
#[ignore = "takes minutes: run it in release, by its name"]
fn ten_thousand_crashes_unsay_nothing() {
    for seed in 0..10_000 / LIVES as u64 {
        let breaches = breaches(seed, None);
        assert!(breaches.is_empty(), "{} breaches with seed {seed}:\n{}", breaches.len(), shown(&breaches));
    }
}

#[test]
fn every_injected_bug_is_found() {
    for bug in BUGS {
        let found = (0..TRIES).map(|seed| breaches(seed, Some(bug))).find(|breaches| !breaches.is_empty());
        let found = found.unwrap_or_else(|| panic!("nobody notices {bug:?}"));
        println!("{bug:?}: {}", shown(&found[..1]));
    }
}
