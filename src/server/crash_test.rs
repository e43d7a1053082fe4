//! Crash tests: random runs of a server on a simulated disk that loses unsynced writes. No acknowledgement may be revoked.
//!
//! Only the sockets and the disk are simulated. The checker is shared with `tests/it/durable`. It is tested here too: it must
//! detect each of many injected bugs.

mod bugs;
#[path = "../../tests/checker/checker.rs"]
mod checker;
mod client;
mod faulty_service;
mod simulation;

use bugs::{BUGS, Bug};
use simulation::run_crash_test;

/// Consecutive runs of a server on one disk. Each ends with a crash.
const RUNS: usize = 6;
/// Seeds within which each bug must be detected.
const SEEDS: u64 = 20;

fn breaches(seed: u64, bug: Option<Bug>) -> Vec<String> {
    println!("seed {seed}, {bug:?}");
    // The server may panic on an inconsistent log, which detects the bug too.
    let ended = std::panic::catch_unwind(|| run_crash_test(seed, bug, RUNS));
    ended.unwrap_or_else(|_| vec!["it panicked".to_owned()])
}

/// The first breaches as text, truncated.
fn shown(breaches: &[String]) -> String {
    let lines = breaches.iter().take(5).map(|breach| breach.chars().take(800).collect());
    lines.collect::<Vec<String>>().join("\n")
}

#[test]
fn crashes_revoke_no_acknowledgement() {
    for seed in 0..20 {
        let breaches = breaches(seed, None);
        assert!(breaches.is_empty(), "{} breaches with seed {seed}:\n{}", breaches.len(), shown(&breaches));
    }
}

#[test]
#[ignore = "takes minutes: run it in release, by its name"]
fn ten_thousand_crashes_revoke_no_acknowledgement() {
    for seed in 0..10_000 / RUNS as u64 {
        let breaches = breaches(seed, None);
        assert!(breaches.is_empty(), "{} breaches with seed {seed}:\n{}", breaches.len(), shown(&breaches));
    }
}

#[test]
fn every_injected_bug_is_detected() {
    for bug in BUGS {
        let found = (0..SEEDS).map(|seed| breaches(seed, Some(bug))).find(|breaches| !breaches.is_empty());
        let found = found.unwrap_or_else(|| panic!("{bug:?} is not detected"));
        println!("{bug:?}: {}", shown(&found[..1]));
    }
}
