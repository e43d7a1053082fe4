//! Contents of finished jobs that are dropped from memory and read back from the records.

use std::num::NonZeroU64;

use super::fixture::*;
use crate::core::{Contents, Core, CoreOptions, Effects, JobKey, LogPlace, Record, Sample};
use crate::error::ErrorKind;
use crate::job::{
    AttemptEnd, EventTypes, Failure, FailureReason, JobFilter, JobId, JobView, NewJob, Outcome, Payload,
    QueueName,
};

/// A core whose records are kept, an entry a command.
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

    /// What is done in one entry.
    fn write<T>(&mut self, command: impl FnOnce(&mut Fixture) -> T) -> T {
        self.f.core.write_to(NonZeroU64::new(self.log.len() as u64 + 1).unwrap());
        let answer = command(&mut self.f);
        self.f.run(|core, _, effects| core.cool(effects));
        self.log.push(std::mem::take(&mut self.f.records));
        answer
    }

    /// A job that was run, with output, a failed attempt and a result.
    fn whole(&mut self, pauses: usize) -> JobId {
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
        let place = self.place(id).expect("it is cold");
        let records = place.entries().flat_map(|entry| &self.log[entry as usize - 1]);
        let of_job = records.filter(|record| record.job() == Some(id)).cloned();
        let contents = Contents::of(&place, of_job).expect("all of it is there");
        let key = self.f.core.job_at(&place).expect("it is there");
        read(&self.f.core, key, Some(&contents))
    }

    fn place(&self, id: JobId) -> Option<LogPlace> {
        self.f.core.place(self.f.key(id))
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
fn what_is_dropped_comes_back_and_the_rest_stays() {
    for max in [u64::MAX, 0] {
        let mut logged = Logged::with(max);
        let id = logged.whole(0);
        let failing = logged.write(|f| f.submit(NewJob { payload: text("payload"), ..job("a") }));
        logged.write(|f| f.end(failing, failed("at last")));
        let own = |logged: &Logged, id| Logged::all(&logged.f.core, logged.f.key(id), None);
        let (warm, warm_failing) = (own(&logged, id), own(&logged, failing));
        if max > 0 {
            assert_eq!(logged.place(id), None, "there is room");
            logged.f.core.options.retention_memory_bytes_max = 0;
            logged.write(|_| ());
            assert_eq!(
                (logged.read(id, Logged::all), logged.read(failing, Logged::all)),
                (warm, warm_failing)
            );
            continue;
        }
        let (view, _) = own(&logged, id);
        assert!(view.spec.payload.is_empty() && view.spec.payload.content_type() == "text/x-test");
        let Some(Outcome::Result(result)) = &view.outcome else { panic!("{view:?}") };
        assert!(result.is_empty() && result.content_type() == "text/x-test");
        let failure = view.attempts[0].failure.clone().unwrap();
        assert_eq!((&*failure.message, &failure.details), ("first", &None));
        assert_ne!(logged.read(id, Logged::all), warm);
        // Read once more, and dropped as before.
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
fn the_oldest_end_is_dropped_first_and_small_jobs_never() {
    let mut logged = Logged::with(2_200);
    let ids: Vec<_> = (0..10)
        .map(|_| {
            let id = logged.write(|f| f.submit(sized("a", 500)));
            logged.write(|f| f.end(id, success()));
            id
        })
        .collect();
    let is_cold: Vec<_> = ids.iter().map(|id| logged.place(*id).is_some()).collect();
    assert_eq!(is_cold, [true, true, true, true, true, true, false, false, false, false]);
    logged.f.core.options.retention_memory_bytes_max = 0;
    let small = logged.write(|f| f.submit(sized("a", 20)));
    logged.write(|f| f.end(small, success()));
    assert_eq!((logged.place(small), logged.f.core.finished.evictable_bytes), (None, 0));
}

#[test]
fn a_job_whose_entries_are_far_apart_is_written_again() {
    for (pauses, is_written) in [(0, false), (20, true)] {
        let mut logged = Logged::with(u64::MAX);
        let id = logged.whole(pauses);
        let before = Logged::all(&logged.f.core, logged.f.key(id), None);
        logged.f.core.options.retention_memory_bytes_max = 0;
        logged.write(|_| ());
        let image = logged.log.last().unwrap();
        assert_eq!(image.iter().any(|record| matches!(record, Record::Accepted(_))), is_written);
        let entries = logged.place(id).unwrap().entries().count();
        assert_eq!(entries == 1, is_written);
        assert_eq!(logged.read(id, Logged::all), before);
    }
    // Only payload and result: from two entries, however far apart.
    let mut logged = Logged::with(0);
    let id = logged.write(|f| f.submit(sized("a", 500)));
    (0..20).for_each(|_| logged.write(|f| f.advance(seconds(1))));
    logged.write(|f| f.end(id, success()));
    assert_eq!(logged.place(id).unwrap().entries().collect::<Vec<_>>(), [2, 23]);
    assert_eq!(logged.read(id, |core, key, contents| core.view(key, contents).spec.payload.bytes.len()), 500);
}

#[test]
fn output_that_fell_out_before_stays_out() {
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
    assert!(logged.place(id).unwrap().entries().count() > 8, "it is read from its own entries");
    assert_eq!(logged.read(id, Logged::all), before);
}

#[test]
fn a_known_id_is_compared_without_the_payload() {
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
fn what_a_job_counts_is_the_same_without_its_contents() {
    let count = |max| {
        let mut logged = Logged::with(max);
        let id = logged.whole(0);
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
fn records_of_one_command_in_more_entries_are_read_from_where_they_are() {
    let mut logged = Logged::with(u64::MAX);
    let id = logged.write(|f| f.submit(sized("a", 500)));
    logged.write(|f| f.end(id, success()));
    // The acceptance was the second of two entries, and the end the second of two others.
    let parts: Vec<_> = logged.log.iter().flat_map(|records| [Vec::new(), records.clone()]).collect();
    for (index, records) in parts.iter().enumerate() {
        logged.f.core.were_written(records, NonZeroU64::new(index as u64 + 1).unwrap());
    }
    logged.log = parts;
    logged.f.core.options.retention_memory_bytes_max = 0;
    logged.write(|_| ());
    assert_eq!(logged.place(id).unwrap().entries().collect::<Vec<_>>(), [4, 6]);
    assert_eq!(logged.read(id, |core, key, contents| core.view(key, contents).spec.payload.bytes.len()), 500);
}

#[test]
fn a_list_without_payloads_needs_no_contents() {
    let mut logged = Logged::with(0);
    let id = logged.whole(0);
    let filter =
        JobFilter { queue: Some(QueueName::parse("queue", "default").unwrap()), ..JobFilter::default() };
    let mut bounds = crate::core::ListBounds {
        jobs: 10,
        bytes: usize::MAX,
        with_payloads: false,
        looks: 10,
        begins_page: true,
    };
    let page = logged.f.core.list(&filter, u64::MAX, bounds);
    assert_eq!((page.jobs.len(), page.cold.len()), (1, 0));
    bounds.with_payloads = true;
    let page = logged.f.core.list(&filter, u64::MAX, bounds);
    assert_eq!(page.cold.iter().map(|place| place.id).collect::<Vec<_>>(), [id]);
}

#[test]
fn contents_of_another_job_with_the_same_id_are_not_taken() {
    let mut logged = Logged::with(0);
    let big = |letter: &str| NewJob { payload: Payload::text(letter.repeat(300)), ..job("a") };
    logged.write(|f| f.submit_as(id(7), big("x"))).unwrap();
    logged.write(|f| f.end(id(7), success()));
    let place = logged.place(id(7)).unwrap();
    logged.write(|f| f.run(|core, now, effects| core.delete(now, id(7), effects))).unwrap();
    // As after the idempotency window.
    logged.f.core.finished.chosen.forget(id(7));
    logged.write(|f| f.submit_as(id(7), big("y"))).unwrap();
    let records = logged.log.iter().flatten().filter(|record| record.job() == Some(id(7))).cloned();
    assert!(Contents::of(&place, records).is_some());
    assert_eq!(logged.f.core.job_at(&place), None);
    let missing = Contents::of(&place, logged.log[1].iter().cloned());
    assert!(missing.is_none(), "the end is not there");
}

/// What a sample tells of the bytes that the log is needed for before these entries.
fn needed_before(core: &Core, entries: &[u64]) -> Vec<u64> {
    let mut needed = vec![0; entries.len()];
    for part in Sample::of(core.job_count()) {
        needed.iter_mut().zip(core.needed_before(entries, part)).for_each(|(sum, part)| *sum += part);
    }
    needed
}

#[test]
fn a_few_jobs_are_all_looked_at_and_many_are_judged_by_some() {
    for (jobs, error_percent) in [(600, 0), (60_000, 2)] {
        let (mut core, now) = (Core::new(CoreOptions::default(), [1; 32]), Fixture::new().now);
        // A large one beside a small one, in three entries with as many of each.
        for number in 0..jobs {
            core.write_to(NonZeroU64::new(1 + 3 * u64::from(number) / u64::from(jobs)).unwrap());
            let payload = Payload::text("x".repeat(if number % 2 == 0 { 10 } else { 500 }));
            let id = id(number);
            core.submit(now, id, NewJob { payload, ..job("b") }, &mut Effects::default()).unwrap();
        }
        let sum: u64 = core.table.accepted_from(0).map(|key| core.table[key].image_bytes()).sum();
        let told = needed_before(&core, &[1, 2, 3, 4, 5]);
        for (told, third) in told.into_iter().zip([0, 1, 2, 3, 3]) {
            let expected = sum * third / 3;
            assert!(told.abs_diff(expected) * 100 <= expected * error_percent, "{told} of {expected}");
        }
    }
}
