//! The lifecycle of a job: start times, retries, timeouts, lost workers and leases.

use std::time::Duration;

use super::fixture::*;
use crate::core::CoreOptions;
use crate::error::ErrorKind;
use crate::job::{AttemptEnd, EventBody, Failure, FailureReason, JobState, Payload, Start, Stop, WaitReason};
use JobState::{Cancelled, Failed, Queued, Running, Scheduled, Succeeded};

#[test]
fn a_job_succeeds() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let id = f.submit(job("a"));
    f.advance(seconds(2));
    f.end(id, success());
    assert_eq!(f.states(id), [Queued, Running, Succeeded]);
    let view = f.view(id);
    assert_eq!(view.outcome, Some(crate::job::Outcome::Result(Payload::text("done"))));
    let [attempt] = &view.attempts[..] else { panic!("{view:?}") };
    assert_eq!((attempt.attempt, &*attempt.worker, &attempt.failure), (1, "w", &None));
    assert_eq!(attempt.finish_time.unwrap().since(attempt.start_time), seconds(2));
    assert_eq!((view.start_time, view.finish_time), (Some(attempt.start_time), Some(f.now.wall)));
}

#[test]
fn a_delayed_job_starts_after_its_delay_and_not_before() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    f.advance(Duration::from_micros(300));
    let id = f.submit(with("a", |options| options.start = Start::After(seconds(5))));
    let view = f.view(id);
    assert_eq!((view.state, view.wait_reason), (Scheduled, Some(WaitReason::NotDue)));
    assert_eq!(view.next_attempt_time, Some(f.now.wall.plus(seconds(5))));
    f.advance(seconds(5) - Duration::from_nanos(1));
    assert_eq!(f.state(id), Scheduled);
    f.advance(millis(1));
    assert_eq!(f.states(id), [Scheduled, Queued, Running]);
}

#[test]
fn the_wall_clock_affects_only_start_times() {
    let mut f = Fixture::new();
    f.open(&["a", "timed"], 5);
    let at = f.now.wall.plus(seconds(1000));
    let running = f.submit(with("a", |options| options.attempt_timeout = Some(seconds(60))));
    let timed = f.submit(with("timed", |options| options.start = Start::At(at)));
    let delayed = f.submit(with("a", |options| options.start = Start::After(seconds(60))));
    let overall = f.submit(with("none", |options| options.timeout = Some(seconds(60))));
    assert_eq!(f.core.next_wall_start(), Some(at));
    f.move_wall(999);
    assert_eq!(f.state(timed), Scheduled);
    f.move_wall(1);
    assert_eq!(f.state(timed), Running);
    f.move_wall(-1_000_000);
    f.move_wall(10_000_000);
    let states = [running, delayed, overall].map(|id| f.state(id));
    assert_eq!(states, [Running, Scheduled, Queued]);
    f.advance(seconds(60));
    assert_eq!((f.failed_with(running), f.state(delayed)), (FailureReason::AttemptTimeout, Running));
    assert_eq!(f.failed_with(overall), FailureReason::Deadline);
}

#[test]
fn a_job_with_a_past_start_time_is_queued_at_once() {
    let mut f = Fixture::new();
    let now = f.now.wall;
    for start in [Start::At(now), Start::After(Duration::ZERO), Start::Now] {
        let id = f.submit(with("a", |options| options.start = start));
        assert_eq!(f.state(id), Queued);
    }
}

#[test]
fn a_failed_attempt_is_retried_after_an_exponential_back_off() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let id = f.submit(retried("a", 3));
    f.end(id, failure("one"));
    let view = f.view(id);
    assert_eq!((view.state, view.wait_reason), (Scheduled, Some(WaitReason::BackOff)));
    assert_eq!(view.next_attempt_time, Some(f.now.wall.plus(seconds(1))));
    f.advance(seconds(1));
    f.end(id, failure("two"));
    f.advance(seconds(2) - millis(1));
    assert_eq!(f.state(id), Scheduled);
    f.advance(millis(1));
    f.end(id, failure("three"));
    assert_eq!(
        f.states(id),
        [Queued, Running, Scheduled, Queued, Running, Scheduled, Queued, Running, Failed]
    );
    let attempts = f.view(id).attempts;
    let messages: Vec<_> =
        attempts.iter().map(|attempt| attempt.failure.as_ref().unwrap().message.as_str()).collect();
    assert_eq!(messages, ["one", "two", "three"]);
}

