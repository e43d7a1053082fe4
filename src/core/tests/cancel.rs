//! Cancellation in every state, with a grace period and by force.

use std::sync::Arc;
use std::time::Duration;

use super::fixture::*;
use crate::core::{CancelRequest, Record};
use crate::error::ErrorKind;
use crate::job::{AttemptEnd, Cancellation, Event, EventBody, JobId, JobState, Outcome, Start, Stop};

fn cancelled(forced: bool) -> Option<Outcome> {
    let (reason, principal) = ("why".to_owned(), Some("ops".into()));
    Some(Outcome::Cancellation(Arc::new(Cancellation { reason, principal, forced })))
}

fn running() -> (Fixture, JobId) {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let id = f.submit(retried("a", 5));
    f.started();
    (f, id)
}

#[test]
fn cancelling_a_waiting_job_ends_it_at_once() {
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
fn cancelling_a_job_in_back_off_ends_it_at_once() {
    let (mut f, id) = running();
    f.end(id, failure("once"));
    f.cancel(id, GRACE).unwrap();
    f.advance(seconds(10));
    assert_eq!((f.started(), f.view(id).outcome), (vec![], cancelled(false)));
}

#[test]
fn a_cancelled_attempt_is_notified_and_has_a_grace_period() {
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
fn an_attempt_that_ignores_a_cancel_is_ended_after_the_grace_period() {
    let (mut f, id) = running();
    f.cancel(id, GRACE).unwrap();
    f.advance(GRACE - millis(1));
    assert_eq!(f.state(id), JobState::Running);
    f.stopped();
    f.advance(millis(1));
    assert_eq!((f.stopped(), f.view(id).outcome), (vec![(id, Stop::Revoke)], cancelled(true)));
}

#[test]
fn without_a_grace_period_a_running_job_ends_at_once() {
    let (mut f, id) = running();
    f.cancel(id, Duration::ZERO).unwrap();
    assert_eq!((f.stopped(), f.view(id).outcome), (vec![(id, Stop::Revoke)], cancelled(true)));
}

#[test]
fn a_success_after_a_cancel_request_is_a_success() {
    let (mut f, id) = running();
    f.cancel(id, GRACE).unwrap();
    f.end(id, success());
    assert_eq!(f.state(id), JobState::Succeeded);
}

#[test]
fn every_other_end_after_a_cancel_request_ends_the_job_cancelled() {
    for end in [failure("late"), AttemptEnd::Release(seconds(1)), AttemptEnd::Cancelled] {
        let (mut f, id) = running();
        f.cancel(id, GRACE).unwrap();
        f.end(id, end);
        assert_eq!(f.view(id).outcome, cancelled(false));
        f.advance(GRACE);
        assert_eq!(f.started(), [], "it is not retried");
    }
}

#[test]
fn a_cancelled_job_of_a_lost_worker_is_not_retried() {
    let (mut f, id) = running();
    f.cancel(id, GRACE).unwrap();
    let (session, _) = f.lease(id);
    f.close(session);
    assert_eq!(f.view(id).outcome, cancelled(false));
}

#[test]
fn a_second_cancel_may_only_shorten_the_grace_period() {
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
fn cancelling_a_finished_job_fails_unless_it_was_cancelled() {
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
fn cancelling_an_unknown_job_fails() {
    let error = Fixture::new().cancel(id(1), GRACE).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::JobNotFound(id(1)));
}

#[test]
fn a_cancelled_end_without_a_cancel_request_is_a_failure() {
    let (mut f, id) = running();
    f.end(id, AttemptEnd::Cancelled);
    assert_eq!(f.state(id), JobState::Scheduled, "and is retried");
}

#[test]
fn a_cancelled_attempt_that_times_out_counts_as_forced() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let id = f.submit(with("a", |options| options.attempt_timeout = Some(seconds(3))));
    f.cancel(id, GRACE).unwrap();
    f.advance(seconds(3));
    assert_eq!(f.view(id).outcome, cancelled(true));
}

#[test]
fn a_shorter_grace_period_is_sent_to_the_worker() {
    let (mut f, id) = running();
    f.cancel(id, GRACE).unwrap();
    f.advance(seconds(1));
    f.cancel(id, GRACE).unwrap();
    f.cancel(id, seconds(2)).unwrap();
    assert_eq!(f.stopped(), [(id, Stop::Cancel(GRACE)), (id, Stop::Cancel(seconds(2)))]);
}

#[test]
fn the_event_of_a_cancel_and_the_outcome_name_its_principal() {
    let (mut f, id) = running();
    f.cancel(id, GRACE).unwrap();
    let mut again = |grace| {
        let other = Arc::from("other");
        let request = CancelRequest { reason: "again", grace, principal: Some(&other) };
        f.run(|core, now, effects| core.cancel(now, id, request, effects)).unwrap();
    };
    again(seconds(1));
    let principals = |f: &Fixture| -> Vec<_> {
        let principal = |event: Event| match event.body {
            EventBody::State(change) => change.principal,
            _ => None,
        };
        f.events(id).into_iter().filter_map(principal).collect()
    };
    assert_eq!(principals(&f), [Arc::from("ops")], "a repeat is no event");
    f.end(id, AttemptEnd::Cancelled);
    assert_eq!(f.view(id).outcome, cancelled(false), "the first request counts");
    let replayed = |records: Vec<Record>| {
        let mut f = Fixture::new();
        f.run(|core, now, effects| {
            records.into_iter().for_each(|record| core.replay(record));
            core.resume(now, Duration::ZERO, effects);
        });
        (principals(&f), f.view(id).outcome)
    };
    let snapshot = f.core.snapshot(f.key(id), None);
    for records in [f.records.clone(), snapshot] {
        assert_eq!(replayed(records), (vec![Arc::from("ops")], cancelled(false)));
    }
}
