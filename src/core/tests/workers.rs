//! Remote workers: accepts, leases, lost connections and drains.

use std::time::Duration;

use uuid::Uuid;

use super::fixture::{Fixture, job, log, millis, seconds, success};
use crate::core::workers::Welcome;
use crate::core::{Core, CoreOptions, Effects, Instance, Record, SessionKey};
use crate::error::{ErrorKind, Result};
use crate::job::JobState::{Cancelled, Failed, Queued, Running, Succeeded};
use crate::job::{
    AttemptEnd, Drain, EventBody, FailureReason, Hello, JobId, Kind, LeaseId, Outcome, Peer, RetryPolicy,
    SessionSpec, Stop, WaitReason, WorkerState,
};

const LEASE: Duration = Duration::from_secs(30);
pub(super) const ACCEPT: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_millis(800);

fn instance(number: u128) -> Instance {
    Instance { id: Uuid::from_u128(number), principal: None }
}

pub(super) fn hello(instance: u128, kinds: &[&str], slots: u32, held: &[LeaseId]) -> Hello {
    let kinds = kinds.iter().map(|kind| Kind::parse("kind", kind).unwrap()).collect();
    let spec = SessionSpec { name: format!("remote-{instance}"), kinds, queues: None, slots };
    Hello { instance: Uuid::from_u128(instance), spec, peer: Peer::default(), held: held.to_vec() }
}

impl Fixture {
    pub(super) fn connect(&mut self, hello: &Hello) -> Welcome {
        self.run(|core, now, effects| core.connect(now, hello, effects)).unwrap()
    }

    pub(super) fn worker(&mut self, instance: u128, slots: u32) -> SessionKey {
        self.connect(&hello(instance, &["a"], slots, &[])).session
    }

    pub(super) fn accept(&mut self, id: JobId) -> Result<()> {
        let (session, lease) = self.lease(id);
        self.run(|core, now, effects| core.accept_lease(now, session, lease, effects))
    }

    fn renew(&mut self, id: JobId) -> Result<()> {
        let (session, lease) = self.lease(id);
        self.run(|core, now, effects| {
            core.session_seen(now, session);
            core.renew_lease(now, session, lease, effects)
        })
    }

    pub(super) fn disconnect(&mut self, session: SessionKey) {
        self.run(|core, now, effects| core.disconnect(now, session, effects));
    }

    fn worker_states(&self) -> Vec<WorkerState> {
        self.core.workers(self.now, 0, 100).0.into_iter().map(|worker| worker.state).collect()
    }

    fn wait_reason(&self, id: JobId) -> Option<WaitReason> {
        self.view(id).wait_reason
    }

    fn failures(&self, id: JobId) -> Vec<FailureReason> {
        let attempts = self.view(id).attempts;
        attempts.iter().filter_map(|attempt| Some(attempt.failure.as_ref()?.reason)).collect()
    }
}

#[test]
fn an_attempt_starts_when_its_worker_accepts() {
    let mut f = Fixture::new();
    f.worker(1, 1);
    let id = f.submit(job("a"));
    assert_eq!((f.state(id), f.view(id).attempt), (Queued, 0));
    assert_eq!(f.wait_reason(id), Some(WaitReason::Starting));
    f.advance(seconds(2));
    f.accept(id).unwrap();
    assert_eq!((f.state(id), f.view(id).attempt), (Running, 1));
    assert_eq!(f.view(id).start_time, Some(f.now.wall), "the attempt starts with the accept");
    f.accept(id).unwrap();
    assert_eq!(f.view(id).attempt, 1, "a second accept has no effect");
    f.end(id, success());
    assert_eq!(f.state(id), Succeeded);
}

#[test]
fn a_report_implies_the_accept() {
    let mut f = Fixture::new();
    f.worker(1, 2);
    let [reported, ended] = [(); 2].map(|()| f.submit(job("a")));
    f.report(reported, log("on it"));
    assert_eq!(f.state(reported), Running);
    f.end(ended, success());
    assert_eq!((f.state(ended), f.view(ended).attempt), (Succeeded, 1));
    assert_eq!(f.events(ended).len(), 3, "queued, running, succeeded");
}

