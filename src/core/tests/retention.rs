//! Retention of finished jobs, and replies about removed ones.

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
fn finished_jobs_are_retained_for_the_default_or_their_own_time() {
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
fn the_bytes_of_finished_jobs_are_counted() {
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
fn a_wall_clock_change_removes_no_job() {
    let mut f = Fixture::new();
    let id = finished(&mut f, job("a"));
    f.move_wall(1_000_000);
    assert_eq!(f.state(id), JobState::Cancelled);
    f.advance(seconds(3600));
    assert!(f.core.find(id).is_err());
}

#[test]
fn a_reused_key_does_not_refer_to_the_removed_job() {
    let mut f = Fixture::new();
    let old = finished(&mut f, job("a"));
    let key = f.key(old);
    assert_eq!(f.key(old), key);
    f.run(|core, now, effects| core.delete(now, old, effects)).unwrap();
    let new = f.submit(job("a"));
    assert_eq!(f.key(new), key, "table slots are reused");
    assert!(f.core.find(old).is_err());
}

#[test]
fn above_the_limit_the_oldest_finished_jobs_are_removed() {
    let mut f = Fixture::with(CoreOptions { retention_bytes_max: 3000, ..CoreOptions::default() });
    let [first, second] = [sized("a", 500), sized("a", 500)].map(|job| finished(&mut f, job));
    let waiting = f.submit(sized("a", 2000));
    f.advance(seconds(1));
    let third = finished(&mut f, sized("a", 500));
    assert_eq!(f.find_error(first), expired(first, f.now.wall), "removed now, before its retention passed");
    assert_eq!([second, third].map(|id| f.state(id)), [JobState::Cancelled; 2]);
    let large = finished(&mut f, sized("a", 10_000));
    assert_eq!((f.core.job_count(), f.state(large)), (2, JobState::Cancelled));
    finished(&mut f, sized("a", 10));
    assert!(f.core.find(large).is_err() && f.core.find(waiting).is_ok());
}

#[test]
fn a_job_with_a_waiter_is_retained_for_a_short_extra_time() {
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

/// Returns an ended job with a retention of zero and an open watch.
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
fn a_finished_job_is_retained_while_a_watch_is_open() {
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
fn watched_jobs_are_removed_only_above_their_limit() {
    let mut f = Fixture::with(CoreOptions { retention_bytes_max: 1_000, ..CoreOptions::default() });
    f.open(&["a"], 2);
    let watched = watched_and_ended(&mut f, 900);
    let [first, second] = [sized("b", 900), sized("b", 900)].map(|job| finished(&mut f, job));
    assert!(f.core.find(watched).is_ok() && f.core.find(second).is_ok());
    assert!(matches!(f.find_error(first), ErrorKind::ResultExpired { .. }));
    let large = watched_and_ended(&mut f, 16 << 20);
    assert!(f.core.find(large).is_ok(), "the job that just ended is retained");
    assert!(
        matches!(f.find_error(watched), ErrorKind::ResultExpired { .. }),
        "above the limit the oldest are removed"
    );
}

#[test]
fn removing_a_watched_job_wakes_its_watches() {
    let mut f = Fixture::new();
    f.open(&["a"], 2);
    let id = watched_and_ended(&mut f, 10);
    let woken = f.woken.len();
    f.run(|core, now, effects| core.delete(now, id, effects)).unwrap();
    assert_eq!(f.woken[woken..], [7]);
}

#[test]
fn finished_jobs_are_removed_for_new_ones_until_none_is_left() {
    let mut f = Fixture::with(CoreOptions { stored_bytes_max: 6_000, ..CoreOptions::default() });
    let old = finished(&mut f, sized("a", 1000));
    let new = finished(&mut f, sized("a", 1000));
    f.submit(sized("a", 1000));
    assert_eq!(f.core.job_count(), 3, "all fit the limit");
    f.submit(sized("a", 1000));
    assert!(matches!(f.find_error(old), ErrorKind::ResultExpired { .. }));
    let waiting = f.submit(sized("a", 1000));
    assert!(matches!(f.find_error(new), ErrorKind::ResultExpired { .. }));
    let error = f.submit_as(id(7), sized("a", 2000)).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::DiskFull);
    f.cancel(waiting, GRACE).unwrap();
    f.submit_as(id(7), sized("a", 1000)).unwrap();
    assert_eq!(f.core.job_count(), 3, "the finished job was removed");
}
