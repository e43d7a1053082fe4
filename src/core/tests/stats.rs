//! Statistics: totals by queue and kind, and the counts of a window.

use std::time::Duration;

use super::fixture::*;
use crate::access::{Grants, Method, Principal};
use crate::core::stats::SERIES_MAX;
use crate::core::{Core, CoreOptions, Effects};
use crate::job::{
    AttemptEnd, FailureReason, JobState, NewJob, Payload, SeriesTotals, Start, StatsFilter, StatsPoint,
    StatsWindow,
};
use crate::metrics::OTHER;

const MINUTES: Duration = Duration::from_secs(60);

impl Fixture {
    fn totals(&self) -> Vec<SeriesTotals> {
        self.core.totals(0, usize::MAX)
    }

    fn points(&mut self, range: Duration, step: Duration) -> Vec<StatsPoint> {
        self.points_of(None, range, step)
    }

    fn points_of(&mut self, queue_name: Option<&str>, range: Duration, step: Duration) -> Vec<StatsPoint> {
        let window = StatsWindow::new(range, step);
        let filter = StatsFilter { window, queue: queue_name.map(queue), kind: None };
        self.run(|core, now, _| {
            let mut points = core.stats_points(now, &window);
            assert!(!core.add_stats(now, &filter, None, (0, usize::MAX - 1), &mut points));
            points
        })
    }
}

/// Submits and ends a job that waits for 2 s and runs for 3 s.
fn run_one(f: &mut Fixture) {
    let job = f.submit(job("a"));
    f.advance(seconds(2));
    let worker = f.open(&["a"], 1);
    f.advance(seconds(3));
    f.end(job, success());
    f.close(worker);
}

#[test]
fn totals_have_the_ends_and_the_times_of_jobs() {
    let mut f = Fixture::new();
    run_one(&mut f);
    let failing = f.submit(retried("a", 2));
    f.open(&["a"], 1);
    f.advance(seconds(1));
    f.end(failing, failure("no"));
    f.advance(seconds(1));
    f.end(failing, failure("no"));
    let released = f.submit(job("a"));
    f.end(released, AttemptEnd::Release(Duration::ZERO));
    f.cancel(released, Duration::ZERO).unwrap();

    let [totals] = &f.totals()[..] else { panic!("one series") };
    assert_eq!((&*totals.queue, &*totals.kind), ("default", "a"));
    assert_eq!((totals.submitted, totals.started, totals.released), (3, 5, 1));
    assert_eq!(totals.failed_attempts(FailureReason::Handler), 2);
    assert_eq!(SeriesTotals::OUTCOMES.map(|state| totals.ended_jobs(state)), [1, 1, 1]);
    assert_eq!((totals.wait.count(), totals.wait.sum()), (5, seconds(2)));
    assert_eq!((totals.run[0].count(), totals.run[0].sum()), (1, seconds(3)));
    assert_eq!((totals.run[1].count(), totals.run[1].sum()), (2, seconds(1)));
    assert_eq!((totals.end_to_end[0].sum(), totals.end_to_end[1].sum()), (seconds(5), seconds(2)));
}

#[test]
fn the_time_of_a_delayed_job_counts_from_its_start_time() {
    let mut f = Fixture::new();
    f.open(&["a"], 1);
    let delayed = f.submit(with("a", |options| options.start = Start::After(seconds(60))));
    f.advance(seconds(60));
    f.advance(seconds(1));
    f.end(delayed, success());
    let [totals] = &f.totals()[..] else { panic!("one series") };
    assert_eq!((totals.wait.sum(), totals.end_to_end[0].sum()), (Duration::ZERO, seconds(1)));
}

#[test]
fn a_window_has_the_counts_of_each_step() {
    let mut f = Fixture::new();
    f.advance(10 * MINUTES);
    let waiting = f.submit(queued_in("b", "other"));
    run_one(&mut f);
    f.advance(seconds(60));
    f.submit(job("a"));

    let points = f.points(2 * MINUTES, seconds(10));
    assert_eq!(points.len(), 12);
    assert_eq!(points.iter().map(|point| point.submitted).sum::<u64>(), 3);
    let (then, now) = (&points[5], &points[11]);
    assert_eq!((then.submitted, then.started, then.succeeded), (2, 1, 1));
    assert_eq!((then.wait.count(), then.run.quantile(1.0)), (1, Some(seconds(5))), "the bound of its bucket");
    assert_eq!([points[4].waiting, then.waiting, points[10].waiting, now.waiting], [0, 1, 1, 2]);
    assert_eq!(now.start_time.since(then.start_time), seconds(60));
    assert!(now.start_time <= f.now.wall && f.now.wall.since(now.start_time) < seconds(10));

    let of_other = f.points_of(Some("other"), 2 * MINUTES, seconds(60));
    assert_eq!(of_other.iter().map(|point| point.submitted).collect::<Vec<_>>(), [1, 0]);
    f.cancel(waiting, Duration::ZERO).unwrap();
    assert_eq!(f.points_of(Some("other"), 2 * MINUTES, seconds(60))[1].cancelled, 1);
}

