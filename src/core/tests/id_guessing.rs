//! Ids and leases of other callers cannot be guessed from one's own.

use super::fixture::*;
use crate::core::{Core, CoreOptions, Effects};
use crate::job::JobId;

/// Submits jobs of two callers in turn. Returns the ids of each.
fn two_callers(count: u32) -> (Core, Vec<JobId>, Vec<JobId>) {
    let mut core = Core::new(CoreOptions::default(), rand::random());
    let now = Fixture::new().now;
    let mut submit = || core.submit(now, JobId::mint(), job("a"), &mut Effects::default()).unwrap().id;
    let (own, others) = (0..count).map(|_| (submit(), submit())).unzip();
    (core, own, others)
}

fn bits(id: &JobId) -> u128 {
    u128::from_be_bytes(*id.as_bytes())
}

#[test]
fn ids_near_a_thousand_own_ones_belong_to_no_other_job() {
    let (core, own, others) = two_callers(1_000);
    let found = |id: u128| {
        let id = JobId::from_bytes(id.to_be_bytes());
        core.find(id).is_ok() && !own.contains(&id)
    };
    let (mut guesses, mut hits) = (0, 0);
    for id in own.iter().map(bits) {
        // Guesses: the part above the tail plus a small count, and a tail near the own one.
        for count in 0..=8_u128 {
            for offset in (-8..=8_i128).filter(|offset| (count, *offset) != (0, 0)) {
                let tail = (id as u32).wrapping_add_signed(offset as i32);
                let above = (id >> 32).wrapping_add(count);
                guesses += 1;
                hits += u32::from(found(above << 32 | u128::from(tail)));
            }
        }
    }
    assert_eq!(hits, 0, "of {guesses} guesses at {} ids", others.len());
}

/// Asserts that each bit is set in about half of the numbers, and changes in about half of the steps.
#[track_caller]
fn assert_random(numbers: &[u64], width: u32) {
    let within = |count: usize| count.abs_diff(numbers.len() / 2) < numbers.len() / 8;
    for bit in 0..width {
        let is_set = |number: &u64| number >> bit & 1 == 1;
        assert!(within(numbers.iter().filter(|number| is_set(number)).count()), "bit {bit} is not even");
        let changes = numbers.windows(2).filter(|pair| is_set(&pair[0]) != is_set(&pair[1])).count();
        assert!(within(changes), "bit {bit} follows the one of the id before");
    }
    // A counter or a table index would give many close pairs.
    let is_near = |pair: &[u64]| pair[0].abs_diff(pair[1]) < 1 << (width - 8);
    let near = numbers.windows(2).filter(|pair| is_near(pair)).count();
    assert!(near < numbers.len() / 32, "{near} of {} are near the one before", numbers.len());
}

#[test]
fn tails_and_random_bits_of_successive_ids_are_not_correlated() {
    let (_, own, _) = two_callers(1_000);
    let part = |from: u32, width: u32| -> Vec<u64> {
        own.iter().map(|id| (bits(id) >> from) as u64 & ((1 << width) - 1)).collect()
    };
    // The tail, the bits after the variant, and the bits between version and variant.
    [(0, 32), (32, 30), (64, 12)]
        .into_iter()
        .for_each(|(from, width)| assert_random(&part(from, width), width));
    // The tails hide the successive table slots.
    let tails: std::collections::HashSet<_> = part(0, 32).into_iter().collect();
    assert!(tails.len() > 995);
}

#[test]
fn leases_of_successive_jobs_are_not_correlated() {
    let mut f = Fixture::new();
    f.open(&["a"], 1_000);
    let jobs: Vec<_> = (0..1_000).map(|_| f.submit(job("a"))).collect();
    let leases: Vec<_> = jobs.iter().map(|id| f.lease(*id).1.as_u128()).collect();
    for from in [0, 32, 64, 96] {
        assert_random(&leases.iter().map(|lease| u64::from((lease >> from) as u32)).collect::<Vec<_>>(), 32);
    }
}
