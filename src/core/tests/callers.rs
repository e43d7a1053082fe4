//! Capacity limits per caller.

use super::fixture::*;
use crate::access::Quota;
use crate::core::callers::Usage;
use crate::core::{Caller, CoreOptions};
use crate::error::{ErrorKind, Result};
use crate::job::NewJob;

const HEAVY_CALLER: Caller = Caller::Connection(1);
const OTHER_CALLER: Caller = Caller::Connection(2);

fn principal(name: &str) -> Caller {
    Caller::Principal(name.into(), Quota::default())
}

fn submit_from(f: &mut Fixture, caller: Caller, number: u32, job: NewJob) -> Result<()> {
    f.core.set_caller(caller);
    let submitted = f.submit_as(id(number), job);
    f.core.set_caller(Caller::Embedder);
    submitted.map(drop)
}

/// Submits jobs until one is refused. Returns the number of accepted jobs and the reason of the refusal.
fn fill(f: &mut Fixture, caller: &Caller, from: u32, job: impl Fn(u32) -> NewJob) -> (u32, &'static str) {
    for number in from..from + 1_000 {
        if let Err(error) = submit_from(f, caller.clone(), number, job(number)) {
            let ErrorKind::ResourceExhausted { reason, .. } = *error.kind() else { panic!("{error:?}") };
            return (number - from, reason);
        }
    }
    panic!("no job was refused");
}

#[test]
fn one_caller_cannot_take_the_reserved_eighth_of_job_capacity() {
    let mut f = Fixture::with(CoreOptions { jobs_max: 80, ..CoreOptions::default() });
    let hog = fill(&mut f, &HEAVY_CALLER, 0, |_| job("a"));
    assert_eq!(hog, (70, "QUEUE_FULL"));
    let other = fill(&mut f, &OTHER_CALLER, 1_000, |_| job("a"));
    assert_eq!(other, (5, "QUEUE_FULL"), "half of the reserve: two callers have live jobs");
    for caller in 3..8 {
        submit_from(&mut f, Caller::Connection(caller), caller as u32 + 5_000, job("a")).unwrap();
    }
    assert_eq!(fill(&mut f, &Caller::Embedder, 10_000, |_| job("a")).1, "QUEUE_FULL");
    assert_eq!(f.core.live_jobs, 80, "the limit applies to all callers together");
}

#[test]
fn ended_jobs_free_the_quota_of_their_caller() {
    let mut f = Fixture::with(CoreOptions { jobs_max: 80, ..CoreOptions::default() });
    assert_eq!(fill(&mut f, &HEAVY_CALLER, 0, |_| job("a")).0, 70);
    f.cancel(id(0), GRACE).unwrap();
    assert_eq!(fill(&mut f, &HEAVY_CALLER, 500, |_| job("a")), (1, "QUEUE_FULL"));
}

#[test]
fn one_caller_cannot_take_the_reserved_eighth_of_byte_capacity() {
    let options = CoreOptions { job_bytes_max: 8_000, payload_bytes_max: 500, ..CoreOptions::default() };
    let mut f = Fixture::with(options);
    assert_eq!(fill(&mut f, &HEAVY_CALLER, 0, |_| sized("a", 500)), (14, "QUEUE_BYTES_FULL"));
    assert_eq!(fill(&mut f, &OTHER_CALLER, 1_000, |_| sized("a", 250)), (2, "QUEUE_BYTES_FULL"));
}

#[test]
fn a_caller_with_many_queues_does_not_block_the_default_queue() {
    let mut f = Fixture::with(CoreOptions { queues_max: 40, ..CoreOptions::default() });
    let in_its_own = |number: u32| queued_in("a", &format!("q{number}"));
    assert_eq!(fill(&mut f, &HEAVY_CALLER, 0, in_its_own), (40, "LANES_FULL"));
    submit_from(&mut f, OTHER_CALLER, 1_000, job("a")).unwrap();
    submit_from(&mut f, OTHER_CALLER, 1_001, queued_in("a", "new")).unwrap();
    assert_eq!(fill(&mut f, &HEAVY_CALLER, 2_000, |_| queued_in("b", "default")), (0, "LANES_FULL"));
    submit_from(&mut f, HEAVY_CALLER, 3_000, queued_in("a", "q7")).unwrap();
    assert_eq!(fill(&mut f, &OTHER_CALLER, 4_000, in_its_own), (0, "LANES_FULL"));
}

#[test]
fn callers_without_jobs_and_lanes_are_removed() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    for number in 1..1_000_u32 {
        let connection = Caller::Connection(number.into());
        submit_from(&mut f, connection, number, job("a")).unwrap();
        submit_from(&mut f, principal(&format!("p{number}")), number + 1_000, job("a")).unwrap();
        for id in [id(number), id(number + 1_000)] {
            f.end(id, success());
            f.run(|core, now, effects| core.delete(now, id, effects)).unwrap();
        }
    }
    assert_eq!(f.core.callers.all().count(), 1, "the embedder is left");
    submit_from(&mut f, principal("a"), 5_000, job("a")).unwrap();
    assert!(f.core.callers.capacity() < 10, "slots are used again");
}

#[test]
fn the_owner_of_a_job_is_known_until_the_job_is_removed() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let callers = [(1, principal("billing")), (2, Caller::Connection(1)), (3, Caller::Embedder)];
    callers.iter().for_each(|(number, caller)| {
        submit_from(&mut f, caller.clone(), *number, job("a")).unwrap();
        f.end(id(*number), success());
    });
    let owner = |f: &Fixture, number| f.view(id(number)).owner;
    assert_eq!(owner(&f, 1).as_deref(), Some("billing"));
    assert_eq!((owner(&f, 2), owner(&f, 3)), (None, None));
    assert_eq!(f.core.callers.all().count(), 2, "the connection is not stored after its job ended");
    f.advance(f.core.options.retention);
    assert_eq!((f.core.job_count(), f.core.callers.all().count()), (0, 1));
}

