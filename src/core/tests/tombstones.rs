//! Tombstones: a chosen id refers to one job for the whole idempotency window.

use std::num::NonZeroU64;

use super::fixture::*;
use crate::core::tombstones::{Tombstone, Tombstones};
use crate::core::{CoreOptions, Record, Removed, SubmittedJob};
use crate::error::ErrorKind;
use crate::job::{JobId, JobState, NewJob, Timestamp};

const DAY: u64 = 24 * 3600;

fn finished(f: &mut Fixture, number: u32, job: NewJob) -> JobId {
    f.submit_as(id(number), job).unwrap();
    f.cancel(id(number), GRACE).unwrap();
    id(number)
}

fn delete(f: &mut Fixture, id: JobId) {
    f.run(|core, now, effects| core.delete(now, id, effects)).unwrap();
}

/// Submits a removed job again and asserts that its tombstone is found.
#[track_caller]
fn assert_known(f: &mut Fixture, id: JobId, job: &NewJob) {
    let again = f.submit_as(id, job.clone()).unwrap();
    assert_eq!((again.job, again.existing), (SubmittedJob::Removed(JobState::Cancelled), true));
    let (other, reused) = (NewJob { priority: 9, ..job.clone() }, ErrorKind::JobIdReused(id));
    assert_eq!(*f.submit_as(id, other).unwrap_err().kind(), reused);
    assert!(matches!(f.find_error(id), ErrorKind::ResultExpired { .. }));
    assert_eq!(f.core.job_count(), 0, "no job runs again");
}

#[test]
fn every_kind_of_removal_leaves_a_tombstone() {
    let at_once = with("a", |options| options.retention = Some(seconds(0)));
    let mut f = Fixture::new();
    let expired = finished(&mut f, 1, at_once.clone());
    f.tick();
    assert_known(&mut f, expired, &at_once);
    let deleted = finished(&mut f, 2, sized("a", 300));
    delete(&mut f, deleted);
    assert_known(&mut f, deleted, &sized("a", 300));
    let mut f = Fixture::with(CoreOptions { retention_bytes_max: 0, ..CoreOptions::default() });
    let early = finished(&mut f, 3, job("a"));
    finished(&mut f, 4, job("a"));
    let again = f.submit_as(early, job("a")).unwrap();
    assert_eq!(again.job, SubmittedJob::Removed(JobState::Cancelled));
}

#[test]
fn after_the_idempotency_window_a_removed_id_is_a_new_job() {
    let mut f = Fixture::new();
    let gone = finished(&mut f, 1, job("a"));
    f.advance(seconds(3600));
    assert_known(&mut f, gone, &job("a"));
    f.advance(seconds(DAY - 1));
    assert_known(&mut f, gone, &job("a"));
    f.advance(seconds(2));
    assert_eq!(f.find_error(gone), ErrorKind::JobNotFound(gone));
    assert!(!f.submit_as(gone, job("b")).unwrap().existing);
}

#[test]
fn a_wall_clock_change_removes_no_tombstone() {
    let mut f = Fixture::new();
    let gone = finished(&mut f, 1, job("a"));
    delete(&mut f, gone);
    f.move_wall(10 * DAY as i64);
    assert_known(&mut f, gone, &job("a"));
}

#[test]
fn above_the_limit_the_oldest_tombstone_is_removed() {
    let mut f = Fixture::with(CoreOptions { idempotency_ids_max: 3, ..CoreOptions::default() });
    for number in 0..4 {
        let id = finished(&mut f, number, job("a"));
        delete(&mut f, id);
    }
    for number in 1..4 {
        assert_known(&mut f, id(number), &job("a"));
    }
    assert_eq!(f.find_error(id(0)), ErrorKind::JobNotFound(id(0)));
}

#[test]
fn a_batch_with_removed_jobs_accepts_the_others() {
    let mut f = Fixture::new();
    let gone = finished(&mut f, 1, job("a"));
    delete(&mut f, gone);
    let named = |number| (id(number), NewJob { id: Some(id(number)), ..job("a") });
    let batch = vec![named(1), named(2)];
    let answers = f.run(|core, now, effects| core.submit_all(now, batch, effects)).unwrap();
    assert_eq!(answers.iter().map(|answer| answer.existing).collect::<Vec<_>>(), [true, false]);
    assert!(f.core.check_submit(Some(gone), &job("a")).is_ok());
    assert!(f.core.check_submit(Some(gone), &job("b")).is_err());
}

