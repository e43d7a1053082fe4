//! Finished jobs: how long they are kept, and what is told of them later.

use super::fixture::*;
use crate::core::CoreOptions;
use crate::error::ErrorKind;
use crate::job::{JobId, JobState, Payload, Timestamp};

fn finished(f: &mut Fixture, job: crate::job::NewJob) -> JobId {
    let id = f.submit(job);
    f.cancel(id, GRACE).unwrap();
    id
}

fn expired(job_id: JobId, expire_time: Timestamp) -> ErrorKind {
    ErrorKind::ResultExpired { job_id, expire_time }
}

#[test]
fn finished_jobs_are_kept_for_the_servers_time_or_their_own() {
    let mut f = Fixture::with(CoreOptions { retention: seconds(60), ..CoreOptions::default() });
    let usual = finished(&mut f, job("a"));
    let short = finished(&mut f, with("a", |options| options.retention = Some(seconds(5))));
    let long = finished(&mut f, with("a", |options| options.retention = Some(seconds(500))));
    let expire_times = [usual, short, long].map(|id| f.view(id).expire_time.unwrap());
    assert_eq!(expire_times, [60, 5, 500].map(|span| f.now.wall.plus(seconds(span))));
    f.advance(seconds(5) - millis(1));
    assert_eq!(f.core.job_count(), 3);
    f.advance(millis(1));
    assert_eq!(f.find_error(short), expired(short, expire_times[1]));
    f.advance(seconds(55));
    assert_eq!(f.find_error(usual), expired(usual, expire_times[0]));
    f.advance(seconds(440));
    assert_eq!((f.find_error(long), f.core.job_count()), (expired(long, expire_times[2]), 0));
    assert!(f.core.lanes.queues.is_empty());
}

#[test]
fn what_a_finished_job_holds_counts() {
    let weight = |change: fn(&mut Fixture, JobId)| {
        let mut f = Fixture::new();
        f.open(&["a"], 1);
        let id = f.submit(retried("a", 3));
        change(&mut f, id);
        f.end(id, success());
        f.core.finished.bytes
    };
    let plain = weight(|_, _| {});
    let logged = weight(|f, id| f.report(id, log(&"x".repeat(4000))));
    let retried = weight(|f, id| {
        f.end(id, failure(&"x".repeat(4000)));
        f.advance(seconds(1));
    });
    assert!(logged >= plain + 4000 && retried >= plain + 4000, "{plain} {logged} {retried}");
}

#[test]
fn only_finished_jobs_can_be_deleted() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let [running, queued] = [f.submit(job("a")), f.submit(job("a"))];
    for (id, state) in [(running, JobState::Running), (queued, JobState::Queued)] {
        let error = f.run(|core, now, effects| core.delete(now, id, effects)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::IllegalState { state: actual, .. } if *actual == state));
    }
    assert_eq!(f.core.job_count(), 2);
}

#[test]
fn a_moved_wall_clock_removes_nothing() {
    let mut f = Fixture::new();
    let id = finished(&mut f, job("a"));
    f.move_wall(1_000_000);
    assert_eq!(f.state(id), JobState::Cancelled);
    f.advance(seconds(3600));
    assert!(f.core.find(id).is_err());
}

#[test]
fn the_key_of_a_removed_job_is_not_taken_for_the_job() {
    let mut f = Fixture::new();
    let old = finished(&mut f, job("a"));
    let key = f.key(old);
    assert_eq!(f.key(old), key);
    f.run(|core, now, effects| core.delete(now, old, effects)).unwrap();
    let new = f.submit(job("a"));
    assert_eq!(f.key(new), key, "records are used again");
    assert!(f.core.find(old).is_err());
}

#[test]
fn the_oldest_finished_jobs_make_room_and_the_one_that_just_ended_stays() {
    let mut f = Fixture::with(CoreOptions { retention_bytes_max: 3000, ..CoreOptions::default() });
    let [first, second] = [sized("a", 500), sized("a", 500)].map(|job| finished(&mut f, job));
    let waiting = f.submit(sized("a", 2000));
    f.advance(seconds(1));
    let third = finished(&mut f, sized("a", 500));
    assert_eq!(f.find_error(first), expired(first, f.now.wall), "removed now, not when its time was over");
    assert_eq!([second, third].map(|id| f.state(id)), [JobState::Cancelled; 2]);
    let large = finished(&mut f, sized("a", 10_000));
    assert_eq!((f.core.job_count(), f.state(large)), (2, JobState::Cancelled));
    finished(&mut f, sized("a", 10));
    assert!(f.core.find(large).is_err() && f.core.find(waiting).is_ok());
}

