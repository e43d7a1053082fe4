//! The feed of all jobs: every state change, once, in order, without contents.

use std::sync::Arc;

use super::fixture::*;
use crate::core::change_bytes;
use crate::job::{
    AttemptEnd, Event, EventBody, Failure, FailureReason, JobId, JobState, Outcome, Payload, StateChange,
};

fn with_feed() -> Fixture {
    let mut f = Fixture::new();
    f.core.set_feed(true);
    f
}

/// The changes of a job, as sequence and state.
fn changes(f: &Fixture, id: JobId) -> Vec<(u32, JobState)> {
    let of_job = f.changes.iter().filter(|change| change.job_id == id);
    of_job.map(|change| (change.event.sequence, change.state().unwrap())).collect()
}

/// The state changes in the stream of a job.
fn events(f: &Fixture, id: JobId) -> Vec<(u32, JobState)> {
    let state = |event: &Event| match &event.body {
        EventBody::State(change) => Some((event.sequence, change.state)),
        _ => None,
    };
    f.events(id).iter().filter_map(state).collect()
}

fn last(f: &Fixture) -> StateChange {
    match &f.changes.last().unwrap().event.body {
        EventBody::State(change) => change.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_state_change_of_every_job_is_in_the_feed_once() {
    let mut f = with_feed();
    f.open(&["a"], 2);
    let retried = f.submit(retried("a", 3));
    let cancelled = f.submit(job("a"));
    let waiting = f.submit(job("unserved"));
    f.report(retried, progress(0.5));
    f.end(retried, failure("x"));
    f.cancel(cancelled, GRACE).unwrap();
    f.cancel(waiting, GRACE).unwrap();
    f.advance(seconds(1));
    f.end(retried, success());
    f.end(cancelled, AttemptEnd::Cancelled);
    for id in [retried, cancelled, waiting] {
        assert_eq!(changes(&f, id), events(&f, id));
        assert!(f.view(id).state.is_final());
    }
    assert_eq!(events(&f, retried).len(), 6);
    assert_eq!(f.changes.len(), 6 + 4 + 2);
    assert!(f.changes.is_sorted_by_key(|change| change.event.time));
}

#[test]
fn without_a_feed_there_are_no_changes() {
    let mut f = with_feed();
    f.submit(job("a"));
    f.core.set_feed(false);
    f.submit(job("a"));
    assert_eq!(f.changes.len(), 1);
}

#[test]
fn a_change_has_the_names_of_its_job_and_no_contents() {
    let mut f = with_feed();
    f.open(&["a"], 1);
    let id = f.submit(with("a", |options| drop(options.labels.insert("env".into(), "prod".into()))));
    f.end(id, success());
    let change = f.changes.last().unwrap();
    assert_eq!((&*change.queue, &*change.kind, change.owner.as_deref()), ("default", "a", None));
    assert_eq!(change.labels()["env"], "prod");
    assert_eq!(last(&f).outcome, Some(Outcome::Result(Payload::text(""))));

    let details = Payload::data(vec![0; 1000]);
    let failure =
        Failure { details: Some(details), ..Failure::new(FailureReason::Handler, "why").permanent() };
    let plain = Failure { details: None, attempt: 1, ..failure.clone() };
    let id = f.submit(job("a"));
    f.end(id, AttemptEnd::Failure(failure, None));
    assert_eq!(last(&f).outcome, Some(Outcome::Failure(Arc::new(plain))));
    assert!(matches!(&f.view(id).outcome, Some(Outcome::Failure(failure)) if failure.details.is_some()));
    let bytes = change_bytes(f.changes.last().unwrap());
    assert!((200..600).contains(&bytes), "{bytes}");
}
