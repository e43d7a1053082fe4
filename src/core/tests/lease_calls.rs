//! Lease calls that are repeated with their request id.

use std::time::Duration;

use uuid::Uuid;

use super::fixture::{Fixture, GRACE, job, kind, millis, queue, seconds, success};
use crate::core::{Core, CoreOptions, Effects, SessionKey};
use crate::error::{ErrorKind, Result};
use crate::job::JobState::{Queued, Running};
use crate::job::{Assignment, JobId, Peer, SessionSpec, WaitReason};

const LEASE: Duration = Duration::from_secs(30);
const REQUEST: Uuid = Uuid::from_u128(1);

fn spec(max_jobs: u32) -> SessionSpec {
    SessionSpec { name: "caller".to_owned(), kinds: vec![kind("a")], queues: None, slots: max_jobs }
}

impl Fixture {
    fn call(&mut self, spec: &SessionSpec, id: Option<Uuid>) -> Result<SessionKey> {
        self.run(|core, now, effects| core.open_unary(now, spec, Peer::default(), id, effects))
    }

    fn take(&mut self, session: SessionKey) -> Vec<Assignment> {
        self.run(|core, now, effects| core.take_leases(now, session, effects))
    }

    /// Returns the response of a call.
    fn answered(&mut self, spec: &SessionSpec, id: Option<Uuid>) -> Vec<Assignment> {
        let session = self.call(spec, id).unwrap();
        self.take(session)
    }

    fn expiry_is_unchanged(&mut self, ids: &[JobId], since: Duration) {
        self.advance(since + LEASE - self.now.monotonic - millis(1));
        assert!(ids.iter().all(|id| self.state(*id) == Running));
        self.advance(millis(1));
        assert!(ids.iter().all(|id| self.state(*id) == Queued), "no lease was renewed");
    }
}

fn leases(assignments: &[Assignment]) -> Vec<(JobId, String, u32)> {
    let lease = |one: &Assignment| (one.job_id, one.lease.to_string(), one.attempt);
    assignments.iter().map(lease).collect()
}

#[test]
fn a_repeated_call_gets_the_same_leases_and_no_others() {
    let mut f = Fixture::new();
    let ids = [(); 2].map(|()| f.submit(job("a")));
    let first = f.answered(&spec(2), Some(REQUEST));
    assert_eq!(first.iter().map(|one| one.job_id).collect::<Vec<_>>(), ids);
    let (waiting, since) = (f.submit(job("a")), f.now.monotonic);
    for _ in 0..3 {
        f.advance(seconds(4));
        let again = f.answered(&spec(2), Some(REQUEST));
        assert_eq!(leases(&again), leases(&first));
        let left = first[0].time_left - (f.now.monotonic - since);
        assert_eq!(again[0].time_left, left, "the attempt began with the first response");
    }
    assert_eq!((f.state(waiting), f.assigned.len()), (Queued, 2), "no other job is leased");
    assert!(ids.iter().all(|id| f.view(*id).attempt == 1));
    f.expiry_is_unchanged(&ids, since);
}

#[test]
fn a_call_without_an_id_is_always_a_new_one() {
    let mut f = Fixture::new();
    let ids = [(); 2].map(|()| f.submit(job("a")));
    let taken = [(); 2].map(|()| f.answered(&spec(1), None));
    assert_eq!(taken.map(|taken| taken[0].job_id), ids);
}

#[test]
fn a_repeated_call_gets_only_valid_leases() {
    let mut f = Fixture::new();
    let [ended, cancelled, running] = [(); 3].map(|()| f.submit(job("a")));
    f.answered(&spec(3), Some(REQUEST));
    f.end(ended, success());
    f.cancel(cancelled, Duration::ZERO).unwrap();
    f.cancel(running, GRACE).unwrap();
    let again = f.answered(&spec(3), Some(REQUEST));
    assert_eq!(
        again.iter().map(|one| one.job_id).collect::<Vec<_>>(),
        [running],
        "a report returns the cancel"
    );
}

#[test]
fn an_id_is_forgotten_with_its_last_lease() {
    let mut f = Fixture::new();
    let ids = [(); 3].map(|()| f.submit(job("a")));
    f.answered(&spec(1), Some(REQUEST));
    f.end(ids[0], success());
    assert_eq!(f.answered(&spec(1), Some(REQUEST))[0].job_id, ids[1]);
    f.advance(LEASE);
    assert_eq!(f.state(ids[1]), Queued);
    // An expired attempt is retried: the session of the new call gets it first.
    assert_eq!(f.answered(&spec(2), Some(REQUEST)).len(), 2, "the fields may differ now");
}

#[test]
fn a_response_without_leases_is_not_remembered() {
    let mut f = Fixture::new();
    assert_eq!(leases(&f.answered(&spec(1), Some(REQUEST))), []);
    let id = f.submit(job("a"));
    let mut other = spec(5);
    other.kinds.push(kind("b"));
    assert_eq!(f.answered(&other, Some(REQUEST))[0].job_id, id);
}

