//! Lists of jobs: filters, and pages during changes.

use super::fixture::*;
use crate::access::{Grants, Method, Principal, Quota};
use crate::core::{Caller, ListBounds};
use crate::job::{JobFilter, JobId, JobState, StateSet};

fn states(states: &[JobState]) -> StateSet {
    states.iter().copied().fold(StateSet::NONE, StateSet::with)
}

fn bounds(jobs: usize, scanned: usize) -> ListBounds {
    ListBounds { jobs, bytes: usize::MAX, with_payloads: true, scanned, begins_page: true }
}

/// Reads the list in pages, and runs a command between two pages.
fn pages(
    f: &mut Fixture,
    filter: &JobFilter,
    limit: usize,
    mut between: impl FnMut(&mut Fixture),
) -> Vec<JobId> {
    let (mut listed, mut next) = (Vec::new(), Some(f.core.list_begin()));
    while let Some(before) = next {
        let page = f.core.list(filter, None, before, bounds(limit, 1000));
        assert!(page.jobs.len() <= limit);
        listed.extend(page.jobs.iter().map(|job| job.id));
        next = page.next;
        between(f);
    }
    listed
}

#[test]
fn jobs_are_listed_newest_first() {
    let mut f = Fixture::new();
    let mut jobs: Vec<_> = (0..7).map(|_| f.submit(job("a"))).collect();
    jobs.reverse();
    for limit in [1, 2, 3, 7, 100] {
        assert_eq!(pages(&mut f, &JobFilter::default(), limit, |_| {}), jobs);
    }
}

#[test]
fn pages_do_not_skip_or_repeat_jobs_during_changes() {
    let mut f = Fixture::new();
    let jobs: Vec<_> = (0..20).map(|_| f.submit(job("a"))).collect();
    let mut removed = jobs.iter().copied().step_by(3).collect::<Vec<_>>();
    let remaining: Vec<_> = jobs.iter().copied().filter(|id| !removed.contains(id)).rev().collect();
    let listed = pages(&mut f, &JobFilter::default(), 3, |f| {
        f.submit(job("a"));
        if let Some(id) = removed.pop() {
            f.cancel(id, GRACE).unwrap();
            f.run(|core, now, effects| core.delete(now, id, effects)).unwrap();
        }
    });
    let distinct: std::collections::BTreeSet<_> = listed.iter().collect();
    assert_eq!(distinct.len(), listed.len(), "no job is listed twice");
    assert!(listed.iter().all(|id| jobs.contains(id)), "no later job is listed");
    let listed_remaining: Vec<_> = listed.into_iter().filter(|id| remaining.contains(id)).collect();
    assert_eq!(listed_remaining, remaining, "no job is skipped");
}

#[test]
fn a_page_examines_at_most_its_budget_of_jobs() {
    let mut f = Fixture::new();
    let wanted = f.submit(job("rare"));
    for _ in 0..10 {
        f.submit(job("a"));
    }
    let filter = JobFilter { kind: Some(kind("rare")), ..JobFilter::default() };
    let (mut next, mut rounds, mut listed) = (Some(f.core.list_begin()), 0, Vec::new());
    while let Some(before) = next {
        let page = f.core.list(&filter, None, before, bounds(50, 4));
        listed.extend(page.jobs.iter().map(|job| job.id));
        next = page.next;
        rounds += 1;
    }
    assert_eq!((listed, rounds), (vec![wanted], 3));
}

