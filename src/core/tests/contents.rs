//! Eviction of the contents of finished jobs, and loading them from the log.

use std::num::NonZeroU64;

use super::fixture::*;
use crate::core::{Contents, Core, CoreOptions, Effects, JobKey, LogPosition, Record, Sample};
use crate::error::ErrorKind;
use crate::job::{
    AttemptEnd, EventTypes, Failure, FailureReason, JobFilter, JobId, JobView, NewJob, Outcome, Payload,
    QueueName,
};

/// A core with the log of its records. Each command appends one entry.
struct Logged {
    f: Fixture,
    log: Vec<Vec<Record>>,
}

impl Logged {
    fn with(retention_memory_bytes_max: u64) -> Self {
        let f = Fixture::with(CoreOptions { retention_memory_bytes_max, ..CoreOptions::default() });
        let mut logged = Self { f, log: Vec::new() };
        logged.write(|f| f.open(&["a"], 1));
        logged
    }

    /// Runs commands and appends their records as one entry.
    fn write<T>(&mut self, command: impl FnOnce(&mut Fixture) -> T) -> T {
        self.f.core.set_log_entry(NonZeroU64::new(self.log.len() as u64 + 1).unwrap());
        let answer = command(&mut self.f);
        self.f.run(|core, _, effects| core.evict_excess(effects));
        self.log.push(std::mem::take(&mut self.f.records));
        answer
    }

    /// Runs a job with output, a failed attempt and a result.
    fn run_job(&mut self, pauses: usize) -> JobId {
        let id = self.write(|f| f.submit(NewJob { payload: text("payload"), ..retried("a", 2) }));
        self.write(|f| f.report(id, output("output of the first")));
        self.write(|f| f.end(id, failed("first")));
        (0..pauses).for_each(|_| self.write(|f| f.advance(seconds(1))));
        self.write(|f| f.advance(seconds(1)));
        self.write(|f| f.report(id, log("log line of the second")));
        self.write(|f| f.end(id, AttemptEnd::Success(text("result"))));
        id
    }

    fn read<T>(&self, id: JobId, read: impl FnOnce(&Core, JobKey, Option<&Contents>) -> T) -> T {
        let place = self.place(id).expect("its contents are evicted");
        let records = place.entries().flat_map(|entry| &self.log[entry as usize - 1]);
        let of_job = records.filter(|record| record.job() == Some(id)).cloned();
        let contents = Contents::of(&place, of_job).expect("the log has all contents");
        let key = self.f.core.job_at(&place).expect("the job exists");
        read(&self.f.core, key, Some(&contents))
    }

    fn place(&self, id: JobId) -> Option<LogPosition> {
        self.f.core.log_position(self.f.key(id))
    }

    fn all(core: &Core, key: JobKey, contents: Option<&Contents>) -> (JobView, Vec<crate::job::WatchItem>) {
        let mut items = Vec::new();
        core.read_events(key, contents, 0, EventTypes::ALL, usize::MAX, &mut items);
        (core.view(key, contents), items)
    }
}

fn text(content: &str) -> Payload {
    Payload::text(content.repeat(50)).with_content_type("text/x-test")
}

fn failed(message: &str) -> AttemptEnd {
    let details = Some(text("details"));
    AttemptEnd::Failure(Failure { details, ..Failure::new(FailureReason::Handler, message) }, None)
}

#[test]
fn evicted_contents_are_loaded_and_the_rest_is_resident() {
    for max in [u64::MAX, 0] {
        let mut logged = Logged::with(max);
        let id = logged.run_job(0);
        let failing = logged.write(|f| f.submit(NewJob { payload: text("payload"), ..job("a") }));
        logged.write(|f| f.end(failing, failed("at last")));
        let own = |logged: &Logged, id| Logged::all(&logged.f.core, logged.f.key(id), None);
        let (resident, resident_failing) = (own(&logged, id), own(&logged, failing));
        if max > 0 {
            assert_eq!(logged.place(id), None, "below the memory limit");
            logged.f.core.options.retention_memory_bytes_max = 0;
            logged.write(|_| ());
            assert_eq!(
                (logged.read(id, Logged::all), logged.read(failing, Logged::all)),
                (resident, resident_failing)
            );
            continue;
        }
        let (view, _) = own(&logged, id);
        assert!(view.spec.payload.is_empty() && view.spec.payload.content_type() == "text/x-test");
        let Some(Outcome::Result(result)) = &view.outcome else { panic!("{view:?}") };
        assert!(result.is_empty() && result.content_type() == "text/x-test");
        let failure = view.attempts[0].failure.clone().unwrap();
        assert_eq!((&*failure.message, &failure.details), ("first", &None));
        assert_ne!(logged.read(id, Logged::all), resident);
        // After another load the contents are evicted again.
        let again = logged.read(id, |core, key, contents| core.view(key, contents));
        assert_eq!(
            (again.spec.payload, again.outcome),
            (text("payload"), Some(Outcome::Result(text("result"))))
        );
        assert_eq!(logged.f.view(id), view);
        let Some(Outcome::Failure(failure)) = logged.f.view(failing).outcome else { panic!("it failed") };
        assert_eq!(failure.details, None);
    }
}

