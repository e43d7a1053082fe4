//! Submit: idempotency, batches and limits.

use std::time::Duration;

use super::fixture::*;
use crate::core::CoreOptions;
use crate::error::ErrorKind;
use crate::job::{AttemptEnd, Failure, FailureReason, JobId, JobState, NewJob, Payload, Start};

fn small() -> CoreOptions {
    CoreOptions { jobs_max: 3, job_bytes_max: 100, ..CoreOptions::default() }
}

fn submit_all(f: &mut Fixture, jobs: Vec<(JobId, NewJob)>) -> Result<Vec<bool>, (usize, ErrorKind)> {
    let jobs = jobs.into_iter().map(|(id, job)| (id, NewJob { id: Some(id), ..job })).collect();
    f.run(|core, now, effects| core.submit_all(now, jobs, effects))
        .map(|accepted| accepted.iter().map(|submitted| submitted.existing).collect())
        .map_err(|(index, error)| (index, error.kind().clone()))
}

fn full(reason: &'static str) -> impl Fn(&ErrorKind) -> bool {
    move |kind| matches!(kind, ErrorKind::ResourceExhausted { reason: actual, .. } if *actual == reason)
}

#[test]
fn a_repeated_submit_returns_the_existing_job() {
    let mut f = Fixture::new();
    let first = f.submit_as(id(1), retried("a", 3)).unwrap();
    let records = f.records.len();
    let again = f.submit_as(id(1), retried("a", 3)).unwrap();
    assert_eq!((first.existing, again.existing, again.job), (false, true, first.job));
    assert_eq!((f.core.job_count(), f.records.len()), (1, records));
}

#[test]
fn a_repeated_submit_of_a_finished_job_starts_no_attempt() {
    let mut f = Fixture::new();
    f.open(&["a"], 2);
    let ended = f.submit(job("a"));
    f.end(ended, success());
    f.started();
    assert!(f.submit_as(ended, job("a")).unwrap().existing);
    assert_eq!((f.started(), f.state(ended)), (vec![], JobState::Succeeded));
}

#[test]
fn a_used_id_with_another_spec_is_rejected() {
    let mut f = Fixture::new();
    f.open(&["ended"], 1);
    let ended = f.submit(job("ended"));
    f.end(ended, success());
    f.submit_as(id(1), job("a")).unwrap();
    let others = [
        job("b"),
        queued_in("a", "q"),
        prioritized("a", 1),
        sized("a", 1),
        with("a", |options| options.retention = Some(seconds(1))),
        NewJob { payload: Payload::text(""), ..job("a") },
    ];
    for other in others {
        for id in [id(1), ended] {
            let error = f.submit_as(id, other.clone()).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::JobIdReused(id));
        }
    }
}

#[test]
fn a_batch_is_atomic() {
    let mut f = Fixture::with(small());
    f.submit_as(id(1), job("a")).unwrap();
    let batch = |numbers: &[u32]| numbers.iter().map(|number| (id(*number), job("new"))).collect();
    let (index, kind) = submit_all(&mut f, batch(&[2, 3, 4])).unwrap_err();
    assert_eq!((index, full("QUEUE_FULL")(&kind)), (2, true));
    let (index, kind) = submit_all(&mut f, batch(&[2, 1])).unwrap_err();
    assert_eq!((index, kind), (1, ErrorKind::JobIdReused(id(1))));
    assert_eq!((f.core.job_count(), f.core.lanes.keys().len()), (1, 1));
    assert_eq!(submit_all(&mut f, batch(&[2, 3])), Ok(vec![false, false]));
}

#[test]
fn a_duplicate_in_a_batch_is_one_job() {
    let mut f = Fixture::with(small());
    let batch = vec![(id(1), job("a")), (id(2), job("a")), (id(1), job("a")), (id(3), job("a"))];
    assert_eq!(submit_all(&mut f, batch), Ok(vec![false, false, true, false]));
    let batch = vec![(id(4), job("a")), (id(4), job("b"))];
    assert_eq!(submit_all(&mut Fixture::new(), batch), Err((1, ErrorKind::JobIdReused(id(4)))));
}