#[test]
fn a_long_window_has_the_same_counts() {
    let mut f = Fixture::new();
    for _ in 0..24 * 4 {
        run_one(&mut f);
        f.advance(15 * MINUTES - seconds(5));
    }
    run_one(&mut f);
    let day = f.points(StatsWindow::RANGE_MAX, 60 * MINUTES);
    assert_eq!(day.len(), 24);
    assert!(day.iter().all(|point| (4..=5).contains(&point.succeeded)), "{day:?}");
    let all = day.iter().map(|point| (point.submitted, point.succeeded, point.wait.count()));
    assert!(all.clone().all(|(submitted, succeeded, waits)| submitted == succeeded && waits == succeeded));
    let hour = f.points(60 * MINUTES, 5 * MINUTES);
    assert_eq!(hour.iter().map(|point| point.succeeded).sum::<u64>(), 4, "one each quarter of an hour");
    assert_eq!(f.points(30 * MINUTES, seconds(10)).iter().map(|point| point.succeeded).sum::<u64>(), 2);
}

#[test]
fn jobs_that_wait_for_long_are_shown_in_every_step() {
    let mut f = Fixture::new();
    f.submit(job("a"));
    f.advance(23 * 60 * MINUTES);
    let more = f.submit(job("a"));
    let waiting = |f: &mut Fixture, range, step| {
        let points = f.points(range, step);
        (points[0].waiting, points[points.len() - 2].waiting, points[points.len() - 1].waiting)
    };
    assert_eq!(waiting(&mut f, 20 * MINUTES, seconds(10)), (1, 1, 2));
    f.advance(45 * MINUTES);
    f.cancel(more, Duration::ZERO).unwrap();
    assert_eq!(waiting(&mut f, 20 * MINUTES, seconds(10)), (2, 2, 1));
    assert_eq!(waiting(&mut f, 60 * MINUTES, 5 * MINUTES), (1, 2, 1));
}

#[test]
fn pairs_beyond_the_limit_are_counted_as_one() {
    let mut f = Fixture::new();
    for number in 0..SERIES_MAX + 3 {
        f.submit(queued_in("a", &format!("q{number}")));
    }
    f.submit(queued_in("a", "q0"));
    let totals = f.totals();
    assert_eq!(totals.len(), SERIES_MAX + 1);
    assert_eq!((&*totals[0].queue, totals[0].submitted), ("q0", 2));
    assert_eq!((&*totals[SERIES_MAX].queue, &*totals[SERIES_MAX].kind), (OTHER, OTHER));
    assert_eq!(totals[SERIES_MAX].submitted, 3);
    assert_eq!(f.points(MINUTES, MINUTES)[0].waiting, SERIES_MAX as u64 + 4);
    let ended = f.submit(queued_in("a", &format!("q{}", SERIES_MAX + 1)));
    f.cancel(ended, Duration::ZERO).unwrap();
    assert_eq!(f.totals()[SERIES_MAX].ended_jobs(JobState::Cancelled), 1);
}

#[test]
fn the_series_of_many_pairs_is_only_for_callers_that_may_list_all_jobs() {
    let mut f = Fixture::new();
    for number in 0..SERIES_MAX + 3 {
        f.submit(queued_in("a", &format!("q{number}")));
    }
    let window = StatsWindow::new(MINUTES, MINUTES);
    let filter = StatsFilter { window, queue: None, kind: None };
    for (grant, expected) in [
        ("list", SERIES_MAX as u64 + 3),
        ("list queue=_*", 0),
        ("list kind=*r", 0),
        ("list queue=*9 kind=a", 20),
    ] {
        let grants = Grants::parse([grant]).expect("a grant");
        let caller = Principal::new("caller", Method::Token, grants, None).expect("a name");
        let points = f.run(|core, now, _| {
            let mut points = core.stats_points(now, &window);
            core.add_stats(now, &filter, Some(&caller), (0, usize::MAX - 1), &mut points);
            points
        });
        assert_eq!(points[0].submitted, expected, "{grant}");
    }
}

