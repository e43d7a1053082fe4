//! What is known of removed jobs: an id that a caller chose names one job for the whole idempotency window.

use std::num::NonZeroU64;

use super::fixture::*;
use crate::core::tombstones::{Tombstone, Tombstones};
use crate::core::{CoreOptions, Record, Removed, Standing};
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

/// Submits the job again and asserts that it is the one that was removed.
#[track_caller]
fn assert_known(f: &mut Fixture, id: JobId, job: &NewJob) {
    let again = f.submit_as(id, job.clone()).unwrap();
    assert_eq!((again.standing, again.existing), (Standing::Removed(JobState::Cancelled), true));
    let (other, reused) = (NewJob { priority: 9, ..job.clone() }, ErrorKind::JobIdReused(id));
    assert_eq!(*f.submit_as(id, other).unwrap_err().kind(), reused);
    assert!(matches!(f.find_error(id), ErrorKind::ResultExpired { .. }));
    assert_eq!(f.core.job_count(), 0, "nothing runs again");
}

#[test]
fn a_removed_job_is_known_by_its_id_however_it_was_removed() {
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
    assert_eq!(again.standing, Standing::Removed(JobState::Cancelled));
}

#[test]
fn a_removed_id_is_known_for_the_window_and_then_names_a_new_job() {
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
fn a_moved_wall_clock_forgets_no_id() {
    let mut f = Fixture::new();
    let gone = finished(&mut f, 1, job("a"));
    delete(&mut f, gone);
    f.move_wall(10 * DAY as i64);
    assert_known(&mut f, gone, &job("a"));
}

#[test]
fn beyond_the_bound_the_oldest_removal_is_forgotten() {
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
fn a_batch_answers_removed_jobs_and_accepts_the_others() {
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
fn a_minted_id_is_remembered_without_its_spec_and_never_runs_again() {
    let mut f = Fixture::new();
    let submit = |core: &mut crate::core::Core, now, effects: &mut crate::core::Effects| {
        core.submit(now, JobId::mint(), job("a"), effects).unwrap().id
    };
    let (expired, deleted) = (f.run(submit), f.run(submit));
    for id in [expired, deleted] {
        f.cancel(id, GRACE).unwrap();
    }
    delete(&mut f, deleted);
    let Some(Record::Removed(removed)) = f.records.last() else { panic!("it was removed") };
    assert_eq!((removed.end, removed.expire_time, removed.deleted), (None, None, true));
    assert_eq!(f.find_error(deleted), ErrorKind::JobNotFound(deleted));
    f.advance(seconds(3600));
    let error = f.submit_as(expired, job("a")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ResultExpired { .. }), "{error}");
}

fn entry(number: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(number)
}

fn stone(number: u32, removed_seconds: u64) -> Tombstone {
    let removed = seconds(removed_seconds);
    let expire_time = Timestamp::from_micros(number.into());
    let removal =
        Removed { id: id(number), expire_time: Some(expire_time), removed, end: None, deleted: false };
    Tombstone::new(&removal, expire_time)
}

fn is_known(stones: &Tombstones, number: u32) -> bool {
    stones.get(id(number)).is_some_and(|found| *found == stone(number, u64::from(number)))
}

#[test]
fn tombstones_are_found_and_dropped_across_chunks() {
    let mut stones = Tombstones::new(5_000);
    for number in 0..12_000 {
        stones.push(stone(number, number.into()), None);
    }
    assert!((0..7_000).all(|number| stones.get(id(number)).is_none()));
    assert!((7_000..12_000).all(|number| is_known(&stones, number)));
    for _ in 0..1_000 {
        stones.prune(seconds(9_000 + 10), seconds(11));
    }
    assert_eq!(stones.count(), 12_000 - 9_000);
    assert!(stones.get(id(8_999)).is_none() && is_known(&stones, 9_000));
    assert!(size_of::<Tombstone>() <= 48);
}

#[test]
fn a_restart_keeps_the_newest_removals_whatever_the_order_of_their_records() {
    let mut stones = Tombstones::new(2_000);
    // A checkpoint told the oldest again, behind newer ones.
    let order = (1_500..3_000).chain(0..1_500).chain(3_000..3_500);
    for number in order {
        stones.replay(stone(number, number.into()), entry(7));
        stones.replay(stone(number, 0), entry(8));
    }
    stones.sort();
    assert_eq!(stones.count(), 2_000);
    assert!((1_500..3_500).all(|number| is_known(&stones, number)));
}

#[test]
fn only_tombstones_of_old_entries_are_written_again() {
    let mut stones = Tombstones::new(100_000);
    for number in 0..5_000_u32 {
        stones.push(stone(number, number.into()), entry(1 + u64::from(number) / 1_000));
    }
    stones.forget(id(3));
    let mut written = |before| {
        let (mut at, mut written) = (0, Vec::new());
        while let Some((records, next)) = stones.write_again(at, entry(before), entry(9)) {
            assert!(records.len() <= 1_024);
            written.extend(records.iter().map(|removed| removed.id));
            at = next;
        }
        written
    };
    // The chunks with the first two thousand, but for the one that counts no more.
    let first = written(3);
    assert_eq!(first.len(), 2_047);
    assert!(first[2] == id(2) && first[3] == id(4));
    assert_eq!(written(3), [], "they are in a later entry now");
    assert_eq!(written(4).first(), Some(&id(2_048)));
    assert_eq!(stones.needed_between(&[5, 6, 10])[2], 3_072 * 64);
}
