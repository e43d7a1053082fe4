//! Jobs whose assignments are larger than some workers read, and those on which streams break.

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
    fn reader(&mut self, instance: u128, limit: usize, slots: u32) -> SessionKey {
        let hello = hello(instance, limit, slots);
        self.run(|core, now, effects| core.connect(now, &hello, effects)).unwrap().session
    }

    fn reason(&self, id: JobId) -> Option<WaitReason> {
        self.view(id).wait_reason
    }

    fn failures_of(&self, id: JobId) -> usize {
        self.view(id).attempts.iter().filter(|attempt| attempt.failure.is_some()).count()
    }

    fn runs(&mut self, id: JobId) {
        let (session, lease) = self.lease(id);
        self.run(|core, now, effects| core.accept_lease(now, session, lease, effects)).unwrap();
    }

    /// Its stream breaks after it was sent everything but these.
    fn breaks(&mut self, session: SessionKey, unsent: &[LeaseId]) {
        self.run(|core, now, effects| {
            core.stream_broke(now, session, |lease| unsent.contains(&lease), effects);
            core.disconnect(now, session, effects);
        });
    }
}

#[test]
fn a_job_that_no_worker_reads_waits_and_those_behind_it_go_on() {
    let mut f = Fixture::new();
    let ids = [f.submit(large()), f.submit(job("a")), f.submit(large()), f.submit(job("a"))];
    f.reader(1, SMALL, 4);
    assert_eq!(f.started(), [ids[1], ids[3]]);
    assert_eq!([ids[0], ids[2]].map(|id| f.reason(id)), [Some(WaitReason::WorkerLimit); 2]);
    let late = f.submit(large());
    let small = f.submit(job("a"));
    assert_eq!((f.reason(late), f.started()), (Some(WaitReason::WorkerLimit), vec![small]));
    let (queues, _) = f.core.queues(f.now, "", 9);
    assert_eq!((queues[0].unserved_kinds.len(), queues[0].counts.get(Queued)), (0, 6));
}

#[test]
fn a_worker_that_reads_more_takes_them_in_their_order() {
    let mut f = Fixture::new();
    let ids = [f.submit(large()), f.submit(job("a")), f.submit(large()), f.submit(job("a"))];
    f.reader(1, SMALL, 1);
    assert_eq!(f.started(), [ids[1]]);
    f.reader(2, LARGE, 1);
    assert_eq!(f.started(), [ids[0]]);
    f.reader(3, LARGE, 3);
    assert_eq!(f.started(), [ids[2], ids[3]], "what was set aside first is older");
    assert_eq!(ids.map(|id| f.reason(id)), [Some(WaitReason::Starting); 4]);
    let busy = [f.submit(large()), f.submit(large())];
    assert_eq!(f.started(), busy[..1], "a slot is left");
    assert_eq!(f.reason(busy[1]), Some(WaitReason::WorkersBusy), "a worker that reads it is full");
}

#[test]
fn a_large_job_that_was_given_back_waits_before_those_set_aside() {
    let mut f = Fixture::new();
    let session = f.reader(1, LARGE, 1);
    f.reader(2, SMALL, 1);
    let first = f.submit(large());
    let second = f.submit(large());
    assert_eq!((f.started(), f.reason(second)), (vec![first], Some(WaitReason::WorkersBusy)));
    f.run(|core, now, effects| core.disconnect(now, session, effects));
    assert_eq!([first, second].map(|id| f.reason(id)), [Some(WaitReason::WorkerLimit); 2]);
    f.reader(3, LARGE, 1);
    assert_eq!(f.started(), [first]);
}

#[test]
fn limits_of_three_kinds_each_take_what_they_read() {
    let mut f = Fixture::new();
    let of = |bytes| sized("a", bytes);
    let ids = [f.submit(of(20_000)), f.submit(of(5_000)), f.submit(of(10)), f.submit(of(5_000))];
    f.reader(1, SMALL, 9);
    assert_eq!(f.started(), [ids[2]]);
    f.reader(2, LARGE, 1);
    assert_eq!(f.started(), [ids[1]]);
    f.reader(3, 10 * LARGE, 9);
    assert_eq!(f.started().len(), 2, "both that are left");
    assert_eq!(ids.map(|id| f.reason(id)), [Some(WaitReason::Starting); 4]);
}

#[test]
fn a_priority_does_not_make_a_job_that_is_not_read_block_others() {
    let mut f = Fixture::new();
    let first = f.submit(NewJob { priority: 9, ..large() });
    let second = f.submit(prioritized("a", 1));
    f.reader(1, SMALL, 1);
    assert_eq!(f.started(), [second]);
    f.reader(2, LARGE, 1);
    assert_eq!(f.started(), [first]);
}