#[test]
fn the_earliest_ended_jobs_are_evicted_first_and_small_jobs_never() {
    let mut logged = Logged::with(2_200);
    let ids: Vec<_> = (0..10)
        .map(|_| {
            let id = logged.write(|f| f.submit(sized("a", 500)));
            logged.write(|f| f.end(id, success()));
            id
        })
        .collect();
    let is_evicted: Vec<_> = ids.iter().map(|id| logged.place(*id).is_some()).collect();
    assert_eq!(is_evicted, [true, true, true, true, true, true, false, false, false, false]);
    logged.f.core.options.retention_memory_bytes_max = 0;
    let small = logged.write(|f| f.submit(sized("a", 20)));
    logged.write(|f| f.end(small, success()));
    assert_eq!((logged.place(small), logged.f.core.finished.evictable_bytes), (None, 0));
}

#[test]
fn a_job_whose_entries_are_far_apart_gets_a_new_snapshot() {
    for (pauses, is_written) in [(0, false), (20, true)] {
        let mut logged = Logged::with(u64::MAX);
        let id = logged.run_job(pauses);
        let before = Logged::all(&logged.f.core, logged.f.key(id), None);
        logged.f.core.options.retention_memory_bytes_max = 0;
        logged.write(|_| ());
        let image = logged.log.last().unwrap();
        assert_eq!(image.iter().any(|record| matches!(record, Record::Accepted(_))), is_written);
        let entries = logged.place(id).unwrap().entries().count();
        assert_eq!(entries == 1, is_written);
        assert_eq!(logged.read(id, Logged::all), before);
    }
    // A job with only a payload and a result is loaded from two entries at any distance.
    let mut logged = Logged::with(0);
    let id = logged.write(|f| f.submit(sized("a", 500)));
    (0..20).for_each(|_| logged.write(|f| f.advance(seconds(1))));
    logged.write(|f| f.end(id, success()));
    assert_eq!(logged.place(id).unwrap().entries().collect::<Vec<_>>(), [2, 23]);
    assert_eq!(logged.read(id, |core, key, contents| core.view(key, contents).spec.payload.bytes.len()), 500);
}

#[test]
fn output_dropped_from_the_ring_is_not_loaded_again() {
    let mut logged = Logged::with(u64::MAX);
    logged.f.core.options.event_ring_bytes_max = 500;
    let id = logged.write(|f| f.submit(job("a")));
    for number in 0..8 {
        logged.write(|f| f.report(id, output(&format!("{number}").repeat(100))));
    }
    logged.write(|f| f.end(id, success()));
    let before = Logged::all(&logged.f.core, logged.f.key(id), None);
    logged.f.core.options.retention_memory_bytes_max = 0;
    logged.write(|_| ());
    assert!(logged.place(id).unwrap().entries().count() > 8, "it is loaded from its original entries");
    assert_eq!(logged.read(id, Logged::all), before);
}

#[test]
fn a_repeated_submit_is_compared_without_loading_the_payload() {
    let mut logged = Logged::with(0);
    let spec = NewJob { payload: text("payload"), ..job("a") };
    logged.write(|f| f.submit_as(id(7), spec.clone())).unwrap();
    logged.write(|f| f.end(id(7), success()));
    assert!(logged.place(id(7)).is_some());
    assert!(logged.write(|f| f.submit_as(id(7), spec.clone())).unwrap().existing);
    let others = [text("Payload"), Payload::text("payload".repeat(50)), Payload::default()];
    for payload in others {
        let error = logged.write(|f| f.submit_as(id(7), NewJob { payload, ..spec.clone() })).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::JobIdReused(id(7)));
    }
}

#[test]
fn the_counted_bytes_of_a_job_do_not_change_on_eviction() {
    let count = |max| {
        let mut logged = Logged::with(max);
        let id = logged.run_job(0);
        let core = &logged.f.core;
        let entry = &core.table[logged.f.key(id)];
        let listed = (entry.listed_bytes(true), entry.listed_bytes(false));
        let counted = (core.finished.bytes, entry.weight(), listed);
        logged.write(|f| f.run(|core, now, effects| core.delete(now, id, effects)).unwrap());
        assert_eq!((logged.f.core.finished.bytes, logged.f.core.finished.evictable_bytes), (0, 0));
        counted
    };
    assert_eq!(count(0), count(u64::MAX));
}