#[test]
fn an_offer_not_accepted_in_time_is_requeued_first_and_not_counted() {
    let mut f = Fixture::new();
    let unresponsive = f.worker(1, 1);
    let [first, second] = [(); 2].map(|()| f.submit(job("a")));
    f.advance(ACCEPT - millis(1));
    assert_eq!(f.lease(first).0, unresponsive);
    let other = f.worker(2, 1);
    assert_eq!(f.lease(second).0, other);
    f.accept(second).unwrap();
    f.advance(millis(1));
    assert_eq!(f.stopped().pop(), Some((first, Stop::Revoke)));
    assert_eq!((f.state(first), f.wait_reason(first)), (Queued, Some(WaitReason::WorkersBusy)));
    let third = f.submit(job("a"));
    f.end(second, success());
    assert_eq!(f.lease(first).0, other, "it is before later jobs");
    f.accept(first).unwrap();
    assert_eq!(f.view(first).attempt, 2, "the unresponsive worker may run the first attempt");
    assert_eq!(
        f.wait_reason(third),
        Some(WaitReason::WorkersBusy),
        "the slot of the unresponsive worker is in use"
    );
}

#[test]
fn a_worker_can_release_an_unaccepted_attempt() {
    let mut f = Fixture::new();
    f.worker(1, 1);
    let id = f.submit(job("a"));
    f.disconnect(f.lease(id).0);
    let session = f.worker(2, 1);
    assert_eq!(f.lease(id).0, session);
    let taken = f.lease(id).1;
    f.run(|core, now, effects| core.set_slots(now, session, 0, effects));
    f.end(id, AttemptEnd::Release(Duration::ZERO));
    assert_eq!((f.state(id), f.view(id).attempt, f.events(id).len()), (Queued, 0, 1));
    f.end_with(session, taken, success()).unwrap_err();
}

#[test]
fn a_lease_that_is_not_renewed_expires() {
    let mut f = Fixture::new();
    f.worker(1, 2);
    let [renewed, forgotten] = [(); 2].map(|()| f.submit(job("a")));
    [renewed, forgotten].into_iter().for_each(|id| f.accept(id).unwrap());
    for _ in 0..3 {
        f.advance(LEASE / 3);
        f.renew(renewed).unwrap();
    }
    assert_eq!((f.state(renewed), f.failures(renewed)), (Running, vec![]));
    assert_eq!(f.failures(forgotten), [FailureReason::WorkerLost]);
    assert!(f.stopped().contains(&(forgotten, Stop::Revoke)));
    let lost = f.accept(forgotten);
    assert!(lost.is_ok() || *lost.unwrap_err().kind() == ErrorKind::LeaseLost);
    f.advance(LEASE * 2);
    assert_ne!(f.failures(renewed), [], "without renewal the other lease expires too");
}

#[test]
fn a_job_that_loses_three_workers_fails_with_the_reason() {
    let mut f = Fixture::new();
    let mut spec = job("a");
    spec.options_mut().retry = RetryPolicy { max_attempts: 5, ..RetryPolicy::default() };
    let id = f.submit(spec);
    for death in 1..=3 {
        let session = f.worker(death, 1);
        f.accept(id).unwrap();
        f.disconnect(session);
        f.advance(GRACE);
    }
    let Some(Outcome::Failure(failure)) = f.view(id).outcome else { panic!("the job failed") };
    assert_eq!((f.state(id), failure.reason, failure.attempt), (Failed, FailureReason::WorkerLost, 3));
}

#[test]
fn a_worker_that_reconnects_in_time_keeps_its_attempts() {
    let mut f = Fixture::new();
    let session = f.worker(1, 2);
    let [running, offered] = [(); 2].map(|()| f.submit(job("a")));
    f.accept(running).unwrap();
    let (_, lease) = f.lease(running);
    f.disconnect(session);
    assert_eq!(f.worker_states(), [WorkerState::Disconnected]);
    assert_eq!(f.wait_reason(offered), Some(WaitReason::NoWorker), "unaccepted attempts are queued again");
    f.advance(GRACE - millis(1));
    let welcome = f.connect(&hello(1, &["a"], 2, &[lease]));
    assert_eq!((welcome.session, welcome.valid_leases), (session, vec![lease]));
    assert_eq!(f.lease(offered).0, session);
    f.advance(seconds(1));
    assert_eq!((f.state(running), f.view(running).attempt), (Running, 1));
    f.end(running, success());
    assert_eq!(f.state(running), Succeeded);
}

#[test]
fn a_worker_that_reconnects_late_has_lost_its_leases() {
    let mut f = Fixture::new();
    let session = f.worker(1, 1);
    let id = f.submit(job("a"));
    f.accept(id).unwrap();
    let (_, lease) = f.lease(id);
    f.disconnect(session);
    f.advance(GRACE);
    assert_eq!(f.failures(id), [FailureReason::WorkerLost]);
    let welcome = f.connect(&hello(1, &["a"], 1, &[lease]));
    assert_eq!((welcome.session, welcome.valid_leases), (session, vec![]));
    assert_eq!(f.state(id), Queued, "the slot is in use until the old handler has stopped");
    f.end_with(session, lease, success()).unwrap_err();
    f.accept(id).unwrap();
    assert_eq!((f.state(id), f.view(id).attempt), (Running, 2));
}

