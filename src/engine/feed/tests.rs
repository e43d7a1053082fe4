//! The feed on a manual clock: order, gaps, bounds, the end of the recording, and paced wake-ups.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;

use super::LINGER;
use crate::clock::Clock;
use crate::engine::{Engine, EngineOptions, FeedItem, Subscription};
use crate::error::ErrorKind;
use crate::job::{ChangeFilter, FeedCursor, JobId, JobState, Kind, NewJob, Payload, StateSet};

fn engine(feed_bytes: u64) -> (Engine, Clock) {
    let clock = Clock::manual();
    let options = EngineOptions { feed_bytes, ..EngineOptions::default() };
    (Engine::new(options, clock.clone()), clock)
}

fn subscribe(engine: &Engine, after: Option<FeedCursor>) -> Subscription {
    engine.watch_jobs(ChangeFilter::default(), after).unwrap()
}

fn submit(engine: &Engine, kind: &str) -> JobId {
    let job = NewJob::new(Kind::parse("kind", kind).unwrap(), Payload::default());
    engine.submit(job).now_or_never().expect("nothing waits without a log").unwrap().id
}

/// Reads what is there now.
fn read(subscription: &mut Subscription) -> Vec<FeedItem> {
    let mut items = Vec::new();
    while let Some(more) = subscription.next().now_or_never() {
        items.extend(more.unwrap());
    }
    items
}

fn ids(items: &[FeedItem]) -> Vec<JobId> {
    let id = |item: &FeedItem| match item {
        FeedItem::Change { change, .. } => change.job_id,
        gap => panic!("{gap:?}"),
    };
    items.iter().map(id).collect()
}

fn used_bytes(engine: &Engine) -> u64 {
    engine.0.feed.memory().used_bytes
}

#[test]
fn a_subscriber_reads_each_change_once_and_resumes_after_any() {
    let (engine, _) = engine(1 << 20);
    submit(&engine, "before");
    let mut subscription = subscribe(&engine, None);
    let begin = subscription.cursor();
    let submitted: Vec<_> = (0..300).map(|_| submit(&engine, "k")).collect();
    let items = read(&mut subscription);
    assert_eq!(ids(&items), submitted);
    assert!(read(&mut subscription).is_empty());
    assert_eq!(read(&mut subscribe(&engine, Some(begin))), items);
    for (index, item) in items.iter().enumerate().step_by(97) {
        let FeedItem::Change { cursor, .. } = item else { panic!("{item:?}") };
        assert_eq!(read(&mut subscribe(&engine, Some(*cursor))), items[index + 1..]);
    }
}

#[test]
fn a_reader_behind_the_ring_gets_one_gap_and_then_every_retained_change() {
    let (engine, _) = engine(20_000);
    let mut subscription = subscribe(&engine, None);
    let submitted: Vec<_> = (0..500).map(|_| submit(&engine, "k")).collect();
    let items = read(&mut subscription);
    let FeedItem::Gap { missed, .. } = items[0] else { panic!("{:?}", items[0]) };
    assert_eq!(ids(&items[1..]), submitted[missed as usize..]);
    assert!((30..200).contains(&(items.len() - 1)), "{}", items.len());
    assert!((10_000..=20_000).contains(&used_bytes(&engine)), "{}", used_bytes(&engine));
}

#[test]
fn a_filter_that_matches_nothing_still_advances_the_cursor() {
    let (engine, _) = engine(4 << 20);
    let filter =
        ChangeFilter { kind: Some(Kind::parse("kind", "other").unwrap()), ..ChangeFilter::default() };
    let mut subscription = engine.watch_jobs(filter, None).unwrap();
    let begin = subscription.cursor();
    for _ in 0..5_000 {
        submit(&engine, "k");
    }
    // A poll scans a part, and then lets other tasks run.
    let polls = (0..100).take_while(|_| {
        assert!(read(&mut subscription).is_empty());
        subscription.cursor().number < begin.number + 5_000
    });
    assert!((1..10).contains(&polls.count()));
    let wanted = submit(&engine, "other");
    assert_eq!(ids(&read(&mut subscription)), [wanted]);
}