#[test]
fn a_retried_job_is_queued_last() {
    let mut f = Fixture::new();
    let session = f.open(&["a"], 1);
    let failing = f.submit(retried("a", 2));
    let [second, third] = [(); 2].map(|()| f.submit(job("a")));
    f.set_slots(session, 0);
    f.end(failing, failure("once"));
    f.advance(seconds(1));
    f.started();
    f.set_slots(session, 3);
    assert_eq!(f.started(), [second, third, failing]);
}

#[test]
fn a_handler_may_choose_the_retry_delay() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let id = f.submit(retried("a", 3));
    let asking = |pause| AttemptEnd::Failure(Failure::new(FailureReason::Handler, "busy"), Some(pause));
    f.end(id, asking(seconds(7)));
    f.advance(seconds(7) - millis(1));
    assert_eq!(f.state(id), Scheduled);
    f.advance(millis(1));
    f.end(id, asking(Duration::ZERO));
    assert_eq!(f.state(id), Running, "a delay of zero");
    f.end(id, asking(seconds(7)));
    assert_eq!(f.state(id), Failed, "a retry delay does not add an attempt");
}

#[test]
fn a_permanent_failure_ends_the_job() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let id = f.submit(retried("a", 3));
    let permanent = Failure::new(FailureReason::BadPayload, "no").permanent();
    f.end(id, AttemptEnd::Failure(permanent, Some(seconds(1))));
    assert_eq!(f.failed_with(id), FailureReason::BadPayload);
}

#[test]
fn a_result_above_the_limit_is_a_permanent_failure() {
    let mut f = Fixture::with(CoreOptions { payload_bytes_max: 10, ..CoreOptions::default() });
    f.open(&["a"], 2);
    let [fitting, large] = [(); 2].map(|()| f.submit(retried("a", 3)));
    f.end(fitting, AttemptEnd::Success(Payload::text("0123456789")));
    f.end(large, AttemptEnd::Success(Payload::text("0123456789!")));
    assert_eq!((f.state(fitting), f.failed_with(large)), (Succeeded, FailureReason::ResultTooLarge));
}

#[test]
fn an_attempt_that_times_out_is_revoked_and_counts() {
    let mut f = Fixture::new();
    f.open(&["a"], 5);
    let mut spec = retried("a", 2);
    spec.options_mut().attempt_timeout = Some(seconds(3));
    let id = f.submit(spec);
    f.advance(seconds(3) - millis(1));
    assert_eq!(f.state(id), Running);
    f.advance(millis(1));
    assert_eq!((f.state(id), f.stopped()), (Scheduled, vec![(id, Stop::Revoke)]));
    f.advance(seconds(1));
    f.advance(seconds(3));
    assert_eq!(f.failed_with(id), FailureReason::AttemptTimeout);
}

#[test]
fn the_default_attempt_timeout_applies_if_the_job_has_none() {
    let mut f = Fixture::with(CoreOptions { attempt_timeout: seconds(9), ..CoreOptions::default() });
    f.open(&["a"], 1);
    let id = f.submit(job("a"));
    f.advance(seconds(9));
    assert_eq!(f.failed_with(id), FailureReason::AttemptTimeout);
}