#[test]
fn attempts_missing_at_a_reconnect_are_reassigned() {
    let mut f = Fixture::new();
    f.worker(1, 3);
    let [renewed, dropped, unseen] = [(); 3].map(|()| f.submit(job("a")));
    [renewed, dropped].into_iter().for_each(|id| f.accept(id).unwrap());
    let other = f.worker(2, 2);
    let (_, lease) = f.lease(renewed);
    // It reconnects before the server detects the end of the old connection.
    f.connect(&hello(1, &["a"], 1, &[lease]));
    assert_eq!([f.lease(dropped).0, f.lease(unseen).0], [other; 2]);
    [dropped, unseen].into_iter().for_each(|id| f.accept(id).unwrap());
    assert_eq!(f.failures(dropped), [FailureReason::WorkerLost], "the attempt had started");
    assert_eq!((f.failures(unseen), f.view(unseen).attempt), (vec![], 2), "the attempt had not started");
}

#[test]
fn a_silent_worker_is_disconnected_after_three_intervals() {
    let mut f = Fixture::new();
    let session = f.worker(1, 1);
    let id = f.submit(job("a"));
    f.accept(id).unwrap();
    f.advance(seconds(20));
    f.renew(id).unwrap();
    f.advance(seconds(29));
    assert_eq!((f.cut.len(), f.state(id)), (0, Running));
    f.advance(seconds(1));
    assert_eq!(f.cut, [session]);
    f.advance(GRACE);
    assert_eq!(f.failures(id), [FailureReason::WorkerLost]);
    f.advance(LEASE);
    assert_eq!(f.worker_states(), [], "a worker that does not reconnect is removed");
    assert_eq!(f.wait_reason(id), Some(WaitReason::NoWorker));
}

#[test]
fn cancels_notify_running_attempts_and_end_offered_ones() {
    let mut f = Fixture::new();
    let session = f.worker(1, 3);
    let [running, offered, missed] = [(); 3].map(|()| f.submit(job("a")));
    [running, missed].into_iter().for_each(|id| f.accept(id).unwrap());
    f.cancel(offered, seconds(10)).unwrap();
    assert_eq!((f.state(offered), f.stopped().pop()), (Cancelled, Some((offered, Stop::Revoke))));
    f.cancel(running, seconds(10)).unwrap();
    assert_eq!(f.stopped().pop(), Some((running, Stop::Cancel(seconds(10)))));
    let held = [running, missed].map(|id| f.lease(id).1);
    f.disconnect(session);
    f.cancel(missed, seconds(10)).unwrap();
    f.advance(millis(500));
    f.stopped();
    f.connect(&hello(1, &["a"], 3, &held));
    let left = Stop::Cancel(seconds(10) - millis(500));
    assert_eq!(f.stopped(), [(running, left), (missed, left)], "missed cancels are sent again");
    f.advance(seconds(10));
    let Some(Outcome::Cancellation(end)) = f.view(running).outcome else { panic!("it was cancelled") };
    assert!(end.forced);
    f.end_with(session, held[0], success()).unwrap_err();
    assert_eq!(f.state(missed), Cancelled);
}

#[test]
fn a_report_is_applied_once() {
    let mut f = Fixture::new();
    let session = f.worker(1, 1);
    let taken: Vec<_> = [1, 2, 2, 1, 3]
        .into_iter()
        .map(|sequence| f.run(|core, _, effects| core.take_report(session, sequence, effects)))
        .collect();
    assert_eq!(taken, [true, true, false, false, true]);
    f.disconnect(session);
    assert_eq!(f.connect(&hello(1, &["a"], 1, &[])).reports_taken, 3);
}

#[test]
fn the_applied_reports_of_a_frame_are_recorded_once() {
    let mut f = Fixture::new();
    let session = f.worker(1, 1);
    let before = f.records.len();
    f.run(|core, _, effects| [1, 2, 2, 5].map(|sequence| core.take_report(session, sequence, effects)));
    assert_eq!(f.records[before..], [Record::ReportsTaken(instance(1), 5)]);
    f.run(|core, now, effects| core.close_session(now, session, effects));
    assert_eq!(f.records[before + 1..], [Record::ReportsTaken(instance(1), 0)]);
}

