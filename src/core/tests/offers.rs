//! Attempt numbers: a number that was sent to a worker is never sent to another one, also after a restart.

use super::fixture::{Fixture, failure, job, millis, retried, seconds, success, with};
use super::workers::{ACCEPT, hello};
use crate::core::{Core, CoreOptions, Effect, Effects};
use crate::job::{AttemptEnd, FailureReason, JobState, Peer, SessionSpec};

/// Returns the attempt numbers of all assignments, in order.
fn numbers(f: &Fixture) -> Vec<u32> {
    f.assigned.iter().map(|(_, number)| *number).collect()
}

#[test]
fn an_attempt_number_is_never_sent_to_two_workers() {
    let mut f = Fixture::new();
    f.worker(1, 1);
    let id = f.submit(job("a"));
    f.advance(ACCEPT);
    let cut = f.worker(2, 1);
    f.disconnect(cut);
    let leaving = f.worker(3, 1);
    f.set_slots(leaving, 0);
    f.end(id, AttemptEnd::Release(millis(0)));
    let last = f.worker(4, 1);
    assert_eq!((f.lease(id).0, numbers(&f)), (last, vec![1, 2, 3, 4]));
    f.accept(id).unwrap();
    assert_eq!((f.state(id), f.view(id).attempt), (JobState::Running, 4));
    f.end(id, success());
    assert_eq!(f.state(id), JobState::Succeeded);
}

#[test]
fn unaccepted_offers_count_neither_as_attempts_nor_as_lost() {
    let mut f = Fixture::new();
    let lost_once = |name| with(name, |options| options.retry.max_lost_attempts = 2);
    for (spec, end) in [(retried("a", 2), failure("no")), (lost_once("b"), failure("no"))] {
        let kind = spec.kind.as_str().to_owned();
        let id = f.submit(spec);
        for instance in 1..=5 {
            let session = f.connect(&hello(instance, &[&kind], 1, &[])).session;
            f.disconnect(session);
        }
        let session = f.connect(&hello(9, &[&kind], 1, &[])).session;
        f.accept(id).unwrap();
        if kind == "a" {
            f.end(id, end);
            assert_eq!(f.state(id), JobState::Scheduled, "the first of two attempts failed");
            f.advance(seconds(2));
            f.accept(id).unwrap();
            f.end(id, failure("no"));
            assert_eq!(f.failed_with(id), FailureReason::Handler);
            assert_eq!(f.view(id).attempt, 7);
        } else {
            f.close(session);
            assert_eq!(f.state(id), JobState::Queued, "the first of two attempts was lost");
            let session = f.connect(&hello(10, &[&kind], 1, &[])).session;
            f.accept(id).unwrap();
            f.close(session);
            assert_eq!(f.failed_with(id), FailureReason::WorkerLost);
        }
    }
}

#[test]
fn an_attempt_number_is_not_reused_after_a_restart() {
    let mut f = Fixture::new();
    f.worker(1, 1);
    let id = f.submit(job("a"));
    assert_eq!(numbers(&f), [1]);
    let records = f.records.clone();
    let image = f.core.snapshot(f.key(id), None);
    for records in [records, image] {
        let mut again = Core::new(CoreOptions::default(), [1; 32]);
        records.into_iter().for_each(|record| again.replay(record));
        again.resume(f.now, std::time::Duration::ZERO, &mut Effects::default());
        let mut effects = Effects::recording();
        again.connect(f.now, &hello(2, &["a"], 1, &[]), &mut effects).unwrap();
        let assigned = effects.items.iter().find_map(|effect| match effect {
            Effect::Assign(_, assignment) => Some((assignment.job_id, assignment.attempt)),
            _ => None,
        });
        assert_eq!(assigned, Some((id, 2)));
    }
}

#[test]
fn an_attempt_number_not_delivered_by_a_lease_call_is_reused() {
    let mut f = Fixture::new();
    let id = f.submit(job("a"));
    for _ in 0..2 {
        let kinds = vec![super::fixture::kind("a")];
        let spec = SessionSpec { name: "call".to_owned(), kinds, queues: None, slots: 1 };
        let call =
            f.run(|core, now, effects| core.open_unary(now, &spec, Peer::default(), None, effects)).unwrap();
        f.disconnect(call);
    }
    f.worker(1, 1);
    f.accept(id).unwrap();
    assert_eq!((numbers(&f), f.view(id).attempt), (vec![1, 1, 1], 1), "the number was not delivered before");
}