#[test]
fn what_is_set_aside_can_be_cancelled_and_leaves_nothing_behind() {
    let mut f = Fixture::new();
    let waiting = f.submit(large());
    let session = f.reader(1, SMALL, 1);
    f.cancel(waiting, Duration::ZERO).unwrap();
    assert_eq!(f.state(waiting), Cancelled);
    f.run(|core, now, effects| core.leave(now, session, effects));
    let again = f.submit(large());
    assert_eq!(f.reason(again), Some(WaitReason::NoWorker));
    f.advance(seconds(7_200));
    f.cancel(again, Duration::ZERO).unwrap();
    f.advance(seconds(7_200));
    assert!(f.core.lanes.queues.is_empty(), "no lane outlives its jobs");
}

#[test]
fn a_paused_queue_holds_what_was_set_aside() {
    let mut f = Fixture::new();
    let waiting = f.submit(large());
    f.reader(1, SMALL, 1);
    f.run(|core, _, effects| core.pause_queue("default", effects)).unwrap();
    f.reader(2, LARGE, 1);
    assert_eq!((f.started(), f.reason(waiting)), (vec![], Some(WaitReason::QueuePaused)));
    f.run(|core, now, effects| core.resume_queue(now, "default", effects)).unwrap();
    assert_eq!(f.started(), [waiting]);
}

#[test]
fn a_call_is_leased_what_fits_its_answer() {
    let mut f = Fixture::new();
    let ids: Vec<_> = (0..5).map(|_| f.submit(sized("a", 1_000))).collect();
    let Hello { spec, .. } = hello(1, LARGE, 5);
    let peer = || Peer { assignment_bytes_max: LARGE, response_bytes_max: 3_000, ..Peer::default() };
    f.run(|core, now, effects| core.open_unary(now, &spec, peer(), effects)).unwrap();
    assert_eq!(f.started(), ids[..2]);
    f.run(|core, now, effects| core.open_unary(now, &spec, peer(), effects)).unwrap();
    assert_eq!(f.started(), ids[2..4], "the next call goes on");
    let alone = [f.submit(sized("a", 5_000)), f.submit(job("a"))];
    f.started();
    f.run(|core, now, effects| core.open_unary(now, &spec, peer(), effects)).unwrap();
    assert_eq!(f.started(), [ids[4]]);
    f.run(|core, now, effects| core.open_unary(now, &spec, peer(), effects)).unwrap();
    assert_eq!(f.started(), alone[..1], "a job larger than an answer of several goes alone");
}

#[test]
fn a_job_on_which_streams_break_ends_as_lost() {
    let mut f = Fixture::new();
    let poison = f.submit(retried("a", 3));
    let behind = f.submit(job("a"));
    let mut streams = 0;
    while f.state(poison) != Failed {
        streams += 1;
        assert!(streams < 20, "it is offered for ever");
        let session = f.reader(streams, usize::MAX, 2);
        if f.reason(poison) == Some(WaitReason::Starting) {
            f.breaks(session, &[]);
        } else {
            f.run(|core, now, effects| core.disconnect(now, session, effects));
        }
        f.advance(seconds(60));
        // What was offered before the third break has numbers of its own, and counts nothing.
        let expected = if streams < 3 { 0 } else { u32::try_from(streams).unwrap() };
        assert_eq!(f.view(poison).attempt, expected);
    }
    assert_eq!(f.failed_with(poison), FailureReason::WorkerLost);
    f.reader(99, usize::MAX, 2);
    f.runs(behind);
    f.end(behind, success());
    assert_eq!((f.state(behind), f.failures_of(behind)), (Succeeded, 0), "nobody suspected it");
}

#[test]
fn only_what_was_sent_and_not_accepted_is_suspected() {
    let mut f = Fixture::new();
    let first = f.submit(job("a"));
    for stream in 1..=6 {
        let session = f.reader(stream, usize::MAX, 1);
        let unsent = f.lease(first).1;
        f.breaks(session, &[unsent]);
    }
    assert_eq!((f.state(first), f.view(first).attempt), (Queued, 0));
    for stream in 11..=12 {
        let session = f.reader(stream, usize::MAX, 1);
        f.breaks(session, &[]);
    }
    let session = f.reader(13, usize::MAX, 1);
    f.runs(first);
    f.breaks(session, &[]);
    assert_eq!(f.state(first), Running, "what runs has the reconnect grace");
    f.advance(millis(900));
    assert_eq!(f.failures_of(first), 1);
}
