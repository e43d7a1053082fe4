//! What a caller's own ids tell of those of others: nothing that finds one.

use super::fixture::*;
use crate::core::{Core, CoreOptions, Effects};
use crate::job::JobId;

/// The ids of one caller and of another whose jobs come in between.
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
fn a_thousand_own_ids_guess_none_of_their_neighbours() {
    let (core, own, others) = two_callers(1_000);
    let found = |id: u128| {
        let id = JobId::from_bytes(id.to_be_bytes());
        core.find(id).is_ok() && !own.contains(&id)
    };
    let (mut guesses, mut hits) = (0, 0);
    for id in own.iter().map(bits) {
        // A count that goes up by one above the tail, and a tail that is a place near one's own.
        for count in 0..=8_u128 {
            for place in (-8..=8_i128).filter(|place| (count, *place) != (0, 0)) {
                let tail = (id as u32).wrapping_add_signed(place as i32);
                let above = (id >> 32).wrapping_add(count);
                guesses += 1;
                hits += u32::from(found(above << 32 | u128::from(tail)));
            }
        }
    }
    assert_eq!(hits, 0, "of {guesses} guesses at {} ids", others.len());
}

/// Whether each bit is set about every other time, and each differs from the one before about as often.
#[track_caller]
fn assert_random(numbers: &[u64], width: u32) {
    let within = |count: usize| count.abs_diff(numbers.len() / 2) < numbers.len() / 8;
    for bit in 0..width {
        let is_set = |number: &u64| number >> bit & 1 == 1;
        assert!(within(numbers.iter().filter(|number| is_set(number)).count()), "bit {bit} is not even");
        let changes = numbers.windows(2).filter(|pair| is_set(&pair[0]) != is_set(&pair[1])).count();
        assert!(within(changes), "bit {bit} follows the one of the id before");
    }
    // As the next of a count, or of a place, would differ.
    let is_near = |pair: &[u64]| pair[0].abs_diff(pair[1]) < 1 << (width - 8);
    let near = numbers.windows(2).filter(|pair| is_near(pair)).count();
    assert!(near < numbers.len() / 32, "{near} of {} are near the one before", numbers.len());
}

#[test]
fn the_tails_and_the_random_bits_of_ids_in_a_row_are_not_correlated() {
    let (_, own, _) = two_callers(1_000);
    let part = |from: u32, width: u32| -> Vec<u64> {
        own.iter().map(|id| (bits(id) >> from) as u64 & ((1 << width) - 1)).collect()
    };
    // The tail, the rest behind the variant, and what stands between version and variant.
    [(0, 32), (32, 30), (64, 12)]
        .into_iter()
        .for_each(|(from, width)| assert_random(&part(from, width), width));
    // One place after the other was given: the tails do not tell it.
    let tails: std::collections::HashSet<_> = part(0, 32).into_iter().collect();
    assert!(tails.len() > 995);
}

#[test]
fn leases_of_jobs_in_a_row_have_tails_that_are_not_correlated() {
    let mut f = Fixture::new();
    f.open(&["a"], 1_000);
    let jobs: Vec<_> = (0..1_000).map(|_| f.submit(job("a"))).collect();
    let leases: Vec<_> = jobs.iter().map(|id| f.lease(*id).1.as_u128()).collect();
    for from in [0, 32, 64, 96] {
        assert_random(&leases.iter().map(|lease| u64::from((lease >> from) as u32)).collect::<Vec<_>>(), 32);
    }
}
