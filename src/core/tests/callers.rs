//! Capacity limits per caller.

use super::fixture::*;
use crate::core::{Caller, CoreOptions};
use crate::error::{ErrorKind, Result};
use crate::job::NewJob;

const HEAVY_CALLER: Caller = Caller::numbered(1);
const OTHER_CALLER: Caller = Caller::numbered(2);

fn submit_from(f: &mut Fixture, caller: Caller, number: u32, job: NewJob) -> Result<()> {
    f.core.set_caller(caller);
    let submitted = f.submit_as(id(number), job);
    f.core.set_caller(Caller::EMBEDDER);
    submitted.map(drop)
}

/// Submits jobs until one is refused. Returns the number of accepted jobs and the reason of the refusal.
fn fill(f: &mut Fixture, caller: Caller, from: u32, job: impl Fn(u32) -> NewJob) -> (u32, &'static str) {
    for number in from..from + 1_000 {
        if let Err(error) = submit_from(f, caller, number, job(number)) {
            let ErrorKind::ResourceExhausted { reason, .. } = *error.kind() else { panic!("{error:?}") };
            return (number - from, reason);
        }
    }
    panic!("no job was refused");
}

#[test]
fn one_caller_cannot_take_the_reserved_eighth_of_job_capacity() {
    let mut f = Fixture::with(CoreOptions { jobs_max: 80, ..CoreOptions::default() });
    let hog = fill(&mut f, HEAVY_CALLER, 0, |_| job("a"));
    assert_eq!(hog, (70, "QUEUE_FULL"));
    let other = fill(&mut f, OTHER_CALLER, 1_000, |_| job("a"));
    assert_eq!(other, (5, "QUEUE_FULL"), "half of the reserve: two callers have live jobs");
    for caller in 3..8 {
        submit_from(&mut f, Caller::numbered(caller), caller as u32 + 5_000, job("a")).unwrap();
    }
    assert_eq!(fill(&mut f, Caller::EMBEDDER, 10_000, |_| job("a")).1, "QUEUE_FULL");
    assert_eq!(f.core.live_jobs, 80, "the limit applies to all callers together");
}

#[test]
fn ended_jobs_free_the_quota_of_their_caller() {
    let mut f = Fixture::with(CoreOptions { jobs_max: 80, ..CoreOptions::default() });
    assert_eq!(fill(&mut f, HEAVY_CALLER, 0, |_| job("a")).0, 70);
    f.cancel(id(0), GRACE).unwrap();
    assert_eq!(fill(&mut f, HEAVY_CALLER, 500, |_| job("a")), (1, "QUEUE_FULL"));
}

#[test]
fn one_caller_cannot_take_the_reserved_eighth_of_byte_capacity() {
    let options = CoreOptions { job_bytes_max: 8_000, payload_bytes_max: 500, ..CoreOptions::default() };
    let mut f = Fixture::with(options);
    assert_eq!(fill(&mut f, HEAVY_CALLER, 0, |_| sized("a", 500)), (14, "QUEUE_BYTES_FULL"));
    assert_eq!(fill(&mut f, OTHER_CALLER, 1_000, |_| sized("a", 250)), (2, "QUEUE_BYTES_FULL"));
}

#[test]
fn a_caller_with_many_queues_does_not_block_the_default_queue() {
    let mut f = Fixture::with(CoreOptions { queues_max: 40, ..CoreOptions::default() });
    let in_its_own = |number: u32| queued_in("a", &format!("q{number}"));
    assert_eq!(fill(&mut f, HEAVY_CALLER, 0, in_its_own), (40, "LANES_FULL"));
    submit_from(&mut f, OTHER_CALLER, 1_000, job("a")).unwrap();
    submit_from(&mut f, OTHER_CALLER, 1_001, queued_in("a", "new")).unwrap();
    assert_eq!(fill(&mut f, HEAVY_CALLER, 2_000, |_| queued_in("b", "default")), (0, "LANES_FULL"));
    submit_from(&mut f, HEAVY_CALLER, 3_000, queued_in("a", "q7")).unwrap();
    assert_eq!(fill(&mut f, OTHER_CALLER, 4_000, in_its_own), (0, "LANES_FULL"));
}

#[test]
fn callers_without_live_jobs_are_removed() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    for caller in 1..1_000_u32 {
        submit_from(&mut f, Caller::numbered(caller.into()), caller, job("a")).unwrap();
        f.end(id(caller), success());
        f.run(|core, now, effects| core.delete(now, id(caller), effects)).unwrap();
    }
    assert!(f.core.callers.all().count() < 100);
}

#[test]
fn output_of_one_callers_jobs_does_not_block_other_callers() {
    let options = CoreOptions { job_bytes_max: 8_000, payload_bytes_max: 1_000, ..CoreOptions::default() };
    let mut f = Fixture::with(options);
    f.open(&["a"], 1);
    submit_from(&mut f, HEAVY_CALLER, 0, job("a")).unwrap();
    assert_eq!(fill(&mut f, HEAVY_CALLER, 1, |_| sized("a", 500)), (14, "QUEUE_BYTES_FULL"));
    (0..20).for_each(|_| f.report(id(0), output(&"o".repeat(300))));
    assert!(f.core.live_bytes > 8_000);
    submit_from(&mut f, OTHER_CALLER, 1_000, sized("a", 100)).unwrap();
}
