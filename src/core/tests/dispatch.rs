//! Who runs what, and when.

use super::fixture::*;
use crate::job::{JobState, WaitReason};

#[test]
fn jobs_of_a_lane_start_in_the_order_of_acceptance() {
    let mut f = Fixture::new();
    let jobs: Vec<_> = (0..5).map(|_| f.submit(job("a"))).collect();
    f.open(&["a"], 1);
    for _ in 0..5 {
        let running = jobs.iter().copied().find(|id| f.state(*id) == JobState::Running).unwrap();
        f.end(running, success());
    }
    assert_eq!(f.started(), jobs);
}

#[test]
fn larger_priorities_start_first_and_equals_in_order() {
    let mut f = Fixture::new();
    let [low, one, two, high] = [-100, 0, 0, 100].map(|priority| f.submit(prioritized("a", priority)));
    f.open(&["a"], 4);
    assert_eq!(f.started(), [high, one, two, low]);
}

#[test]
fn priorities_count_across_lanes() {
    let mut f = Fixture::new();
    let [normal, high] = [prioritized("a", 0), prioritized("b", 1)].map(|job| f.submit(job));
    f.open(&["a", "b"], 2);
    assert_eq!(f.started(), [high, normal]);
}

#[test]
fn lanes_take_turns_at_equal_priority() {
    let mut f = Fixture::new();
    let [a1, a2, a3] = [(); 3].map(|()| f.submit(job("a")));
    let [b1, b2] = [(); 2].map(|()| f.submit(job("b")));
    let other = f.submit(queued_in("a", "other"));
    f.open(&["a", "b"], 6);
    assert_eq!(f.started(), [a1, b1, other, a2, b2, a3]);
}

#[test]
fn a_kind_whose_workers_are_full_does_not_hold_up_others() {
    let mut f = Fixture::new();
    f.open(&["slow"], 1);
    f.open(&["quick"], 1);
    let slow: Vec<_> = (0..3).map(|_| f.submit(prioritized("slow", 100))).collect();
    let quick = f.submit(job("quick"));
    assert_eq!(f.started(), [slow[0], quick]);
    assert_eq!(f.view(slow[1]).wait_reason, Some(WaitReason::WorkersBusy));
}

#[test]
fn sessions_that_serve_the_same_take_turns() {
    let mut f = Fixture::new();
    let sessions = [f.open(&["a", "b"], 2), f.open(&["b", "a"], 2)];
    let jobs = [(); 4].map(|()| f.submit(job("a")));
    let served_by = jobs.map(|id| f.lease(id).0);
    assert_eq!(served_by, [sessions[0], sessions[1], sessions[0], sessions[1]]);
}

#[test]
fn a_session_gets_only_its_kinds_in_its_queues() {
    let mut f = Fixture::new();
    let [wrong_kind, wrong_queue] = [queued_in("b", "q"), queued_in("a", "r")].map(|job| f.submit(job));
    let right = f.submit(queued_in("a", "q"));
    f.open_in(&["a"], Some(&["q"]), 10);
    assert_eq!(f.started(), [right]);
    assert_eq!(f.view(wrong_kind).wait_reason, Some(WaitReason::NoWorker));
    assert_eq!(f.view(wrong_queue).wait_reason, Some(WaitReason::NoWorker));
    let all = f.open(&["a", "b"], 10);
    assert_eq!(f.started().len(), 2);
    assert_eq!(f.lease(wrong_queue).0, all);
}

#[test]
fn never_more_attempts_run_than_there_are_slots() {
    let mut f = Fixture::new();
    let jobs = [(); 5].map(|()| f.submit(job("a")));
    let session = f.open(&["a"], 2);
    assert_eq!(f.started().len(), 2);
    f.set_slots(session, 4);
    assert_eq!(f.started().len(), 2);
    f.set_slots(session, 1);
    for job in &jobs[..3] {
        f.end(*job, success());
        assert_eq!(f.started(), [], "three too many run");
    }
    f.end(jobs[3], success());
    assert_eq!(f.started(), [jobs[4]]);
}

