//! Cancelling: in every state, with grace and by force.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::*;
use crate::error::ErrorKind;
use crate::job::{AttemptEnd, Cancellation, JobId, JobState, Outcome, Start, Stop};

fn cancelled(forced: bool) -> Option<Outcome> {
    Some(Outcome::Cancellation(Arc::new(Cancellation { reason: "why".to_owned(), forced })))
}

fn running() -> (Fixture, JobId) {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let id = f.submit(retried("a", 5));
    f.started();
    (f, id)
}

#[test]
fn waiting_jobs_end_at_once() {
    let mut f = Fixture::new();
    let start = f.now.wall.plus(seconds(5));
    let queued = f.submit(job("a"));
    let delayed = f.submit(with("a", |options| options.start = Start::After(seconds(5))));
    let timed = f.submit(with("a", |options| options.start = Start::At(start)));
    for id in [queued, delayed, timed] {
        f.cancel(id, GRACE).unwrap();
        assert_eq!(f.view(id).outcome, cancelled(false));
    }
    f.open(&["a"], 3);
    f.advance(seconds(10));
    assert_eq!(f.started(), []);
}

#[test]
fn a_job_between_attempts_ends_at_once() {
    let (mut f, id) = running();
    f.end(id, failure("once"));
    f.cancel(id, GRACE).unwrap();
    f.advance(seconds(10));
    assert_eq!((f.started(), f.view(id).outcome), (vec![], cancelled(false)));
}

#[test]
fn a_running_attempt_is_told_at_once_and_may_clean_up() {
    let (mut f, id) = running();
    f.cancel(id, GRACE).unwrap();
    assert_eq!(f.stopped(), [(id, Stop::Cancel(GRACE))]);
    assert_eq!(f.state(id), JobState::Running);
    assert!(f.view(id).cancel_requested);
    f.advance(seconds(9));
    f.end(id, AttemptEnd::Cancelled);
    assert_eq!(f.view(id).outcome, cancelled(false));
}

#[test]
fn a_handler_that_ignores_a_cancel_is_ended_by_force_at_the_time() {
    let (mut f, id) = running();
    f.cancel(id, GRACE).unwrap();
    f.advance(GRACE - millis(1));
    assert_eq!(f.state(id), JobState::Running);
    f.stopped();
    f.advance(millis(1));
    assert_eq!((f.stopped(), f.view(id).outcome), (vec![(id, Stop::Revoke)], cancelled(true)));
}

#[test]
fn without_grace_a_running_job_ends_at_once() {
    let (mut f, id) = running();
    f.cancel(id, Duration::ZERO).unwrap();
    assert_eq!((f.stopped(), f.view(id).outcome), (vec![(id, Stop::Revoke)], cancelled(true)));
}

#[test]
fn a_success_after_a_cancel_is_a_success() {
    let (mut f, id) = running();
    f.cancel(id, GRACE).unwrap();
    f.end(id, success());
    assert_eq!(f.state(id), JobState::Succeeded);
}

#[test]
fn whatever_else_ends_the_attempt_after_a_cancel_ends_the_job_cancelled() {
    for end in [failure("late"), AttemptEnd::Release(seconds(1)), AttemptEnd::Cancelled] {
        let (mut f, id) = running();
        f.cancel(id, GRACE).unwrap();
        f.end(id, end);
        assert_eq!(f.view(id).outcome, cancelled(false));
        f.advance(GRACE);
        assert_eq!(f.started(), [], "it is not tried again");
    }
}

#[test]
fn a_cancelled_job_whose_worker_goes_away_is_not_tried_again() {
    let (mut f, id) = running();
    f.cancel(id, GRACE).unwrap();
    let (session, _) = f.lease(id);
    f.close(session);
    assert_eq!(f.view(id).outcome, cancelled(false));
}

#[test]
fn a_second_cancel_shortens_the_grace_and_never_stretches_it() {
    let (mut f, id) = running();
    f.cancel(id, GRACE).unwrap();
    let events = f.events(id).len();
    f.cancel(id, seconds(100)).unwrap();
    f.cancel(id, seconds(2)).unwrap();
    assert_eq!(f.events(id).len(), events, "it is the same cancel");
    f.advance(seconds(2));
    assert_eq!(f.view(id).outcome, cancelled(true));

    let (mut f, id) = running();
    f.cancel(id, seconds(2)).unwrap();
    f.cancel(id, seconds(100)).unwrap();
    f.advance(seconds(2));
    assert_eq!(f.view(id).outcome, cancelled(true));

    let (mut f, id) = running();
    f.cancel(id, seconds(2)).unwrap();
    f.cancel(id, Duration::ZERO).unwrap();
    assert_eq!(f.view(id).outcome, cancelled(true));
}

#[test]
fn a_finished_job_cannot_be_cancelled_unless_it_already_was() {
    let (mut f, id) = running();
    f.end(id, success());
    let error = f.cancel(id, GRACE).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::IllegalState { state: JobState::Succeeded, .. }));
    assert_eq!(f.state(id), JobState::Succeeded);

    let id = f.submit(job("b"));
    f.cancel(id, GRACE).unwrap();
    let end = f.events(id);
    f.cancel(id, GRACE).unwrap();
    assert_eq!(f.events(id), end);
}

#[test]
fn an_unknown_job_cannot_be_cancelled() {
    let error = Fixture::new().cancel(id(1), GRACE).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::JobNotFound(id(1)));
}

#[test]
fn a_handler_that_stops_uncancelled_failed() {
    let (mut f, id) = running();
    f.end(id, AttemptEnd::Cancelled);
    assert_eq!(f.state(id), JobState::Scheduled, "and is tried again");
}

#[test]
fn a_cancelled_attempt_that_runs_out_of_time_was_ended_by_force() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let id = f.submit(with("a", |options| options.attempt_timeout = Some(seconds(3))));
    f.cancel(id, GRACE).unwrap();
    f.advance(seconds(3));
    assert_eq!(f.view(id).outcome, cancelled(true));
}

#[test]
fn a_worker_is_told_of_a_shorter_grace() {
    let (mut f, id) = running();
    f.cancel(id, GRACE).unwrap();
    f.advance(seconds(1));
    f.cancel(id, GRACE).unwrap();
    f.cancel(id, seconds(2)).unwrap();
    assert_eq!(f.stopped(), [(id, Stop::Cancel(GRACE)), (id, Stop::Cancel(seconds(2)))]);
}
