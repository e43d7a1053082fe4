//! Jobs whose assignments exceed the message limit of some workers, and jobs that break streams.

use std::time::Duration;

use uuid::Uuid;

use super::fixture::{Fixture, job, kind, millis, prioritized, retried, seconds, sized, success};
use crate::core::SessionKey;
use crate::job::JobState::{Cancelled, Failed, Queued, Running, Succeeded};
use crate::job::{FailureReason, Hello, JobId, LeaseId, NewJob, Peer, SessionSpec, WaitReason};

const SMALL: usize = 1_000;
const LARGE: usize = 10_000;

fn hello(instance: u128, limit: usize, slots: u32) -> Hello {
    let spec = SessionSpec { name: format!("w{instance}"), kinds: vec![kind("a")], queues: None, slots };
    let peer = Peer { assignment_bytes_max: limit, ..Peer::default() };
    Hello { instance: Uuid::from_u128(instance), spec, peer, held: Vec::new() }
}

fn large() -> NewJob {
    sized("a", 2 * SMALL)
}

impl Fixture {
    fn worker_with_limit(&mut self, instance: u128, limit: usize, slots: u32) -> SessionKey {
        let hello = hello(instance, limit, slots);
        self.run(|core, now, effects| core.connect(now, &hello, effects)).unwrap().session
    }

    fn reason(&self, id: JobId) -> Option<WaitReason> {
        self.view(id).wait_reason
    }

    fn failures_of(&self, id: JobId) -> usize {
        self.view(id).attempts.iter().filter(|attempt| attempt.failure.is_some()).count()
    }

    fn accept_attempt(&mut self, id: JobId) {
        let (session, lease) = self.lease(id);
        self.run(|core, now, effects| core.accept_lease(now, session, lease, effects)).unwrap();
    }

    /// Breaks the stream of a session. All assignments were sent except for these.
    fn break_stream(&mut self, session: SessionKey, unsent: &[LeaseId]) {
        self.run(|core, now, effects| {
            core.stream_broke(now, session, |lease| unsent.contains(&lease), effects);
            core.disconnect(now, session, effects);
        });
    }
}

#[test]
fn a_job_too_large_for_all_workers_waits_and_does_not_block_others() {
    let mut f = Fixture::new();
    let ids = [f.submit(large()), f.submit(job("a")), f.submit(large()), f.submit(job("a"))];
    f.worker_with_limit(1, SMALL, 4);
    assert_eq!(f.started(), [ids[1], ids[3]]);
    assert_eq!([ids[0], ids[2]].map(|id| f.reason(id)), [Some(WaitReason::WorkerLimit); 2]);
    let late = f.submit(large());
    let small = f.submit(job("a"));
    assert_eq!((f.reason(late), f.started()), (Some(WaitReason::WorkerLimit), vec![small]));
    let (queues, _) = f.core.queues(f.now, "", 9);
    assert_eq!((queues[0].unserved_kinds.len(), queues[0].counts.get(Queued)), (0, 6));
}

#[test]
fn a_worker_with_a_higher_limit_gets_large_jobs_in_order() {
    let mut f = Fixture::new();
    let ids = [f.submit(large()), f.submit(job("a")), f.submit(large()), f.submit(job("a"))];
    f.worker_with_limit(1, SMALL, 1);
    assert_eq!(f.started(), [ids[1]]);
    f.worker_with_limit(2, LARGE, 1);
    assert_eq!(f.started(), [ids[0]]);
    f.worker_with_limit(3, LARGE, 3);
    assert_eq!(f.started(), [ids[2], ids[3]], "the oversize jobs are older");
    assert_eq!(ids.map(|id| f.reason(id)), [Some(WaitReason::Starting); 4]);
    let busy = [f.submit(large()), f.submit(large())];
    assert_eq!(f.started(), busy[..1], "one slot is free");
    assert_eq!(f.reason(busy[1]), Some(WaitReason::WorkersBusy), "the only worker with that limit is full");
}

#[test]
fn a_released_large_job_is_queued_before_other_oversize_jobs() {
    let mut f = Fixture::new();
    let session = f.worker_with_limit(1, LARGE, 1);
    f.worker_with_limit(2, SMALL, 1);
    let first = f.submit(large());
    let second = f.submit(large());
    assert_eq!((f.started(), f.reason(second)), (vec![first], Some(WaitReason::WorkersBusy)));
    f.run(|core, now, effects| core.disconnect(now, session, effects));
    assert_eq!([first, second].map(|id| f.reason(id)), [Some(WaitReason::WorkerLimit); 2]);
    f.worker_with_limit(3, LARGE, 1);
    assert_eq!(f.started(), [first]);
}

#[test]
fn workers_with_three_limits_each_get_jobs_within_their_limit() {
    let mut f = Fixture::new();
    let of = |bytes| sized("a", bytes);
    let ids = [f.submit(of(20_000)), f.submit(of(5_000)), f.submit(of(10)), f.submit(of(5_000))];
    f.worker_with_limit(1, SMALL, 9);
    assert_eq!(f.started(), [ids[2]]);
    f.worker_with_limit(2, LARGE, 1);
    assert_eq!(f.started(), [ids[1]]);
    f.worker_with_limit(3, 10 * LARGE, 9);
    assert_eq!(f.started().len(), 2, "both remaining jobs");
    assert_eq!(ids.map(|id| f.reason(id)), [Some(WaitReason::Starting); 4]);
}