#[test]
fn a_repeat_of_a_waiting_call_takes_its_place() {
    let mut f = Fixture::new();
    let first = f.call(&spec(2), Some(REQUEST)).unwrap();
    let offered = f.submit(job("a"));
    assert_eq!(f.wait_reason_of(offered), Some(WaitReason::Starting));
    let again = f.call(&spec(2), Some(REQUEST)).unwrap();
    assert_eq!((again, f.core.workers(f.now, 0, 10).0.len()), (first, 1));
    assert!(f.core.has_jobs(again));
    assert_eq!(f.take(again).len(), 1);
    assert_eq!((f.state(offered), f.assigned.len()), (Running, 1));
    let later = f.submit(job("a"));
    assert_eq!(f.wait_reason_of(later), Some(WaitReason::NoWorker), "the call has ended");
}

#[test]
fn another_request_with_the_same_id_is_refused() {
    let mut f = Fixture::new();
    let (mut all, id) = (spec(2), f.submit(job("a")));
    all.kinds.push(kind("b"));
    all.queues = Some(vec![queue("default"), queue("q")]);
    let taken = f.answered(&all, Some(REQUEST));
    let named = |name: &str| SessionSpec { name: name.to_owned(), ..all.clone() };
    let others = [
        named("another"),
        SessionSpec { kinds: vec![kind("a")], ..all.clone() },
        SessionSpec { queues: None, ..all.clone() },
        SessionSpec { slots: 3, ..all.clone() },
    ];
    let peer = Peer { assignment_bytes_max: 1 << 20, ..Peer::default() };
    let limited = f.run(|core, now, effects| core.open_unary(now, &all, peer, Some(REQUEST), effects));
    let refused = others.iter().map(|other| f.call(other, Some(REQUEST))).collect::<Vec<_>>();
    for refused in refused.into_iter().chain([limited]) {
        let ErrorKind::InvalidField(violations) = refused.unwrap_err().kind().clone() else { panic!() };
        assert_eq!(violations[0].field, "request_id");
    }
    let order = SessionSpec {
        kinds: all.kinds.iter().rev().cloned().collect(),
        queues: all.queues.as_ref().map(|queues| queues.iter().rev().cloned().collect()),
        ..all.clone()
    };
    assert_eq!(leases(&f.answered(&order, Some(REQUEST))), leases(&taken), "the order has no meaning");
    assert_eq!(f.view(id).attempt, 1);
}

#[test]
fn a_repeat_needs_no_capacity_and_no_open_server() {
    let mut f = Fixture::with(CoreOptions { workers_max: 1, ..CoreOptions::default() });
    f.submit(job("a"));
    let taken = f.answered(&spec(1), Some(REQUEST));
    let full = f.call(&spec(1), Some(Uuid::from_u128(2))).unwrap_err();
    assert!(matches!(full.kind(), ErrorKind::ResourceExhausted { reason: "WORKERS_FULL", .. }), "{full:?}");
    assert_eq!(leases(&f.answered(&spec(1), Some(REQUEST))), leases(&taken));
    f.run(|core, _, effects| core.drain(seconds(10), effects));
    assert_eq!(leases(&f.answered(&spec(1), Some(REQUEST))), leases(&taken));
}

#[test]
fn a_repeat_of_a_waiting_call_learns_of_a_drain() {
    let mut f = Fixture::new();
    let session = f.call(&spec(1), Some(REQUEST)).unwrap();
    f.run(|core, _, effects| core.drain(seconds(10), effects));
    f.call(&spec(1), Some(REQUEST)).unwrap();
    let drained: Vec<_> =
        f.drained.iter().map(|(session, drain)| (*session, drain.server_shutdown)).collect();
    assert_eq!(drained, [(session, true), (session, true)], "the repeat does not wait");
    assert_eq!(leases(&f.take(session)), []);
    assert!(matches!(f.call(&spec(1), Some(REQUEST)).unwrap_err().kind(), ErrorKind::Draining { .. }));
}

#[test]
fn a_repeat_after_a_restart_gets_the_same_leases() {
    let mut f = Fixture::new();
    let ids = [(); 2].map(|()| f.submit(job("a")));
    let taken = f.answered(&spec(2), Some(REQUEST));
    let images = ids.map(|id| f.core.snapshot(f.key(id), None)).concat();
    for records in [f.records.clone(), images] {
        let mut again = Core::new(CoreOptions::default(), [1; 32]);
        records.into_iter().for_each(|record| again.replay(record));
        again.resume(f.now, Duration::ZERO, &mut Effects::default());
        let mut effects = Effects::recording();
        let mut open = |name: &str| {
            let spec = SessionSpec { name: name.to_owned(), ..spec(2) };
            again.open_unary(f.now, &spec, Peer::default(), Some(REQUEST), &mut effects)
        };
        open("another").unwrap_err();
        let session = open("caller").unwrap();
        let repeated = again.take_leases(f.now, session, &mut effects);
        assert_eq!(leases(&repeated), leases(&taken));
        assert_eq!(effects.records.unwrap(), [], "no attempt begins");
    }
}

impl Fixture {
    fn wait_reason_of(&self, id: JobId) -> Option<WaitReason> {
        self.view(id).wait_reason
    }
}