#[test]
fn records_of_a_command_that_span_entries_are_loaded() {
    let mut logged = Logged::with(u64::MAX);
    let id = logged.write(|f| f.submit(sized("a", 500)));
    logged.write(|f| f.end(id, success()));
    // The acceptance is in the second of two entries, and the end in the second of the next two.
    let parts: Vec<_> = logged.log.iter().flat_map(|records| [Vec::new(), records.clone()]).collect();
    for (index, records) in parts.iter().enumerate() {
        logged.f.core.set_written(records, NonZeroU64::new(index as u64 + 1).unwrap());
    }
    logged.log = parts;
    logged.f.core.options.retention_memory_bytes_max = 0;
    logged.write(|_| ());
    assert_eq!(logged.place(id).unwrap().entries().collect::<Vec<_>>(), [4, 6]);
    assert_eq!(logged.read(id, |core, key, contents| core.view(key, contents).spec.payload.bytes.len()), 500);
}

#[test]
fn a_list_without_payloads_loads_no_contents() {
    let mut logged = Logged::with(0);
    let id = logged.run_job(0);
    let filter =
        JobFilter { queue: Some(QueueName::parse("queue", "default").unwrap()), ..JobFilter::default() };
    let mut bounds = crate::core::ListBounds {
        jobs: 10,
        bytes: usize::MAX,
        with_payloads: false,
        scanned: 10,
        begins_page: true,
    };
    let page = logged.f.core.list(&filter, None, u64::MAX, bounds);
    assert_eq!((page.jobs.len(), page.evicted.len()), (1, 0));
    bounds.with_payloads = true;
    let page = logged.f.core.list(&filter, None, u64::MAX, bounds);
    assert_eq!(page.evicted.iter().map(|place| place.id).collect::<Vec<_>>(), [id]);
}

#[test]
fn contents_of_an_earlier_job_with_the_same_id_are_not_used() {
    let mut logged = Logged::with(0);
    let big = |letter: &str| NewJob { payload: Payload::text(letter.repeat(300)), ..job("a") };
    logged.write(|f| f.submit_as(id(7), big("x"))).unwrap();
    logged.write(|f| f.end(id(7), success()));
    let place = logged.place(id(7)).unwrap();
    logged.write(|f| f.run(|core, now, effects| core.delete(now, id(7), effects))).unwrap();
    // The state after the idempotency window.
    logged.f.core.finished.chosen.remove(id(7));
    logged.write(|f| f.submit_as(id(7), big("y"))).unwrap();
    let records = logged.log.iter().flatten().filter(|record| record.job() == Some(id(7))).cloned();
    assert!(Contents::of(&place, records).is_some());
    assert_eq!(logged.f.core.job_at(&place), None);
    let missing = Contents::of(&place, logged.log[1].iter().cloned());
    assert!(missing.is_none(), "the end record is missing");
}

/// Estimates from a sample the live bytes before each of these entries.
fn live_log_bytes_before(core: &Core, entries: &[u64]) -> Vec<u64> {
    let mut needed = vec![0; entries.len()];
    for part in Sample::of(core.job_count()) {
        needed.iter_mut().zip(core.live_log_bytes_before(entries, part)).for_each(|(sum, part)| *sum += part);
    }
    needed
}

#[test]
fn live_bytes_are_exact_for_few_jobs_and_sampled_for_many() {
    for (jobs, error_percent) in [(600, 0), (60_000, 2)] {
        let (mut core, now) = (Core::new(CoreOptions::default(), [1; 32]), Fixture::new().now);
        // Large and small jobs alternate, in three entries of equal size.
        for number in 0..jobs {
            core.set_log_entry(NonZeroU64::new(1 + 3 * u64::from(number) / u64::from(jobs)).unwrap());
            let payload = Payload::text("x".repeat(if number % 2 == 0 { 10 } else { 500 }));
            let id = id(number);
            core.submit(now, id, NewJob { payload, ..job("b") }, &mut Effects::default()).unwrap();
        }
        let sum: u64 = core.table.order.from(0).map(|key| core.table[key].snapshot_bytes()).sum();
        let estimate = live_log_bytes_before(&core, &[1, 2, 3, 4, 5]);
        for (estimate, third) in estimate.into_iter().zip([0, 1, 2, 3, 3]) {
            let expected = sum * third / 3;
            assert!(
                estimate.abs_diff(expected) * 100 <= expected * error_percent,
                "{estimate} of {expected}"
            );
        }
    }
}