#[test]
fn a_restart_restores_report_sequences_and_grace_periods() {
    let mut f = Fixture::new();
    let session = f.worker(1, 1);
    let id = f.submit(job("a"));
    f.accept(id).unwrap();
    f.run(|core, _, effects| [1, 2].map(|sequence| core.take_report(session, sequence, effects)));
    f.cancel(id, seconds(9)).unwrap();
    f.cancel(id, seconds(2)).unwrap();
    let (_, lease) = f.lease(id);

    let mut again = Core::new(CoreOptions::default(), [1; 32]);
    f.records.into_iter().for_each(|record| again.replay(record));
    again.resume(f.now, Duration::ZERO, &mut Effects::default());
    assert_eq!(again.stop_of(f.now, lease), Some(Stop::Cancel(seconds(2))));
    let welcome = again.connect(f.now, &hello(1, &["a"], 1, &[lease]), &mut Effects::default()).unwrap();
    assert_eq!((welcome.valid_leases, welcome.reports_taken), (vec![lease], 2));
    assert_eq!(welcome.reports_unknown, 2, "the log has no refusals");
}

#[test]
fn a_drained_worker_gets_no_jobs_after_it_reconnects() {
    let mut f = Fixture::new();
    let session = f.worker(1, 2);
    let id = f.submit(job("a"));
    f.accept(id).unwrap();
    let drained =
        f.run(|core, now, effects| core.drain_workers(now, "remote-1", seconds(9), |_| true, effects));
    assert_eq!(drained.unwrap()[0].state, WorkerState::Draining);
    assert_eq!(f.drained, [(session, Drain { within: seconds(9), server_shutdown: false })]);
    let waiting = f.submit(job("a"));
    assert_eq!(f.wait_reason(waiting), Some(WaitReason::NoWorker));
    let (_, lease) = f.lease(id);
    f.disconnect(session);
    f.advance(millis(500));
    f.connect(&hello(1, &["a"], 2, &[lease]));
    let left = seconds(9) - millis(500);
    assert_eq!(f.drained[1].1.within, left);
    assert_eq!(f.wait_reason(waiting), Some(WaitReason::NoWorker));
    f.end(id, success());
    f.run(|core, now, effects| core.leave(now, session, effects));
    assert_eq!(f.worker_states(), []);
}

#[test]
fn only_remote_workers_can_be_drained() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let drain = |f: &mut Fixture, name: &str| {
        let drained =
            f.run(|core, now, effects| core.drain_workers(now, name, seconds(1), |_| true, effects));
        drained.map(|workers| workers.len()).map_err(|error| error.kind().clone())
    };
    assert_eq!(drain(&mut f, "w"), Err(ErrorKind::WorkerInServer("w".to_owned())));
    assert_eq!(drain(&mut f, "nobody"), Err(ErrorKind::WorkerNotFound("nobody".to_owned())));
    let session = f.worker(7, 1);
    assert_eq!(drain(&mut f, &crate::core::worker_id(session)), Ok(1));
}

#[test]
fn leases_of_unary_workers_are_renewed_only_by_reports() {
    let mut f = Fixture::new();
    let [first, second] = [(); 2].map(|()| f.submit(job("a")));
    let spec = hello(1, &["a"], 1, &[]).spec;
    let session =
        f.run(|core, now, effects| core.open_unary(now, &spec, Peer::default(), None, effects)).unwrap();
    f.accept(first).unwrap();
    f.disconnect(session);
    assert_eq!((f.state(first), f.wait_reason(second)), (Running, Some(WaitReason::NoWorker)));
    f.advance(LEASE - millis(1));
    f.renew(first).unwrap();
    f.advance(LEASE - millis(1));
    assert_eq!(f.state(first), Running);
    f.advance(millis(1));
    assert_eq!(f.failures(first), [FailureReason::WorkerLost]);
    assert_eq!(f.worker_states(), [], "a worker without leases is removed");
}

#[test]
fn a_dropped_lease_call_releases_undelivered_jobs() {
    let mut f = Fixture::new();
    let id = f.submit(job("a"));
    let spec = hello(1, &["a"], 1, &[]).spec;
    let session =
        f.run(|core, now, effects| core.open_unary(now, &spec, Peer::default(), None, effects)).unwrap();
    assert_eq!(f.wait_reason(id), Some(WaitReason::Starting));
    f.disconnect(session);
    assert_eq!((f.wait_reason(id), f.view(id).attempt), (Some(WaitReason::NoWorker), 0));
    assert_eq!(f.worker_states(), []);
}