#[test]
fn limits_apply_to_the_bytes_and_lanes_of_a_batch() {
    let mut f = Fixture::with(CoreOptions { job_bytes_max: 100, ..CoreOptions::default() });
    let (index, kind) =
        submit_all(&mut f, vec![(id(1), sized("a", 60)), (id(2), sized("a", 41))]).unwrap_err();
    assert_eq!((index, full("QUEUE_BYTES_FULL")(&kind)), (1, true));
    assert_eq!(
        submit_all(&mut f, vec![(id(1), sized("a", 60)), (id(2), sized("a", 40))]),
        Ok(vec![false; 2])
    );
    let lanes = (0..=20).map(|number| (id(number), job(&format!("k{number}")))).collect();
    let mut f = Fixture::with(CoreOptions { queues_max: 20, ..CoreOptions::default() });
    let (index, kind) = submit_all(&mut f, lanes).unwrap_err();
    assert_eq!((index, full("LANES_FULL")(&kind)), (20, true));
}

#[test]
fn rejected_jobs_change_no_state() {
    let mut f = Fixture::with(small());
    f.submit(sized("a", 60));
    let records = f.records.len();
    let error = f.submit_as(id(9), sized("b", 41)).unwrap_err();
    assert!(full("QUEUE_BYTES_FULL")(error.kind()));
    f.submit(sized("a", 40));
    f.submit(job("a"));
    let error = f.submit_as(id(9), job("b")).unwrap_err();
    assert!(full("QUEUE_FULL")(error.kind()));
    assert_eq!(f.find_error(id(9)), ErrorKind::JobNotFound(id(9)));
    assert_eq!((f.core.lanes.keys().len(), f.core.job_count()), (1, 3));
    assert_eq!(f.records.len(), records + 2, "refused jobs are not recorded");
}

#[test]
fn ended_jobs_free_capacity_while_they_are_retained() {
    let mut f = Fixture::with(small());
    let jobs = [(); 3].map(|()| f.submit(sized("a", 30)));
    f.submit_as(id(9), job("a")).unwrap_err();
    f.cancel(jobs[0], GRACE).unwrap();
    f.submit_as(id(9), sized("a", 40)).unwrap();
    assert_eq!(f.core.job_count(), 4);
}

#[test]
fn a_check_replies_like_submit_and_stores_nothing() {
    let mut f = Fixture::with(small());
    let known = f.submit(sized("a", 100));
    assert!(f.core.check_submit(None, &job("b")).is_ok());
    assert!(f.core.check_submit(Some(known), &sized("a", 100)).is_ok());
    let reused = f.core.check_submit(Some(known), &job("a")).unwrap_err();
    assert_eq!(*reused.kind(), ErrorKind::JobIdReused(known));
    assert!(full("QUEUE_BYTES_FULL")(f.core.check_submit(None, &sized("b", 1)).unwrap_err().kind()));
    assert_eq!((f.core.job_count(), f.core.lanes.keys().len()), (1, 1));
}

#[test]
fn durations_of_any_length_are_accepted() {
    for span in [
        Duration::MAX - seconds(1000),
        seconds(u64::MAX / 1000),
        seconds(4_400_000_000),
        seconds(315_576_000_000),
    ] {
        let mut f = Fixture::with(CoreOptions { attempt_timeout: span, ..CoreOptions::default() });
        f.advance(seconds(100));
        f.open(&["a"], 5);
        let [delayed, timed, retained, cancelled] = [
            with("a", |options| options.start = Start::After(span)),
            with("a", |options| options.timeout = Some(span)),
            with("a", |options| options.retention = Some(span)),
            with("a", |options| options.attempt_timeout = Some(span)),
        ]
        .map(|job| f.submit(job));
        f.cancel(cancelled, span).unwrap();
        f.end(retained, fail_after(span));
        f.end(timed, AttemptEnd::Release(span));
        f.advance(seconds(3600 * 24 * 365 * 10));
        let states = [delayed, timed, retained, cancelled].map(|id| f.state(id));
        assert_eq!(
            states,
            [JobState::Scheduled, JobState::Scheduled, JobState::Failed, JobState::Running],
            "{span:?}"
        );
    }
}

fn fail_after(pause: Duration) -> AttemptEnd {
    AttemptEnd::Failure(Failure::new(FailureReason::Handler, "later"), Some(pause))
}

#[test]
fn explicit_default_options_are_the_same_spec() {
    let mut f = Fixture::new();
    f.submit_as(id(1), job("a")).unwrap();
    assert!(f.submit_as(id(1), with("a", |_| {})).unwrap().existing);
    f.submit_as(id(2), with("a", |_| {})).unwrap();
    assert!(f.submit_as(id(2), job("a")).unwrap().existing);
    assert_eq!(
        submit_all(&mut f, vec![(id(3), job("a")), (id(3), with("a", |_| {}))]),
        Ok(vec![false, true])
    );
}