#[test]
fn the_job_timeout_ends_a_job_in_every_state() {
    let mut f = Fixture::new();
    f.open(&["a"], 5);
    let spec = |name, start| {
        with(name, |options| {
            options.timeout = Some(seconds(5));
            options.retry.max_attempts = 9;
            options.start = start;
        })
    };
    let start_time = Start::At(f.now.wall.plus(seconds(50)));
    let queued = f.submit(spec("none", Start::Now));
    let delayed = f.submit(spec("a", Start::After(seconds(50))));
    let timed = f.submit(spec("a", start_time));
    let running = f.submit(spec("a", Start::Now));
    let backing_off = f.submit(spec("a", Start::Now));
    let pause = Some(seconds(50));
    f.end(backing_off, AttemptEnd::Failure(Failure::new(FailureReason::Handler, "x"), pause));
    f.advance(seconds(5) - millis(1));
    let jobs = [queued, delayed, timed, running, backing_off];
    assert!(jobs.iter().all(|id| !f.state(*id).is_final()));
    f.advance(millis(1));
    assert!(jobs.iter().all(|id| f.failed_with(*id) == FailureReason::Deadline));
    assert_eq!(f.stopped(), [(running, Stop::Revoke)]);
    f.advance(seconds(50));
    assert!(jobs.iter().all(|id| f.state(*id) == Failed));
}

#[test]
fn a_job_may_start_between_its_timeout_and_the_next_tick() {
    let mut f = Fixture::new();
    let id = f.submit(with("a", |options| options.timeout = Some(seconds(5))));
    f.now.monotonic += seconds(6);
    f.open(&["a"], 1);
    f.tick();
    assert_eq!(f.failed_with(id), FailureReason::Deadline);
}

#[test]
fn a_job_past_its_timeout_does_not_start_at_its_start_time() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let at = f.now.wall.plus(seconds(9));
    let id = f.submit(with("a", |options| {
        options.start = Start::At(at);
        options.timeout = Some(seconds(5));
    }));
    f.advance(seconds(9));
    assert_eq!((f.states(id), f.started()), (vec![Scheduled, Failed], vec![]));
}

#[test]
fn lost_attempts_have_a_retry_budget_of_their_own() {
    let mut f = Fixture::new();
    let id = f.submit(job("a"));
    for lost in 1..=3 {
        assert_eq!(f.state(id), Queued);
        let session = f.open(&["a"], 1);
        assert_eq!(f.view(id).attempt, lost);
        f.close(session);
    }
    assert_eq!(f.failed_with(id), FailureReason::WorkerLost);
    assert_eq!(f.states(id), [Queued, Running, Queued, Running, Queued, Running, Failed]);
}

#[test]
fn a_lost_attempt_is_reassigned_at_once_and_uses_no_retry() {
    let mut f = Fixture::new();
    let first = f.open(&["a"], 1);
    let id = f.submit(job("a"));
    let second = f.open(&["a"], 1);
    f.close(first);
    assert_eq!((f.lease(id).0, f.state(id), f.view(id).attempt), (second, Running, 2));
    f.end(id, failure("the only counted attempt"));
    assert_eq!(f.failed_with(id), FailureReason::Handler);
}

#[test]
fn a_released_attempt_is_not_counted() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let id = f.submit(retried("a", 2));
    for _ in 0..10 {
        f.end(id, AttemptEnd::Release(seconds(1)));
        assert_eq!(f.state(id), Scheduled);
        f.advance(seconds(1));
    }
    assert_eq!(f.view(id).attempt, 11);
    f.end(id, failure("the first that counts"));
    assert_eq!(f.state(id), Scheduled);
    f.advance(seconds(1));
    f.end(id, failure("the second that counts"));
    assert_eq!(f.state(id), Failed);
}

#[test]
fn a_job_released_without_delay_is_first_in_its_lane() {
    let mut f = Fixture::new();
    let session = f.open(&["a"], 1);
    let [first, second] = [(); 2].map(|()| f.submit(job("a")));
    f.set_slots(session, 0);
    f.end(first, AttemptEnd::Release(Duration::ZERO));
    f.started();
    f.set_slots(session, 2);
    assert_eq!(f.started(), [first, second]);
}

