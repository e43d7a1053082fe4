//! Accounting and limits of the bytes that a job adds after its acceptance.

use super::fixture::*;
use crate::core::{CancelRequest, CoreOptions};
use crate::error::ErrorKind;
use crate::job::{
    AttemptEnd, EventBody, EventTypes, Failure, FailureReason, JobId, JobState, Payload, WatchItem,
};

fn bounded(job_bytes_max: u64) -> Fixture {
    Fixture::with(CoreOptions { job_bytes_max, ..CoreOptions::default() })
}

fn large_failure() -> AttemptEnd {
    let details = Some(Payload::data(vec![7; 16_000]));
    let failure = Failure::new(FailureReason::Handler, "m".repeat(4_000));
    AttemptEnd::Failure(Failure { details, ..failure }, None)
}

fn used(f: &Fixture, category: &str) -> (u64, u64) {
    let uses = f.core.memory();
    let found = uses.iter().find(|found| found.category == category).unwrap();
    (found.used_bytes, found.limit_bytes)
}

fn fail_often(f: &mut Fixture, id: JobId, times: u32) {
    for _ in 0..times {
        f.end(id, large_failure());
        f.advance(seconds(3_600));
    }
}

#[test]
fn failures_of_a_retried_job_count_until_it_ends() {
    let mut f = bounded(1 << 20);
    f.open(&["a"], 1);
    let id = f.submit(retried("a", 100));
    fail_often(&mut f, id, 10);
    assert!(used(&f, "jobs").0 > 10 * 20_000, "{:?}", used(&f, "jobs"));
    f.end(id, success());
    assert_eq!(used(&f, "jobs").0, 0);
}

#[test]
fn above_the_limit_failures_are_truncated_and_old_attempts_removed() {
    let mut f = bounded(100_000);
    f.open(&["a"], 1);
    let id = f.submit(retried("a", 100));
    fail_often(&mut f, id, 60);
    let (bytes, limit) = used(&f, "jobs");
    assert!(bytes <= limit, "{bytes} of {limit}");
    let view = f.view(id);
    assert_eq!((view.state, view.attempt), (JobState::Running, 61));
    let last = view.attempts.iter().filter_map(|attempt| attempt.failure.clone()).next_back().unwrap();
    assert_eq!((last.attempt, last.reason), (60, FailureReason::Handler));
    let items = f.watch(id, 0, EventTypes::ALL);
    assert!(items.iter().any(|item| matches!(item, WatchItem::Gap { .. })), "{items:?}");
    f.end(id, AttemptEnd::Failure(Failure::new(FailureReason::Handler, "m".repeat(4_000)).permanent(), None));
    assert_eq!(f.state(id), JobState::Failed);
    assert_eq!(used(&f, "jobs").0, 0);
}

#[test]
fn the_final_failure_of_a_job_is_never_truncated() {
    let mut f = bounded(100_000);
    f.open(&["a", "b"], 2);
    let growing = f.submit(retried("a", 100));
    let id = f.submit(with("b", |options| options.attempt_timeout = Some(seconds(1_000_000))));
    fail_often(&mut f, growing, 60);
    f.end(id, large_failure());
    match f.view(id).outcome {
        Some(crate::job::Outcome::Failure(failure)) => {
            assert_eq!((failure.message.len(), failure.details.is_some()), (4_000, true));
        }
        other => panic!("expected a failure, got {other:?}"),
    }
}

#[test]
fn above_the_limit_a_job_drops_its_own_oldest_output_as_a_gap() {
    let mut f = bounded(10_000);
    f.open(&["a"], 10);
    let ids: Vec<JobId> = (0..10).map(|_| f.submit(job("a"))).collect();
    for round in 0..20 {
        for id in &ids {
            f.report(*id, output(&format!("{round}").repeat(500)));
        }
    }
    let (bytes, limit) = used(&f, "jobs");
    assert!(bytes <= 2_500 && limit == 12_500, "{bytes} of {limit}");
    for id in &ids {
        let items = f.watch(*id, 0, EventTypes::ALL);
        assert!(items.iter().any(|item| matches!(item, WatchItem::Gap { .. })), "{items:?}");
        f.end(*id, success());
        assert_eq!(f.state(*id), JobState::Succeeded);
    }
    assert_eq!(used(&f, "jobs").0, 0);
}

#[test]
fn bytes_added_by_running_jobs_count_for_admission() {
    let mut f = bounded(10_000);
    f.open(&["a"], 1);
    let id = f.submit(job("a"));
    f.submit(sized("a", 7_700));
    for _ in 0..3 {
        f.report(id, output(&"x".repeat(700)));
    }
    let refused = f.submit_as(super::fixture::id(9), sized("a", 100)).unwrap_err();
    let is_full = matches!(refused.kind(), ErrorKind::ResourceExhausted { reason: "QUEUE_BYTES_FULL", .. });
    assert!(is_full, "{refused:?}");
    f.end(id, success());
    f.submit(sized("a", 100));
}

#[test]
fn jobs_with_much_output_do_not_drop_the_output_of_others() {
    let mut f = bounded(4 << 20);
    f.open(&["a"], 100);
    let verbose: Vec<JobId> = (0..20).map(|_| f.submit(job("a"))).collect();
    for _ in 0..10 {
        verbose.iter().for_each(|id| f.report(*id, output(&"o".repeat(30_000))));
    }
    let quiet = f.submit(job("a"));
    f.report(quiet, output("a line"));
    let has_line = |item: &WatchItem| matches!(item, WatchItem::Event(event) if matches!(event.body, EventBody::Output(_)));
    assert!(f.watch(quiet, 0, EventTypes::ALL).iter().any(has_line));
    for id in verbose {
        assert!(
            f.watch(id, 0, EventTypes::ALL).iter().any(has_line),
            "the newest chunk of each job is retained"
        );
    }
}

#[test]
fn progress_and_cancel_texts_count_while_the_job_runs() {
    let mut f = bounded(1 << 20);
    f.open(&["a"], 1);
    let id = f.submit(job("a"));
    let message = "m".repeat(1_000);
    f.report(id, crate::job::Report::Progress(crate::job::Progress { message, ..Default::default() }));
    assert_eq!(used(&f, "jobs").0, 1_000);
    let request = CancelRequest { reason: &"r".repeat(500), grace: GRACE, principal: None };
    f.run(|core, now, effects| core.cancel(now, id, request, effects)).unwrap();
    assert_eq!(used(&f, "jobs").0, 1_500);
    f.end(id, AttemptEnd::Cancelled);
    assert_eq!(used(&f, "jobs").0, 0);
}