#[test]
fn a_job_that_was_waited_for_stays_a_little_longer_than_its_retention() {
    let mut f = Fixture::new();
    f.open(&["a"], 2);
    let mut spec = job("a");
    spec.options_mut().retention = Some(seconds(0));
    let (watched, unwatched) = (f.submit(spec.clone()), f.submit(spec));
    let key = f.key(watched);
    f.core.set_observer(key, 7, false);
    f.end(watched, crate::job::AttemptEnd::Success(Payload::default()));
    f.end(unwatched, crate::job::AttemptEnd::Success(Payload::default()));
    f.advance(seconds(4));
    assert!(f.core.find(watched).is_ok() && f.core.find(unwatched).is_err());
    f.advance(seconds(2));
    assert!(f.core.find(watched).is_err());
}

/// A job without retention that is watched and has ended.
fn watched_and_ended(f: &mut Fixture, bytes: usize) -> JobId {
    let mut spec = sized("a", bytes);
    spec.options_mut().retention = Some(seconds(0));
    let id = f.submit(spec);
    let key = f.key(id);
    f.core.set_observer(key, 7, true);
    f.end(id, crate::job::AttemptEnd::Success(Payload::default()));
    id
}

#[test]
fn a_finished_job_stays_as_long_as_a_watch_of_it_is_open() {
    let mut f = Fixture::new();
    f.open(&["a"], 2);
    let id = watched_and_ended(&mut f, 10);
    f.advance(seconds(3600));
    let key = f.key(id);
    f.core.set_observer(key, 0, false);
    f.advance(seconds(2));
    assert!(matches!(f.find_error(id), ErrorKind::ResultExpired { .. }));
}

#[test]
fn watched_jobs_make_no_room_within_their_bound() {
    let mut f = Fixture::with(CoreOptions { retention_bytes_max: 1_000, ..CoreOptions::default() });
    f.open(&["a"], 2);
    let watched = watched_and_ended(&mut f, 900);
    let [first, second] = [sized("b", 900), sized("b", 900)].map(|job| finished(&mut f, job));
    assert!(f.core.find(watched).is_ok() && f.core.find(second).is_ok());
    assert!(matches!(f.find_error(first), ErrorKind::ResultExpired { .. }));
    let large = watched_and_ended(&mut f, 16 << 20);
    assert!(f.core.find(large).is_ok(), "what just ended stays");
    assert!(
        matches!(f.find_error(watched), ErrorKind::ResultExpired { .. }),
        "beyond the bound the oldest go"
    );
}

#[test]
fn removing_a_watched_job_is_told_to_its_watches() {
    let mut f = Fixture::new();
    f.open(&["a"], 2);
    let id = watched_and_ended(&mut f, 10);
    let woken = f.woken.len();
    f.run(|core, now, effects| core.delete(now, id, effects)).unwrap();
    assert_eq!(f.woken[woken..], [7]);
}

#[test]
fn finished_jobs_make_room_for_new_ones_and_then_these_are_refused() {
    let mut f = Fixture::with(CoreOptions { stored_bytes_max: 6_000, ..CoreOptions::default() });
    let old = finished(&mut f, sized("a", 1000));
    let new = finished(&mut f, sized("a", 1000));
    f.submit(sized("a", 1000));
    assert_eq!(f.core.job_count(), 3, "there is room for all");
    f.submit(sized("a", 1000));
    assert!(matches!(f.find_error(old), ErrorKind::ResultExpired { .. }));
    let waiting = f.submit(sized("a", 1000));
    assert!(matches!(f.find_error(new), ErrorKind::ResultExpired { .. }));
    let error = f.submit_as(id(7), sized("a", 2000)).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::DiskFull);
    f.cancel(waiting, GRACE).unwrap();
    f.submit_as(id(7), sized("a", 1000)).unwrap();
    assert_eq!(f.core.job_count(), 3, "what ended made room");
}