#[test]
fn a_tombstone_of_a_minted_id_has_no_spec() {
    let mut f = Fixture::new();
    let submit = |core: &mut crate::core::Core, now, effects: &mut crate::core::Effects| {
        core.submit(now, JobId::mint(), job("a"), effects).unwrap().id
    };
    let (expired, deleted) = (f.run(submit), f.run(submit));
    for id in [expired, deleted] {
        f.cancel(id, GRACE).unwrap();
    }
    delete(&mut f, deleted);
    let Some(Record::Removed(removed)) = f.records.last() else { panic!("expected a removal record") };
    assert_eq!((removed.end, removed.expire_time, removed.deleted), (None, None, true));
    assert_eq!(f.find_error(deleted), ErrorKind::JobNotFound(deleted));
    f.advance(seconds(3600));
    let error = f.submit_as(expired, job("a")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ResultExpired { .. }), "{error}");
}

fn entry(number: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(number)
}

fn tombstone(number: u32, removed_seconds: u64) -> Tombstone {
    let removed = seconds(removed_seconds);
    let expire_time = Timestamp::from_micros(number.into());
    let removal =
        Removed { id: id(number), expire_time: Some(expire_time), removed, end: None, deleted: false };
    Tombstone::new(&removal, expire_time)
}

fn is_known(tombstones: &Tombstones, number: u32) -> bool {
    tombstones.get(id(number)).is_some_and(|found| *found == tombstone(number, u64::from(number)))
}

#[test]
fn tombstones_are_found_and_pruned_across_chunks() {
    let mut tombstones = Tombstones::new(5_000);
    for number in 0..12_000 {
        tombstones.push(tombstone(number, number.into()), None);
    }
    assert!((0..7_000).all(|number| tombstones.get(id(number)).is_none()));
    assert!((7_000..12_000).all(|number| is_known(&tombstones, number)));
    for _ in 0..1_000 {
        tombstones.prune(seconds(9_000 + 10), seconds(11));
    }
    assert_eq!(tombstones.count(), 12_000 - 9_000);
    assert!(tombstones.get(id(8_999)).is_none() && is_known(&tombstones, 9_000));
    assert!(size_of::<Tombstone>() <= 48);
}

#[test]
fn replay_keeps_the_newest_tombstones_in_any_record_order() {
    let mut tombstones = Tombstones::new(2_000);
    // Compaction wrote the oldest ones again, after newer ones.
    let order = (1_500..3_000).chain(0..1_500).chain(3_000..3_500);
    for number in order {
        tombstones.replay(tombstone(number, number.into()), entry(7));
        tombstones.replay(tombstone(number, 0), entry(8));
    }
    tombstones.sort();
    assert_eq!(tombstones.count(), 2_000);
    assert!((1_500..3_500).all(|number| is_known(&tombstones, number)));
}

#[test]
fn compaction_rewrites_only_tombstones_of_old_entries() {
    let mut tombstones = Tombstones::new(100_000);
    for number in 0..5_000_u32 {
        tombstones.push(tombstone(number, number.into()), entry(1 + u64::from(number) / 1_000));
    }
    tombstones.remove(id(3));
    let mut written = |before| {
        let (mut at, mut written) = (0, Vec::new());
        while let Some((records, next)) = tombstones.rewrite(at, entry(before), entry(9)) {
            assert!(records.len() <= 1_024);
            written.extend(records.iter().map(|removed| removed.id));
            at = next;
        }
        written
    };
    // The chunks with the first two thousand, without the deleted one.
    let first = written(3);
    assert_eq!(first.len(), 2_047);
    assert!(first[2] == id(2) && first[3] == id(4));
    assert_eq!(written(3), [], "they are in a later entry");
    assert_eq!(written(4).first(), Some(&id(2_048)));
    assert_eq!(tombstones.live_log_bytes_between(&[5, 6, 10])[2], 3_072 * 64);
}