#[test]
fn the_id_of_another_principal_is_another_job() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    submit_from(&mut f, principal("billing"), 1, job("a")).unwrap();
    let assert_reused = |f: &mut Fixture| {
        submit_from(f, principal("billing"), 1, job("a")).unwrap();
        for other in [principal("mail"), Caller::Connection(1), Caller::Embedder] {
            let error = submit_from(f, other, 1, job("a")).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::JobIdReused(id(1)));
        }
    };
    assert_reused(&mut f);
    f.end(id(1), success());
    assert_reused(&mut f);
    f.advance(f.core.options.retention);
    assert_eq!(f.core.job_count(), 0);
    assert_reused(&mut f);
    assert_eq!(f.core.callers.all().count(), 1);
}

#[test]
fn a_restart_restores_owners_and_the_usage_of_waiting_jobs() {
    let mut f = Fixture::new();
    submit_from(&mut f, principal("billing"), 1, sized("a", 500)).unwrap();
    submit_from(&mut f, principal("billing"), 2, sized("a", 300)).unwrap();
    submit_from(&mut f, HEAVY_CALLER, 3, sized("a", 100)).unwrap();
    f.cancel(id(2), GRACE).unwrap();
    let mut log = f.records.clone();
    let mut snapshot = f.core.snapshot_globals();
    let bounds = crate::core::SnapshotBounds { jobs: 10, bytes: u64::MAX };
    snapshot.extend(f.core.snapshots(0, None, bounds).records);
    for records in [log.clone(), snapshot.clone(), log.drain(..).chain(snapshot).collect()] {
        let mut again = Fixture::new();
        again.run(|core, now, effects| {
            records.into_iter().for_each(|record| core.replay(record));
            core.resume(now, std::time::Duration::ZERO, effects);
        });
        let owners = [1, 2, 3].map(|number| again.view(id(number)).owner);
        assert_eq!(owners, [Some("billing".into()), Some("billing".into()), None]);
        let usage = again.core.callers.all().map(|(_, caller, usage, _)| (caller.clone(), usage));
        let expected = |jobs, bytes, lanes| Usage { jobs, bytes, lanes };
        assert_eq!(
            usage.collect::<Vec<_>>(),
            [(Caller::Embedder, expected(1, 100, 1)), (principal("billing"), expected(1, 500, 0))]
        );
        assert!(submit_from(&mut again, principal("billing"), 1, sized("a", 500)).is_ok());
        assert!(submit_from(&mut again, principal("mail"), 2, sized("a", 300)).is_err());
    }
}

#[test]
fn output_of_one_callers_jobs_does_not_block_other_callers() {
    let options = CoreOptions { job_bytes_max: 8_000, payload_bytes_max: 1_000, ..CoreOptions::default() };
    let mut f = Fixture::with(options);
    f.open(&["a"], 1);
    submit_from(&mut f, HEAVY_CALLER, 0, job("a")).unwrap();
    assert_eq!(fill(&mut f, &HEAVY_CALLER, 1, |_| sized("a", 500)), (14, "QUEUE_BYTES_FULL"));
    (0..20).for_each(|_| f.report(id(0), output(&"o".repeat(300))));
    assert!(f.core.live_bytes > 8_000);
    submit_from(&mut f, OTHER_CALLER, 1_000, sized("a", 100)).unwrap();
}

#[test]
fn a_principal_has_no_more_waiting_jobs_than_its_quota() {
    let mut f = Fixture::new();
    f.open(&["fast"], 1);
    let mut quota = Quota { waiting_jobs: Some(3), waiting_bytes: Some(1_000), ..Quota::default() };
    let billing = |quota| Caller::Principal("billing".into(), quota);
    assert_eq!(fill(&mut f, &billing(quota), 0, |_| sized("a", 100)), (3, "QUOTA"));
    submit_from(&mut f, billing(quota), 1, sized("a", 100)).expect("a repeat is no new job");
    submit_from(&mut f, principal("mail"), 100, job("a")).expect("another principal");
    f.cancel(id(0), GRACE).unwrap();
    assert_eq!(fill(&mut f, &billing(quota), 200, |_| sized("a", 801)), (0, "QUOTA"));
    assert_eq!(fill(&mut f, &billing(quota), 200, |_| sized("a", 800)), (1, "QUOTA"));
    let error = submit_from(&mut f, billing(quota), 300, job("a")).unwrap_err();
    let ErrorKind::ResourceExhausted { subject, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!(subject, "principal:billing");
    assert!(error.message().contains("raise waiting_jobs"), "{error}");
    quota.waiting_jobs = Some(4);
    submit_from(&mut f, billing(quota), 300, job("a")).expect("a new quota is in force at once");
}

#[test]
fn a_batch_is_checked_against_the_quota_as_a_whole() {
    let mut f = Fixture::new();
    f.core
        .set_caller(Caller::Principal("billing".into(), Quota { waiting_jobs: Some(2), ..Quota::default() }));
    let jobs =
        |count| (0..count).map(|number| (id(number), NewJob { id: Some(id(number)), ..job("a") })).collect();
    let refused = f.run(|core, now, effects| core.submit_all(now, jobs(3), effects)).unwrap_err();
    assert_eq!((refused.0, f.core.job_count()), (2, 0));
    f.run(|core, now, effects| core.submit_all(now, jobs(2), effects)).unwrap();
}