#[test]
fn a_principal_lists_what_its_grants_cover() {
    let mut f = Fixture::new();
    let mut submit = |owner: &str, job| {
        f.core.set_caller(Caller::Principal(owner.into(), Quota::default()));
        f.submit(job)
    };
    let own = submit("billing", job("a"));
    let other = submit("mail", queued_in("b", "shared"));
    submit("mail", job("a"));
    let listed = |grants: &[&str]| {
        let grants = Grants::parse(grants.iter().copied()).unwrap();
        let principal = Principal::new("billing", Method::Token, grants, None).unwrap();
        let (mut next, mut rounds, mut listed) = (Some(f.core.list_begin()), 0, Vec::new());
        while let Some(before) = next {
            let page = f.core.list(&JobFilter::default(), Some(&principal), before, bounds(1, 2));
            listed.extend(page.jobs.iter().map(|job| job.id));
            next = page.next;
            rounds += 1;
        }
        (listed, rounds)
    };
    assert_eq!(listed(&["read"]), (vec![], 2), "jobs that are not listed count as scanned");
    assert_eq!(listed(&["list own"]).0, [own]);
    assert_eq!(listed(&["list own", "list queue=shared"]).0, [other, own]);
    assert_eq!(listed(&["all"]).0.len(), 3);
    assert_eq!(f.core.access_view(f.key(other)).as_access(), f.core.access(f.key(other)));
}

#[test]
fn invalid_page_positions_are_handled() {
    let mut f = Fixture::new();
    let id = f.submit(job("a"));
    assert_eq!(f.core.list(&JobFilter::default(), None, u64::MAX, bounds(9, 9)).jobs[0].id, id);
    assert!(f.core.list(&JobFilter::default(), None, 0, bounds(9, 9)).jobs.is_empty());
}

#[test]
fn all_conditions_of_a_filter_must_match() {
    let mut f = Fixture::new();
    f.open(&["run"], 9);
    let queued = f.submit(queued_in("wait", "q"));
    f.advance(seconds(10));
    let noon = f.now.wall;
    let labelled = f.submit(with("run", |options| {
        options.labels.insert("team".into(), "x".into());
        options.labels.insert("tier".into(), "1".into());
    }));
    f.advance(seconds(10));
    let running = f.submit(job("run"));
    let mut list = |filter| pages(&mut f, &filter, 9, |_| {});
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let labels = |pairs: &[(&str, &str)]| JobFilter {
        labels: pairs.iter().map(|(name, value)| label(name, value)).collect(),
        ..JobFilter::default()
    };
    let all = JobFilter::default;
    assert_eq!(list(JobFilter { states: states(&[JobState::Queued, JobState::Failed]), ..all() }), [queued]);
    assert_eq!(list(JobFilter { states: states(&[JobState::Running]), ..all() }), [running, labelled]);
    assert_eq!(list(JobFilter { kind: Some(kind("run")), ..all() }), [running, labelled]);
    assert_eq!(list(JobFilter { queue: Some(queue("q")), ..all() }), [queued]);
    assert_eq!(list(JobFilter { queue: Some(queue("q")), kind: Some(kind("run")), ..all() }), []);
    assert_eq!(list(labels(&[("team", "x")])), [labelled]);
    assert_eq!(list(labels(&[("team", "x"), ("tier", "2")])), []);
    assert_eq!(list(JobFilter { created_from: Some(noon), ..all() }), [running, labelled]);
    assert_eq!(list(JobFilter { created_before: Some(noon), ..all() }), [queued]);
}

#[test]
fn a_view_has_the_requested_parts() {
    let mut f = Fixture::new();
    let mut job = with("a", |options| options.retry.max_attempts = 4);
    job.queue = queue("q");
    job.priority = -3;
    job.payload = crate::job::Payload::text("input");
    let id = f.submit(job.clone());
    let view = f.view(id);
    assert_eq!(view.spec, crate::job::NewJob { id: Some(id), ..job });
    assert_eq!((view.create_time, view.start_time, view.attempt), (f.now.wall, None, 0));
}

#[test]
fn a_view_has_only_the_newest_attempts() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let id = f.submit(job("a"));
    for _ in 0..20 {
        f.end(id, crate::job::AttemptEnd::Release(seconds(1)));
        f.advance(seconds(1));
    }
    let attempts: Vec<_> = f.view(id).attempts.iter().map(|attempt| attempt.attempt).collect();
    assert_eq!(attempts, (6..=21).collect::<Vec<_>>());
    assert_eq!(f.view(id).attempts[15].finish_time, None);
}
