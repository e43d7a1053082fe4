//! Queues: pause, resume, purge and views.

use super::fixture::*;
use crate::error::ErrorKind;
use crate::job::{JobState, QueueView, Start};

impl Fixture {
    fn pause(&mut self, name: &str) {
        self.run(|core, _, effects| core.pause_queue(name, effects)).unwrap();
    }

    fn resume(&mut self, name: &str) {
        self.run(|core, now, effects| core.resume_queue(now, name, effects)).unwrap();
    }

    fn purge(&mut self, name: &str, budget: usize) -> usize {
        self.run(|core, now, effects| core.purge_queue(now, name, budget, effects)).unwrap()
    }

    fn queue(&self, name: &str) -> QueueView {
        self.core.queue(self.now, name).unwrap()
    }
}

#[test]
fn a_paused_queue_starts_no_jobs_and_others_do() {
    let mut f = Fixture::new();
    f.open(&["a"], 9);
    f.pause("held");
    let [held, free] = [queued_in("a", "held"), queued_in("a", "free")].map(|job| f.submit(job));
    let due = f.submit(crate::job::NewJob {
        queue: queue("held"),
        ..with("a", |options| options.start = Start::After(seconds(1)))
    });
    f.advance(seconds(1));
    assert_eq!(
        [held, free, due].map(|id| f.state(id)),
        [JobState::Queued, JobState::Running, JobState::Queued]
    );
    f.started();
    f.resume("held");
    assert_eq!(f.started(), [held, due]);
}

#[test]
fn a_paused_queue_lets_attempts_end_but_starts_no_retries() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let id = f.submit(retried("a", 2));
    f.pause("default");
    f.end(id, failure("once"));
    f.advance(seconds(1));
    assert_eq!(f.state(id), JobState::Queued);
    f.resume("default");
    assert_eq!(f.state(id), JobState::Running);
}

#[test]
fn a_resumed_queue_starts_its_jobs_in_order() {
    let mut f = Fixture::new();
    f.pause("default");
    let [first, high, second] = [0, 5, 0].map(|priority| f.submit(prioritized("a", priority)));
    f.open(&["a"], 2);
    f.resume("default");
    assert_eq!(f.started(), [high, first]);
    assert_eq!(f.state(second), JobState::Queued);
}

#[test]
fn only_known_queues_can_be_resumed_purged_or_shown() {
    let mut f = Fixture::new();
    let unknown = ErrorKind::QueueNotFound("q".to_owned());
    let resumed = f.run(|core, now, effects| core.resume_queue(now, "q", effects)).unwrap_err();
    let purged = f.run(|core, now, effects| core.purge_queue(now, "q", 1, effects)).unwrap_err();
    let shown = f.core.queue(f.now, "q").unwrap_err();
    assert!([resumed, purged, shown].iter().all(|error| *error.kind() == unknown));
    f.pause("q");
    assert!(f.queue("q").paused);
    f.resume("q");
    assert!(f.core.queue(f.now, "q").is_err(), "an idle queue is removed");
}

#[test]
fn a_purge_cancels_waiting_jobs_and_not_running_ones() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let running = f.submit(job("a"));
    let start = Start::At(f.now.wall.plus(seconds(9)));
    let waiting = [
        job("a"),
        prioritized("a", 7),
        job("b"),
        with("a", |options| options.start = Start::After(seconds(9))),
        with("c", |options| options.start = start),
    ]
    .map(|job| f.submit(job));
    let elsewhere = f.submit(queued_in("b", "other"));
    assert_eq!(f.purge("default", 3), 3);
    assert_eq!(f.purge("default", 3), 2, "fewer than the budget: no job is left");
    assert_eq!(f.purge("default", 3), 0);
    assert!(waiting.iter().all(|id| f.state(*id) == JobState::Cancelled));
    assert_eq!((f.state(running), f.state(elsewhere)), (JobState::Running, JobState::Queued));
    f.advance(seconds(10));
    assert!(waiting.iter().all(|id| f.state(*id) == JobState::Cancelled));
}

#[test]
fn a_purge_works_while_finished_jobs_are_removed() {
    let options = crate::core::CoreOptions { retention_bytes_max: 1, ..Default::default() };
    let mut f = Fixture::with(options);
    for name in ["a", "b"].repeat(10) {
        f.submit(job(name));
    }
    assert_eq!(f.purge("default", 100), 20);
    assert_eq!(f.core.job_count(), 1);
}

#[test]
fn a_queue_view_has_counts_and_unserved_kinds() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let done = f.submit(job("a"));
    f.end(done, success());
    for name in ["a", "a", "lonely", "alone"] {
        f.submit(job(name));
    }
    f.submit(with("later", |options| options.start = Start::After(seconds(9))));
    let view = f.queue("default");
    let counts = [JobState::Scheduled, JobState::Queued, JobState::Running, JobState::Succeeded];
    assert_eq!(counts.map(|state| view.counts.get(state)), [1, 3, 1, 1]);
    assert_eq!(view.counts.total(), 6);
    let kinds: Vec<_> = view.unserved_kinds.iter().map(|kind| &**kind).collect();
    assert_eq!(kinds, ["alone", "lonely"], "only those with queued jobs, in order");
    assert_eq!(f.core.kinds(), ["a".into()]);
}

#[test]
fn the_age_of_a_queue_is_that_of_its_oldest_waiting_job() {
    let mut f = Fixture::new();
    assert!(f.core.queues(f.now, "", 9).0.is_empty());
    f.submit(with("a", |options| options.start = Start::After(seconds(50))));
    assert_eq!(f.queue("default").oldest_queued_age, None);
    f.submit(prioritized("a", -5));
    f.advance(seconds(3));
    f.submit(prioritized("a", 5));
    f.submit(job("b"));
    f.advance(seconds(2));
    assert_eq!(f.queue("default").oldest_queued_age, Some(seconds(5)));
}

#[test]
fn rates_cover_the_last_minute() {
    let mut f = Fixture::new();
    f.open(&["a"], 100);
    let rates = |f: &Fixture| {
        let view = f.queue("default");
        (view.accepted_per_second, view.finished_per_second)
    };
    for _ in 0..60 {
        let id = f.submit(job("a"));
        f.end(id, success());
        f.submit(job("b"));
        f.advance(seconds(1));
    }
    let (accepted, finished) = rates(&f);
    assert!((1.8..=2.2).contains(&accepted) && (0.9..=1.1).contains(&finished), "{accepted} {finished}");
    f.advance(seconds(30));
    let (accepted, _) = rates(&f);
    assert!((0.8..=1.3).contains(&accepted), "{accepted}");
    f.advance(seconds(60));
    assert_eq!(rates(&f), (0.0, 0.0));
    f.advance(seconds(100_000));
    f.submit(job("b"));
    assert!(rates(&f).0 > 0.0);
}

#[test]
fn queues_are_listed_by_name_in_pages() {
    let mut f = Fixture::new();
    for name in ["c", "a", "b"] {
        f.submit(queued_in("k", name));
    }
    let names = |after: &str, limit| {
        let (views, more) = f.core.queues(f.now, after, limit);
        (views.iter().map(|view| view.name.to_string()).collect::<String>(), more)
    };
    assert_eq!(names("", 2), ("ab".to_owned(), true));
    assert_eq!(names("b", 2), ("c".to_owned(), false));
    assert_eq!(names("", 3), ("abc".to_owned(), false));
    assert_eq!(names("aa", 9).0, "bc", "the first name need not exist");
}