#[test]
fn an_oversize_job_of_high_priority_does_not_block_others() {
    let mut f = Fixture::new();
    let first = f.submit(NewJob { priority: 9, ..large() });
    let second = f.submit(prioritized("a", 1));
    f.worker_with_limit(1, SMALL, 1);
    assert_eq!(f.started(), [second]);
    f.worker_with_limit(2, LARGE, 1);
    assert_eq!(f.started(), [first]);
}

#[test]
fn cancelling_oversize_jobs_removes_their_lane() {
    let mut f = Fixture::new();
    let waiting = f.submit(large());
    let session = f.worker_with_limit(1, SMALL, 1);
    f.cancel(waiting, Duration::ZERO).unwrap();
    assert_eq!(f.state(waiting), Cancelled);
    f.run(|core, now, effects| core.leave(now, session, effects));
    let again = f.submit(large());
    assert_eq!(f.reason(again), Some(WaitReason::NoWorker));
    f.advance(seconds(7_200));
    f.cancel(again, Duration::ZERO).unwrap();
    f.advance(seconds(7_200));
    assert!(f.core.lanes.queues.is_empty(), "a lane is removed with its last job");
}

#[test]
fn a_paused_queue_starts_no_oversize_jobs() {
    let mut f = Fixture::new();
    let waiting = f.submit(large());
    f.worker_with_limit(1, SMALL, 1);
    f.run(|core, _, effects| core.pause_queue("default", effects)).unwrap();
    f.worker_with_limit(2, LARGE, 1);
    assert_eq!((f.started(), f.reason(waiting)), (vec![], Some(WaitReason::QueuePaused)));
    f.run(|core, now, effects| core.resume_queue(now, "default", effects)).unwrap();
    assert_eq!(f.started(), [waiting]);
}

#[test]
fn a_lease_call_gets_jobs_that_fit_its_reply() {
    let mut f = Fixture::new();
    let ids: Vec<_> = (0..5).map(|_| f.submit(sized("a", 1_000))).collect();
    let Hello { spec, .. } = hello(1, LARGE, 5);
    let peer = || Peer { assignment_bytes_max: LARGE, response_bytes_max: 3_000, ..Peer::default() };
    f.run(|core, now, effects| core.open_unary(now, &spec, peer(), None, effects)).unwrap();
    assert_eq!(f.started(), ids[..2]);
    f.run(|core, now, effects| core.open_unary(now, &spec, peer(), None, effects)).unwrap();
    assert_eq!(f.started(), ids[2..4], "the next call gets the following jobs");
    let alone = [f.submit(sized("a", 5_000)), f.submit(job("a"))];
    f.started();
    f.run(|core, now, effects| core.open_unary(now, &spec, peer(), None, effects)).unwrap();
    assert_eq!(f.started(), [ids[4]]);
    f.run(|core, now, effects| core.open_unary(now, &spec, peer(), None, effects)).unwrap();
    assert_eq!(f.started(), alone[..1], "a job above the limit of a batch is returned alone");
}

#[test]
fn a_job_that_repeatedly_breaks_streams_ends_as_lost() {
    let mut f = Fixture::new();
    let poison = f.submit(retried("a", 3));
    let behind = f.submit(job("a"));
    let mut streams = 0;
    while f.state(poison) != Failed {
        streams += 1;
        assert!(streams < 20, "it is offered without end");
        let session = f.worker_with_limit(streams, usize::MAX, 2);
        if f.reason(poison) == Some(WaitReason::Starting) {
            f.break_stream(session, &[]);
        } else {
            f.run(|core, now, effects| core.disconnect(now, session, effects));
        }
        f.advance(seconds(60));
        // Offers before the third break have numbers of their own and do not count.
        let expected = if streams < 3 { 0 } else { u32::try_from(streams).unwrap() };
        assert_eq!(f.view(poison).attempt, expected);
    }
    assert_eq!(f.failed_with(poison), FailureReason::WorkerLost);
    f.worker_with_limit(99, usize::MAX, 2);
    f.accept_attempt(behind);
    f.end(behind, success());
    assert_eq!((f.state(behind), f.failures_of(behind)), (Succeeded, 0), "it was not suspected");
}

#[test]
fn only_sent_and_unaccepted_jobs_are_suspected() {
    let mut f = Fixture::new();
    let first = f.submit(job("a"));
    for stream in 1..=6 {
        let session = f.worker_with_limit(stream, usize::MAX, 1);
        let unsent = f.lease(first).1;
        f.break_stream(session, &[unsent]);
    }
    assert_eq!((f.state(first), f.view(first).attempt), (Queued, 0));
    for stream in 11..=12 {
        let session = f.worker_with_limit(stream, usize::MAX, 1);
        f.break_stream(session, &[]);
    }
    let session = f.worker_with_limit(13, usize::MAX, 1);
    f.accept_attempt(first);
    f.break_stream(session, &[]);
    assert_eq!(f.state(first), Running, "a running attempt has the reconnect grace");
    f.advance(millis(900));
    assert_eq!(f.failures_of(first), 1);
}