#[test]
fn states_select_the_outcomes() {
    let (engine, _) = engine(1 << 20);
    let filter = ChangeFilter { states: StateSet::ENDED, ..ChangeFilter::default() };
    let mut subscription = engine.watch_jobs(filter, None).unwrap();
    let id = submit(&engine, "k");
    engine.cancel(id, "why", Duration::ZERO).now_or_never().unwrap().unwrap();
    let items = read(&mut subscription);
    let [FeedItem::Change { change, .. }] = &items[..] else { panic!("{items:?}") };
    assert_eq!((change.job_id, change.state()), (id, Some(JobState::Cancelled)));
}

#[test]
fn the_recording_outlives_its_last_subscriber_by_ten_minutes() {
    let (engine, clock) = engine(1 << 20);
    let subscription = subscribe(&engine, None);
    let cursor = subscription.cursor();
    drop(subscription);
    let missed = submit(&engine, "k");
    clock.advance(LINGER - Duration::from_secs(1));
    engine.tick();
    let mut resumed = subscribe(&engine, Some(cursor));
    assert_eq!(ids(&read(&mut resumed)), [missed]);
    clock.advance(LINGER);
    engine.tick();
    assert!(used_bytes(&engine) > 0, "a subscription is open");
    drop(resumed);
    clock.advance(LINGER);
    engine.tick();
    assert_eq!(used_bytes(&engine), 0);
    submit(&engine, "k");
    assert_eq!(used_bytes(&engine), 0, "nothing is recorded");
    let mut late = subscribe(&engine, Some(cursor));
    let after_gap = submit(&engine, "k");
    let items = read(&mut late);
    assert!(matches!(items[0], FeedItem::Gap { missed: 0, .. }), "{items:?}");
    assert_eq!(ids(&items[1..]), [after_gap]);
}

#[test]
fn a_cursor_of_another_boot_is_one_gap_and_then_every_retained_change() {
    let (engine, _) = engine(1 << 20);
    let _open = subscribe(&engine, None);
    let id = submit(&engine, "k");
    let items = read(&mut subscribe(&engine, Some(FeedCursor { recording: 7, number: 1_000_000 })));
    assert!(matches!(items[0], FeedItem::Gap { missed: 0, .. }), "{items:?}");
    assert_eq!(ids(&items[1..]), [id]);
}

#[test]
fn a_cursor_that_was_never_sent_is_refused() {
    let (engine, _) = engine(1 << 20);
    let FeedCursor { recording, number } = subscribe(&engine, None).cursor();
    let beyond = FeedCursor { recording, number: number + 1 };
    let error = engine.watch_jobs(ChangeFilter::default(), Some(beyond)).err().expect("a refusal");
    assert!(error.to_string().contains("use a cursor that was received"), "{error}");
}

#[test]
fn a_drained_engine_ends_the_feed_after_its_last_change() {
    let (engine, _) = engine(1 << 20);
    let mut subscription = subscribe(&engine, None);
    let id = submit(&engine, "k");
    engine.drain(Duration::ZERO);
    assert_eq!(ids(&subscription.next().now_or_never().unwrap().unwrap()), [id]);
    let error = subscription.next().now_or_never().unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Draining { .. }), "{error}");
}

#[derive(Default)]
struct Counter(AtomicU32);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn many_subscribers_are_woken_together_and_not_by_each_change() {
    const SUBSCRIBERS: u32 = 1_000;
    let (engine, clock) = engine(1 << 20);
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(counter.clone());
    let mut subscriptions: Vec<_> = (0..SUBSCRIBERS).map(|_| subscribe(&engine, None)).collect();
    let mut poll_all = || {
        let is_ready = |subscription: &mut Subscription| {
            let mut is_ready = false;
            while let Poll::Ready(items) = subscription.poll_next(&mut Context::from_waker(&waker)) {
                is_ready |= !items.unwrap().is_empty();
            }
            is_ready
        };
        subscriptions.iter_mut().filter_map(|one| is_ready(one).then_some(())).count()
    };
    poll_all();
    submit(&engine, "k");
    assert_eq!(counter.0.swap(0, Ordering::Relaxed), SUBSCRIBERS, "the first change wakes at once");
    assert_eq!(poll_all(), SUBSCRIBERS as usize);
    for _ in 0..10 {
        submit(&engine, "k");
        poll_all();
    }
    assert_eq!(counter.0.load(Ordering::Relaxed), 0, "the next ones wait for the interval");
    submit(&engine, "k");
    clock.advance(Duration::from_millis(20));
    engine.tick();
    assert_eq!(counter.0.load(Ordering::Relaxed), SUBSCRIBERS, "the ticker wakes then");
    assert_eq!(poll_all(), SUBSCRIBERS as usize);
}
