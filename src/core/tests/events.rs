//! The event stream of a job: numbering, replay, gaps and filters.

use super::fixture::*;
use crate::core::CoreOptions;
use crate::error::ErrorKind;
use crate::job::{EventBody, EventTypes, JobId, JobState, Payload, WatchItem};

/// Options with a ring buffer for two short items.
fn small_ring() -> CoreOptions {
    CoreOptions { event_ring_bytes_max: 200, ..CoreOptions::default() }
}

fn running(options: CoreOptions) -> (Fixture, JobId) {
    let mut f = Fixture::with(options);
    f.open(&["a"], 1);
    let id = f.submit(retried("a", 3));
    (f, id)
}

/// Maps events to their sequences and gaps to their bounds.
fn outline(items: &[WatchItem]) -> Vec<(u32, u32)> {
    items
        .iter()
        .map(|item| match item {
            WatchItem::Event(event) => (event.sequence, event.sequence),
            WatchItem::Gap { first, last } => (*first, *last),
        })
        .collect()
}

fn numbers(sequences: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
    sequences.into_iter().map(|sequence| (sequence, sequence)).collect()
}

#[test]
fn events_are_numbered_densely_from_one() {
    let (mut f, id) = running(CoreOptions::default());
    f.report(id, output("one"));
    f.report(id, log("two"));
    f.end(id, failure("x"));
    f.advance(seconds(1));
    f.report(id, progress(0.5));
    f.cancel(id, GRACE).unwrap();
    f.end(id, success());
    let events = f.events(id);
    assert!((1..).zip(&events).all(|(sequence, event)| event.sequence == sequence));
    assert_eq!((events.len(), f.view(id).sequence), (10, 10));
    let attempts: Vec<_> = events.iter().map(|event| event.attempt).collect();
    assert_eq!(attempts, [0, 1, 1, 1, 1, 1, 2, 2, 2, 2]);
}

#[test]
fn a_watch_opened_before_during_or_after_the_run_reads_the_same() {
    let (mut f, id) = running(CoreOptions::default());
    let (mut live, mut cursor) = (Vec::new(), 0);
    let mut follow = |f: &Fixture| {
        cursor = f.core.read_events(f.key(id), None, cursor, EventTypes::ALL, usize::MAX, &mut live);
    };
    follow(&f);
    for step in 0..3 {
        f.report(id, output("chunk"));
        follow(&f);
        f.end(id, if step < 2 { failure("x") } else { success() });
        follow(&f);
        f.advance(seconds(10));
        follow(&f);
    }
    let after = f.watch(id, 0, EventTypes::ALL);
    assert_eq!(live, after);
    for cursor in 0..=after.len() as u32 + 2 {
        let rest = after.get(cursor as usize..).unwrap_or_default();
        assert_eq!(f.watch(id, cursor, EventTypes::ALL), rest);
    }
}

#[test]
fn a_watch_read_in_pages_equals_one_read_at_once() {
    let (mut f, id) = running(small_ring());
    for number in 0..5 {
        f.report(id, log("line"));
        f.report(id, progress(f64::from(number)));
    }
    f.end(id, success());
    let whole = f.watch(id, 0, EventTypes::ALL);
    for limit in 1..=whole.len() {
        let (mut items, mut cursor) = (Vec::new(), 0);
        while cursor < f.view(id).sequence {
            let mut piece = Vec::new();
            cursor = f.core.read_events(f.key(id), None, cursor, EventTypes::ALL, limit, &mut piece);
            assert!(!piece.is_empty() && piece.len() <= limit);
            items.extend(piece);
        }
        assert_eq!(items, whole);
    }
}

#[test]
fn a_cursor_beyond_the_end_reads_nothing() {
    let (mut f, id) = running(small_ring());
    (0..5).for_each(|_| f.report(id, log("line")));
    for cursor in [8, u32::MAX - 1, u32::MAX] {
        assert_eq!(f.watch(id, cursor, EventTypes::ALL), []);
    }
}

#[test]
fn only_the_newest_progress_is_retained_without_a_gap() {
    let (mut f, id) = running(CoreOptions::default());
    for done in 1..=3 {
        f.report(id, progress(f64::from(done)));
    }
    f.end(id, success());
    assert_eq!(outline(&f.watch(id, 0, EventTypes::ALL)), numbers([1, 2, 5, 6]));
}

#[test]
fn dropped_output_and_logs_are_reported_as_one_gap() {
    let (mut f, id) = running(small_ring());
    for text in ["3", "4", "5", "6"] {
        f.report(id, output(text));
    }
    assert_eq!(outline(&f.watch(id, 0, EventTypes::ALL)), [(1, 1), (2, 2), (3, 4), (5, 5), (6, 6)]);
    assert_eq!(outline(&f.watch(id, 3, EventTypes::ALL)), [(4, 4), (5, 5), (6, 6)]);
    assert_eq!(outline(&f.watch(id, 4, EventTypes::ALL)), numbers([5, 6]));
    let only_logs = EventTypes { log: true, ..EventTypes::NONE };
    assert_eq!(outline(&f.watch(id, 0, only_logs)), [(3, 4)]);
    assert_eq!(f.watch(id, 0, EventTypes::NONE), []);
}

