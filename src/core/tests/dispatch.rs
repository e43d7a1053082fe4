//! Order and fairness of dispatch.

use super::fixture::*;
use crate::job::{JobState, WaitReason};

#[test]
fn jobs_of_a_lane_start_in_acceptance_order() {
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
fn higher_priorities_start_first_and_equal_ones_in_order() {
    let mut f = Fixture::new();
    let [low, one, two, high] = [-100, 0, 0, 100].map(|priority| f.submit(prioritized("a", priority)));
    f.open(&["a"], 4);
    assert_eq!(f.started(), [high, one, two, low]);
}

#[test]
fn priorities_apply_across_lanes() {
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
fn a_saturated_kind_does_not_block_others() {
    let mut f = Fixture::new();
    f.open(&["slow"], 1);
    f.open(&["quick"], 1);
    let slow: Vec<_> = (0..3).map(|_| f.submit(prioritized("slow", 100))).collect();
    let quick = f.submit(job("quick"));
    assert_eq!(f.started(), [slow[0], quick]);
    assert_eq!(f.view(slow[1]).wait_reason, Some(WaitReason::WorkersBusy));
}

#[test]
fn sessions_of_the_same_lanes_take_turns() {
    let mut f = Fixture::new();
    let sessions = [f.open(&["a", "b"], 2), f.open(&["b", "a"], 2)];
    let jobs = [(); 4].map(|()| f.submit(job("a")));
    let served_by = jobs.map(|id| f.lease(id).0);
    assert_eq!(served_by, [sessions[0], sessions[1], sessions[0], sessions[1]]);
}

#[test]
fn a_session_gets_only_jobs_of_its_kinds_and_queues() {
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
fn running_attempts_never_exceed_the_slots() {
    let mut f = Fixture::new();
    let jobs = [(); 5].map(|()| f.submit(job("a")));
    let session = f.open(&["a"], 2);
    assert_eq!(f.started().len(), 2);
    f.set_slots(session, 4);
    assert_eq!(f.started().len(), 2);
    f.set_slots(session, 1);
    for job in &jobs[..3] {
        f.end(*job, success());
        assert_eq!(f.started(), [], "three attempts more than slots");
    }
    f.end(jobs[3], success());
    assert_eq!(f.started(), [jobs[4]]);
}

#[test]
fn a_session_set_to_zero_slots_finishes_its_attempts_and_gets_none() {
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
    assert_eq!(f.state(third), JobState::Queued, "a free slot was removed");
}

#[test]
fn an_assignment_has_all_fields_of_the_job() {
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
fn the_wait_reason_names_what_the_job_waits_for() {
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
fn a_draining_core_starts_and_accepts_no_jobs_but_lets_attempts_end() {
    let mut f = Fixture::new();
    let session = f.open(&["a"], 1);
    let [running, queued] = [(); 2].map(|()| f.submit(retried("a", 2)));
    let due = f.submit(with("a", |options| options.start = crate::job::Start::After(seconds(1))));
    f.run(|core, _, effects| core.drain(millis(0), effects));
    assert!(f.core.is_draining());
    let refused = f.submit_as(id(99), job("a")).unwrap_err();
    assert!(matches!(refused.kind(), crate::error::ErrorKind::Draining { .. }));
    assert!(f.submit_as(running, retried("a", 2)).unwrap().existing, "a repeated submit still succeeds");
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
fn jobs_of_a_lost_session_are_queued_in_their_start_order() {
    let mut f = Fixture::new();
    let session = f.open(&["a"], 3);
    let jobs = [(); 4].map(|()| f.submit(job("a")));
    f.close(session);
    f.started();
    f.open(&["a"], 4);
    assert_eq!(f.started(), jobs);
}

#[test]
fn jobs_wait_for_a_worker_after_the_last_session_closes() {
    let mut f = Fixture::new();
    let session = f.open(&["a"], 1);
    let lost = f.submit(job("a"));
    f.close(session);
    let event = f.events(lost).pop().unwrap();
    let crate::job::EventBody::State(change) = event.body else { panic!("{event:?}") };
    assert_eq!((change.state, change.wait_reason), (JobState::Queued, Some(WaitReason::NoWorker)));
}