#[test]
fn groups_of_workers_are_served_in_turn() {
    let mut f = Fixture::new();
    let sessions = [f.open(&["a"], 4), f.open(&["a", "b"], 4), f.worker(1, 4)];
    f.connect(&hello(2, &["a", "c"], 4, &[]));
    let ids: Vec<_> = (0..9).map(|_| f.submit(job("a"))).collect();
    let assigned: Vec<_> = ids.into_iter().map(|id| f.lease(id).0).collect();
    for session in sessions {
        let turns = assigned.iter().filter(|to| **to == session).count();
        assert!((1..=4).contains(&turns), "{turns} of 9 went to {session:?}");
    }
}

#[test]
fn the_number_of_workers_is_bounded() {
    let mut f = Fixture::with(CoreOptions { workers_max: 2, ..CoreOptions::default() });
    f.worker(1, 1);
    f.worker(2, 1);
    let full = f.run(|core, now, effects| core.connect(now, &hello(3, &["a"], 1, &[]), effects));
    assert!(matches!(full.unwrap_err().kind(), ErrorKind::ResourceExhausted { reason: "WORKERS_FULL", .. }));
    f.connect(&hello(2, &["a"], 1, &[]));
}

#[test]
fn the_bytes_of_worker_names_are_bounded() {
    let mut f = Fixture::with(CoreOptions { worker_bytes_max: 3_500, ..CoreOptions::default() });
    f.worker(1, 1);
    f.worker(2, 1);
    let names: Vec<String> = (0..20).map(|number| format!("{number}").repeat(40)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let full = f.run(|core, now, effects| core.connect(now, &hello(3, &names, 1, &[]), effects)).unwrap_err();
    assert!(matches!(full.kind(), ErrorKind::ResourceExhausted { reason: "WORKERS_FULL", .. }), "{full:?}");
    assert!(full.message().contains("the limit of 3500"), "{full}");
    // A reconnect replaces the counted bytes of the worker.
    let full = f.run(|core, now, effects| core.connect(now, &hello(2, &names, 1, &[]), effects));
    assert!(full.is_err());
    f.connect(&hello(2, &["a"], 1, &[]));
    let used = f.core.memory().into_iter().find(|used| used.category == "workers").unwrap();
    assert!((2_048..3_500).contains(&used.used_bytes), "{used:?}");
}

#[test]
fn an_attempt_view_names_its_worker() {
    let mut f = Fixture::new();
    f.worker(1, 1);
    let id = f.submit(job("a"));
    f.accept(id).unwrap();
    assert_eq!(&*f.view(id).attempts[0].worker, "remote-1");
    assert!(matches!(f.events(id).last().unwrap().body, EventBody::State(_)));
}

#[test]
fn a_purge_cancels_unaccepted_attempts() {
    let mut f = Fixture::new();
    f.worker(1, 2);
    let [running, offered, waiting] = [(); 3].map(|()| f.submit(job("a")));
    f.accept(running).unwrap();
    let purge = |f: &mut Fixture, budget| {
        f.run(|core, now, effects| core.purge_queue(now, "default", budget, effects)).unwrap()
    };
    assert_eq!([purge(&mut f, 1), purge(&mut f, 9)], [1, 1]);
    assert_eq!([running, offered, waiting].map(|id| f.state(id)), [Running, Cancelled, Cancelled]);
    assert_eq!(f.stopped(), [(offered, Stop::Revoke)]);
}

#[test]
fn the_attempt_timeout_does_not_limit_the_time_to_accept() {
    let mut f = Fixture::new();
    f.worker(1, 1);
    let mut spec = job("a");
    spec.options_mut().attempt_timeout = Some(seconds(1));
    let id = f.submit(spec);
    f.advance(ACCEPT - millis(1));
    f.accept(id).unwrap();
    f.advance(millis(999));
    assert_eq!(f.state(id), Running, "the timeout starts with the accept");
    f.advance(millis(1));
    assert_eq!(f.failures(id), [FailureReason::AttemptTimeout]);
}

#[test]
fn a_lease_call_gets_at_most_its_number_of_jobs() {
    let mut f = Fixture::new();
    let [cancelled, waiting] = [(); 2].map(|()| f.submit(job("a")));
    let spec = hello(1, &["a"], 1, &[]).spec;
    f.run(|core, now, effects| core.open_unary(now, &spec, Peer::default(), None, effects)).unwrap();
    f.cancel(cancelled, seconds(1)).unwrap();
    assert_eq!(f.wait_reason(waiting), Some(WaitReason::WorkersBusy), "it waits for the next call");
}

#[test]
fn leases_of_the_pool_do_not_expire() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let id = f.submit(job("a"));
    f.renew(id).unwrap();
    f.advance(LEASE);
    assert_eq!(f.state(id), Running);
}