#[test]
fn a_gap_is_reported_only_for_dropped_events() {
    let (mut f, id) = running(small_ring());
    f.report(id, progress(1.0));
    f.cancel(id, GRACE).unwrap();
    f.report(id, progress(2.0));
    for text in ["6", "7", "8"] {
        f.report(id, log(text));
    }
    f.report(id, progress(3.0));
    // Sequences 3 and 5 were progress, 6 was dropped.
    let items = f.watch(id, 0, EventTypes::ALL);
    assert_eq!(items[3], WatchItem::Gap { first: 6, last: 6 });
    assert_eq!(outline(&items), numbers([1, 2, 4, 6, 7, 8, 9]));
}

#[test]
fn dropped_output_of_each_attempt_is_a_gap_of_its_own() {
    let (mut f, id) = running(small_ring());
    (0..2).for_each(|_| f.report(id, output("x")));
    f.end(id, failure("x"));
    f.advance(seconds(1));
    (0..3).for_each(|_| f.report(id, output("x")));
    assert_eq!(
        outline(&f.watch(id, 0, EventTypes::ALL)),
        [(1, 1), (2, 2), (3, 4), (5, 5), (6, 6), (7, 7), (8, 8), (9, 9), (10, 10)]
    );
    assert!(matches!(f.watch(id, 7, EventTypes::ALL)[0], WatchItem::Gap { first: 8, last: 8 }));
}

#[test]
fn the_newest_item_is_retained_at_any_size() {
    let (mut f, id) = running(small_ring());
    f.report(id, log("small"));
    f.report(id, output(&"x".repeat(1000)));
    assert_eq!(outline(&f.watch(id, 2, EventTypes::ALL)), numbers([3, 4]));
    assert!(matches!(f.watch(id, 2, EventTypes::ALL)[0], WatchItem::Gap { .. }));
}

#[test]
fn filters_select_types_and_the_final_event_is_always_sent() {
    let (mut f, id) = running(CoreOptions::default());
    f.report(id, output("3"));
    f.report(id, log("4"));
    f.report(id, progress(5.0));
    f.end(id, success());
    let none = EventTypes::NONE;
    let cases = [
        (EventTypes::ALL, vec![1, 2, 3, 4, 5, 6]),
        (none, vec![6]),
        (EventTypes { state_change: true, ..none }, vec![1, 2, 6]),
        (EventTypes { output: true, ..none }, vec![3, 6]),
        (EventTypes { log: true, ..none }, vec![4, 6]),
        (EventTypes { progress: true, ..none }, vec![5, 6]),
    ];
    for (types, expected) in cases {
        assert_eq!(outline(&f.watch(id, 0, types)), numbers(expected), "{types:?}");
    }
}

#[test]
fn only_the_final_state_event_has_the_outcome() {
    let (mut f, id) = running(CoreOptions::default());
    f.end(id, success());
    let outcomes: Vec<_> = f
        .events(id)
        .into_iter()
        .map(|event| match event.body {
            EventBody::State(change) => change.outcome,
            body => panic!("{body:?}"),
        })
        .collect();
    assert_eq!(outcomes, [None, None, f.view(id).outcome]);
}

#[test]
fn an_output_above_the_limit_is_rejected_without_effect() {
    let (mut f, id) = running(CoreOptions { payload_bytes_max: 3, ..CoreOptions::default() });
    let (session, lease) = f.lease(id);
    let report = output("1234");
    let refused = f.run(|core, now, effects| core.report(now, session, lease, report, effects));
    assert!(matches!(refused.unwrap_err().kind(), ErrorKind::PayloadTooLarge { size: 4, limit: 3, .. }));
    assert_eq!(f.view(id).sequence, 2);
}

#[test]
fn the_view_shows_the_newest_progress_of_the_newest_attempt() {
    let (mut f, id) = running(CoreOptions::default());
    f.report(id, progress(1.0));
    f.report(id, progress(2.0));
    let done = |f: &Fixture| f.view(id).progress.and_then(|progress| progress.done);
    assert_eq!(done(&f), Some(2.0));
    f.end(id, failure("x"));
    f.advance(seconds(1));
    assert_eq!((f.state(id), done(&f)), (JobState::Running, None));
}

#[test]
fn observers_are_woken_by_every_event_until_the_final_one() {
    let (mut f, id) = running(CoreOptions::default());
    let key = f.key(id);
    f.core.set_observer(key, 7, false);
    f.report(id, log("x"));
    f.end(id, crate::job::AttemptEnd::Success(Payload::default()));
    assert_eq!(f.woken, [7, 7]);
    f.run(|core, now, effects| core.delete(now, id, effects)).unwrap();
    assert_eq!(f.woken, [7, 7]);
    let mut unobserved = running(CoreOptions::default()).0;
    unobserved.submit(job("a"));
    assert!(unobserved.woken.is_empty());
}