#[test]
fn pairs_without_jobs_have_no_series_after_a_restart() {
    let mut f = Fixture::new();
    for number in 0..=SERIES_MAX {
        let mut short = queued_in("a", &format!("q{number}"));
        short.options_mut().retention = Some(Duration::ZERO);
        let id = f.submit(short);
        f.cancel(id, Duration::ZERO).unwrap();
        f.advance(seconds(1));
    }
    f.submit(queued_in("a", "last"));
    let mut again = Core::new(CoreOptions::default(), [9; 32]);
    f.records.iter().for_each(|record| again.replay(record.clone()));
    again.resume(f.now, Duration::ZERO, &mut Effects::default());
    let totals = again.totals(0, usize::MAX);
    assert_eq!(totals.iter().map(|series| &*series.queue).collect::<Vec<_>>(), ["last"]);
    let window = StatsWindow::new(MINUTES, MINUTES);
    let mut points = again.stats_points(f.now, &window);
    let filter = StatsFilter { window, queue: None, kind: None };
    again.add_stats(f.now, &filter, None, (0, SERIES_MAX), &mut points);
    assert_eq!((points[0].waiting, points[0].submitted), (1, 0));
}

#[test]
fn jobs_from_before_a_restart_are_shown_in_every_step_after_it() {
    let mut f = Fixture::new();
    f.submit(job("a"));
    f.advance(24 * 60 * MINUTES);
    let mut again = Core::new(CoreOptions::default(), [9; 32]);
    f.records.iter().for_each(|record| again.replay(record.clone()));
    again.resume(f.now, Duration::ZERO, &mut Effects::default());
    f.advance(20 * MINUTES);
    for (range, step) in [(30 * MINUTES, MINUTES), (60 * MINUTES, 5 * MINUTES)] {
        let window = StatsWindow::new(range, step);
        let mut points = again.stats_points(f.now, &window);
        let filter = StatsFilter { window, queue: None, kind: None };
        again.add_stats(f.now, &filter, None, (0, SERIES_MAX), &mut points);
        let after = points.len() - (20 * MINUTES).div_duration_f64(step) as usize - 1;
        let waiting: Vec<_> = points.iter().map(|point| point.waiting).collect();
        assert!(waiting[..after].iter().all(|jobs| *jobs == 0), "{waiting:?}");
        assert!(waiting[after..].iter().all(|jobs| *jobs == 1), "{waiting:?}");
    }
}

#[test]
fn the_memory_of_statistics_is_bounded() {
    let mut f = Fixture::new();
    let used = |f: &Fixture| {
        let memory = f.core.memory();
        memory.into_iter().find(|memory| memory.category == "statistics").unwrap()
    };
    for step in 0..26 * 12 + 200 {
        for number in 0..3 {
            let mut short = queued_in("a", &format!("q{number}"));
            short.options_mut().retention = Some(Duration::ZERO);
            let id = f.submit(short);
            f.cancel(id, Duration::ZERO).unwrap();
        }
        f.advance(seconds(if step < 26 * 12 { 300 } else { 10 }));
    }
    let memory = used(&f);
    assert!(memory.used_bytes > 0 && memory.used_bytes <= memory.limit_bytes * 3 / SERIES_MAX as u64);
}

#[test]
fn repeated_submits_are_counted_also_after_the_removal() {
    let mut f = Fixture::new();
    let spec = with("a", |options| options.retention = Some(Duration::ZERO));
    let id = f.submit(spec.clone());
    f.submit_as(id, spec.clone()).unwrap();
    f.submit_as(id, NewJob { priority: 9, ..spec.clone() }).unwrap_err();
    assert_eq!((f.totals()[0].submitted, f.totals()[0].deduplicated), (1, 1));
    f.cancel(id, Duration::ZERO).unwrap();
    f.tick();
    assert_eq!(f.core.job_count(), 0);
    f.submit_as(id, spec.clone()).unwrap();
    f.run(|core, _, _| core.check_submit(Some(id), &spec)).unwrap();
    let [totals] = &f.totals()[..] else { panic!("one series") };
    assert_eq!((totals.submitted, totals.deduplicated), (1, 2));
}

#[test]
fn the_sizes_of_payloads_are_counted_by_direction() {
    let mut f = Fixture::new();
    let id = f.submit(NewJob { payload: Payload::data(vec![7; 300]), ..job("a") });
    f.submit_as(id, job("a")).unwrap_err();
    f.open(&["a"], 1);
    f.report(id, output("five!"));
    f.report(id, log("a line"));
    f.end(id, success());
    let sizes = f.core.payload_sizes();
    let of = [sizes.input, sizes.result, sizes.event]
        .map(|sizes| sizes.read())
        .map(|sizes| (sizes.count(), sizes.sum()));
    assert_eq!(of, [(1, 300.0), (1, 4.0), (2, 11.0)]);
}
