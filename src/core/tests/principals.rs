//! Sessions and leases belong to the principal of the worker.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::fixture::{Fixture, job, kind, success};
use super::workers::hello;
use crate::core::{Core, CoreOptions, Effects, Record};
use crate::error::ErrorKind;
use crate::job::JobState::{Running, Succeeded};
use crate::job::{Hello, LeaseId, Peer, SessionSpec};

const REQUEST: Uuid = Uuid::from_u128(1);

fn peer(principal: &str) -> Peer {
    Peer { principal: Some(principal.into()), ..Peer::default() }
}

fn hello_by(principal: &str, held: &[LeaseId]) -> Hello {
    Hello { peer: peer(principal), ..hello(1, &["a"], 1, held) }
}

fn name(principal: &str) -> Arc<str> {
    principal.into()
}

#[test]
fn another_principal_with_the_same_instance_is_another_worker() {
    let mut f = Fixture::new();
    let worker = f.connect(&hello_by("billing", &[])).session;
    let id = f.submit(job("a"));
    f.accept(id).unwrap();
    let (_, lease) = f.lease(id);
    f.run(|core, _, effects| core.take_report(worker, 5, effects));
    let other = f.connect(&hello_by("mail", &[lease]));
    assert_ne!(other.session, worker);
    assert_eq!((other.valid_leases, other.reports_taken), (vec![], 0));
    let error = f.end_with(other.session, lease, success()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::LeaseLost);
    assert!(f.core.session_of(lease, Some(&name("mail"))).is_err());
    assert!(f.core.session_of(lease, None).is_err(), "an anonymous caller is another one");
    assert_eq!(f.core.session_of(lease, Some(&name("billing"))).unwrap(), worker);
    let again = f.connect(&hello_by("billing", &[lease]));
    assert_eq!((again.session, again.valid_leases, again.reports_taken), (worker, vec![lease], 5));
    f.end(id, success());
    assert_eq!(f.state(id), Succeeded);
}

#[test]
fn a_lease_call_with_the_request_id_of_another_principal_gets_other_jobs() {
    let mut f = Fixture::new();
    let (first, second) = (f.submit(job("a")), f.submit(job("a")));
    let spec = SessionSpec { name: "w".to_owned(), kinds: vec![kind("a")], queues: None, slots: 1 };
    let mut leased = |principal: &str| {
        let open = |core: &mut Core, now, effects: &mut Effects| {
            core.open_unary(now, &spec, peer(principal), Some(REQUEST), effects)
        };
        let session = f.run(open).unwrap();
        f.run(|core, now, effects| core.take_leases(now, session, effects))[0].job_id
    };
    assert_eq!(leased("billing"), first);
    assert_eq!(leased("mail"), second);
    assert_eq!((leased("billing"), leased("mail")), (first, second), "repeats of their own calls");
}

#[test]
fn a_restart_restores_the_principal_of_a_worker() {
    let mut f = Fixture::new();
    let worker = f.connect(&hello_by("billing", &[])).session;
    let id = f.submit(job("a"));
    f.accept(id).unwrap();
    f.run(|core, _, effects| core.take_report(worker, 5, effects));
    let (_, lease) = f.lease(id);
    let mut snapshot = f.core.snapshot_globals();
    snapshot.extend(f.core.snapshot(f.key(id), None));
    let resumed = |records: &[Record]| {
        let mut core = Core::new(CoreOptions::default(), [1; 32]);
        records.iter().cloned().for_each(|record| core.replay(record));
        core.resume(f.now, Duration::ZERO, &mut Effects::default());
        core
    };
    for records in [f.records.clone(), snapshot] {
        for (principal, valid, taken) in [("billing", vec![lease], 5), ("mail", vec![], 0)] {
            let mut core = resumed(&records);
            let hello = hello_by(principal, &[lease]);
            let welcome = core.connect(f.now, &hello, &mut Effects::default()).unwrap();
            assert_eq!((welcome.valid_leases, welcome.reports_taken), (valid, taken), "{principal}");
            assert_eq!(core.state(core.find(id).unwrap()), Running);
        }
    }
}