#[test]
fn only_the_newest_lease_changes_a_job_and_frees_its_slot_once() {
    let mut f = Fixture::new();
    let mut spec = retried("a", 2);
    spec.options_mut().attempt_timeout = Some(seconds(3));
    let session = f.open(&["a"], 1);
    let id = f.submit(spec);
    let (_, stale) = f.lease(id);
    f.advance(seconds(3));
    f.advance(seconds(1));
    assert_eq!(f.state(id), Queued, "the revoked attempt still uses the slot");
    let events = f.events(id);
    let error = f.end_with(session, stale, success()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    assert_eq!(f.events(id).len(), events.len() + 1, "only the start of the next attempt");
    assert_eq!((f.state(id), f.view(id).attempt), (Running, 2));
    let waiting = f.submit(job("a"));
    f.end_with(session, stale, success()).unwrap_err();
    assert_eq!((f.state(id), f.state(waiting)), (Running, Queued), "the slot is freed only once");
}

#[test]
fn a_lease_is_not_valid_for_another_session() {
    let mut f = Fixture::new();
    let [_, other] = [f.open(&["a"], 1), f.open(&["b"], 1)];
    let [mine, theirs] = [f.submit(job("a")), f.submit(job("b"))];
    let (session, lease) = f.lease(mine);
    for (session, lease) in [(other, lease), (session, f.lease(theirs).1)] {
        let error = f.end_with(session, lease, success()).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    }
    assert_eq!((f.state(mine), f.state(theirs)), (Running, Running));
}

#[test]
fn a_lease_is_lost_after_its_first_use_and_with_its_session() {
    let mut f = Fixture::new();
    let session = f.open(&["a"], 2);
    let [ended, lost] = [(); 2].map(|()| f.submit(job("a")));
    let leases = [ended, lost].map(|id| f.lease(id).1);
    f.end(ended, success());
    f.close(session);
    for lease in leases {
        let error = f.end_with(session, lease, failure("late")).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::LeaseLost);
        let report = f.run(|core, now, effects| core.report(now, session, lease, log("x"), effects));
        assert_eq!(*report.unwrap_err().kind(), ErrorKind::LeaseLost);
    }
    assert_eq!((f.state(ended), f.state(lost)), (Succeeded, Queued));
}

#[test]
fn an_outcome_never_changes() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let id = f.submit(with("a", |options| options.timeout = Some(seconds(20))));
    f.cancel(id, GRACE).unwrap();
    f.advance(GRACE);
    let (session, lease) = f.lease(id);
    let view = f.view(id);
    f.end_with(session, lease, success()).unwrap_err();
    f.advance(seconds(30));
    assert_eq!((&f.view(id), view.state), (&view, Cancelled));
}

#[test]
fn failures_have_their_attempt_number_and_are_truncated() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let id = f.submit(retried("a", 2));
    f.end(id, failure(&"x".repeat(100_000)));
    let event = f.events(id).pop().unwrap();
    let EventBody::State(change) = event.body else { panic!("{event:?}") };
    let failure = change.failure.unwrap();
    assert_eq!((failure.attempt, failure.message.len()), (1, crate::job::FAILURE_MESSAGE_BYTES_MAX));
}

#[test]
fn timers_with_nanoseconds_do_not_fire_early_or_spin() {
    let mut f = Fixture::new();
    f.now.monotonic += Duration::from_nanos(500);
    let id = f.submit(with("a", |options| options.start = Start::After(seconds(1))));
    assert_eq!(f.core.next_deadline(), Some(millis(1001)));
    f.now.monotonic = seconds(1);
    f.tick();
    assert_eq!((f.state(id), f.core.next_deadline()), (Scheduled, Some(millis(1001))));
    f.advance(millis(1));
    assert_eq!(f.state(id), Queued);
}

#[test]
fn jobs_with_equal_delays_start_in_acceptance_order() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    // New jobs reuse these table slots in reverse order.
    for removed in [(); 2].map(|()| f.submit(job("b"))) {
        f.cancel(removed, GRACE).unwrap();
        f.run(|core, now, effects| core.delete(now, removed, effects)).unwrap();
    }
    let at = f.now.wall.plus(seconds(100));
    let starts = [Start::At(at), Start::After(seconds(100))];
    let jobs = starts.map(|start| [(); 4].map(|()| f.submit(with("a", |options| options.start = start))));
    f.started();
    f.advance(seconds(30));
    f.advance(seconds(70));
    // In the same tick, start times are handled before delays.
    for id in jobs.concat() {
        assert_eq!(f.started(), [id]);
        f.end(id, success());
    }
}