#[test]
fn without_slots_a_session_finishes_what_it_runs_and_gets_nothing_more() {
    let mut f = Fixture::new();
    let [first, second] = [(); 2].map(|()| f.submit(job("a")));
    let session = f.open(&["a"], 1);
    f.set_slots(session, 0);
    f.end(first, success());
    assert_eq!((f.state(first), f.state(second)), (JobState::Succeeded, JobState::Queued));
    assert_eq!(f.view(second).wait_reason, Some(WaitReason::WorkersBusy));
    f.set_slots(session, 1);
    assert_eq!(f.state(second), JobState::Running);
    f.end(second, success());
    f.set_slots(session, 0);
    let third = f.submit(job("a"));
    assert_eq!(f.state(third), JobState::Queued, "a free slot was taken away");
}

#[test]
fn an_assignment_carries_what_the_handler_needs() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let mut job = with("a", |options| {
        options.timeout = Some(seconds(30));
        options.headers.insert("traceparent".into(), "00".into());
    });
    job.payload = crate::job::Payload::text("input");
    let mut effects = crate::core::Effects::default();
    let id = f.core.submit(f.now, id(1), job.clone(), &mut effects).unwrap().id;
    let [crate::core::Effect::Assign(_, assignment)] = &effects.items[..] else { panic!("{effects:?}") };
    assert_eq!((assignment.job_id, assignment.attempt), (id, 1));
    assert_eq!((&*assignment.kind, &*assignment.queue), ("a", "default"));
    assert_eq!((&assignment.payload, &assignment.options), (&job.payload, &job.options));
    assert_eq!(assignment.time_left, seconds(30), "less than the attempt's hour");
}

#[test]
fn wait_reasons_follow_what_holds_the_job_up() {
    let mut f = Fixture::new();
    let waiting = f.submit(job("a"));
    let reason = |f: &Fixture| f.view(waiting).wait_reason;
    assert_eq!(reason(&f), Some(WaitReason::NoWorker));
    let session = f.open(&["a"], 0);
    assert_eq!(reason(&f), Some(WaitReason::WorkersBusy));
    f.run(|core, _, effects| core.pause_queue("default", effects)).unwrap();
    assert_eq!(reason(&f), Some(WaitReason::QueuePaused));
    f.close(session);
    f.run(|core, now, effects| core.resume_queue(now, "default", effects)).unwrap();
    assert_eq!(reason(&f), Some(WaitReason::NoWorker));
    f.run(|core, _, effects| core.drain(millis(0), effects));
    assert_eq!(reason(&f), Some(WaitReason::Draining));
}

#[test]
fn a_drained_core_starts_nothing_and_takes_nothing_but_lets_jobs_finish() {
    let mut f = Fixture::new();
    let session = f.open(&["a"], 1);
    let [running, queued] = [(); 2].map(|()| f.submit(retried("a", 2)));
    let due = f.submit(with("a", |options| options.start = crate::job::Start::After(seconds(1))));
    f.run(|core, _, effects| core.drain(millis(0), effects));
    assert!(f.core.is_draining());
    let refused = f.submit_as(id(99), job("a")).unwrap_err();
    assert!(matches!(refused.kind(), crate::error::ErrorKind::Draining { .. }));
    assert!(f.submit_as(running, retried("a", 2)).unwrap().existing, "known jobs are still answered");
    f.started();
    f.set_slots(session, 5);
    f.advance(seconds(1));
    f.end(running, success());
    assert_eq!(f.started(), []);
    assert_eq!(
        [running, queued, due].map(|id| f.state(id)),
        [JobState::Succeeded, JobState::Queued, JobState::Queued]
    );
}

#[test]
fn jobs_lost_together_wait_in_the_order_in_which_they_started() {
    let mut f = Fixture::new();
    let session = f.open(&["a"], 3);
    let jobs = [(); 4].map(|()| f.submit(job("a")));
    f.close(session);
    f.started();
    f.open(&["a"], 4);
    assert_eq!(f.started(), jobs);
}

#[test]
fn the_last_session_to_leave_leaves_its_jobs_without_a_worker() {
    let mut f = Fixture::new();
    let session = f.open(&["a"], 1);
    let lost = f.submit(job("a"));
    f.close(session);
    let event = f.events(lost).pop().unwrap();
    let crate::job::EventBody::State(change) = event.body else { panic!("{event:?}") };
    assert_eq!((change.state, change.wait_reason), (JobState::Queued, Some(WaitReason::NoWorker)));
}
