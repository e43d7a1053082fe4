//! Tests that every implementation of `Log` passes.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::time::timeout;

use super::*;
use crate::error::ErrorKind;
use crate::wal::disk::Options;
use crate::wal::disk::shared::SharedLog;
use crate::wal::disk::simulated::Disk;
use crate::wal::disk::tests::open_on;
use crate::wal::memory::MemoryLog;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A log and its fault injection.
struct Fixture {
    log: Arc<dyn Log>,
    set_exhausted: Box<dyn Fn(bool)>,
    set_broken: Box<dyn Fn()>,
}

fn memory(log: MemoryLog) -> Fixture {
    let (full, broken) = (log.clone(), log.clone());
    Fixture {
        log: Arc::new(log),
        set_exhausted: Box::new(move |is_exhausted| full.change(|state| state.is_exhausted = is_exhausted)),
        set_broken: Box::new(move || broken.change(|state| state.is_broken = true)),
    }
}

fn disk() -> Fixture {
    let disk = Disk::default();
    let options = Options { segment_bytes: 64 << 10, reserve_bytes: 0, ..Options::default() };
    let log = open_on(&disk, &options, &mut |_, _, _| Ok(())).expect("a log");
    let (full, broken) = (disk.clone(), disk.clone());
    Fixture {
        log: Arc::new(SharedLog::new(log).expect("a thread")),
        set_exhausted: Box::new(move |is_exhausted| full.set_capacity(is_exhausted.then_some(0))),
        set_broken: Box::new(move || broken.fail_at(0, 5)),
    }
}

/// Returns the implementations: a disk, and memory without and with a faulty network.
fn fixtures() -> Vec<Fixture> {
    let faulty = (0..20).map(|seed| memory(MemoryLog::with_faults(seed)));
    [disk(), memory(MemoryLog::default())].into_iter().chain(faulty).collect()
}

fn batch(entries: &[String]) -> Arc<Batch> {
    let mut batch = Batch::default();
    entries.iter().for_each(|entry| batch.push(|bytes| bytes.extend_from_slice(entry.as_bytes())));
    Arc::new(batch)
}

/// Returns batches of one to three entries of 1 KiB. Each entry contains its number.
fn batches(count: usize) -> Vec<Vec<String>> {
    let mut number = 0;
    let entries = |index: usize| {
        let entry = |_| {
            number += 1;
            format!("{number} {}", "x".repeat(1024))
        };
        (0..1 + index % 3).map(entry).collect()
    };
    (0..count).map(entries).collect()
}

/// Appends all batches, concurrently up to the limit of the log. Returns the sequences in order of completion.
async fn append_all(log: &dyn Log, batches: &[Vec<String>]) -> Vec<u64> {
    let (mut in_flight, mut answers) = (FuturesOrdered::new(), Vec::new());
    for entries in batches {
        in_flight.push_back(log.append(batch(entries)));
        while in_flight.len() >= log.limits().in_flight_max {
            answers.extend(in_flight.next().await.map(|answer| answer.expect("it is durable")));
        }
    }
    while let Some(answer) = in_flight.next().await {
        answers.push(answer.expect("it is durable"));
    }
    answers
}

async fn text(log: &dyn Log, sequence: u64) -> Option<String> {
    let entry = log.read(sequence).await.expect("the log is readable");
    entry.map(|entry| String::from_utf8(entry).expect("text"))
}

#[tokio::test]
async fn entries_are_read_in_append_order() {
    for Fixture { log, .. } in fixtures() {
        let batches = batches(60);
        let answers = timeout(TIMEOUT, append_all(&*log, &batches)).await.expect("appends complete");
        let ends = batches.iter().scan(0, |end, batch| {
            *end += batch.len() as u64;
            Some(*end)
        });
        assert!(ends.eq(answers.iter().copied()), "{answers:?}");
        for (sequence, entry) in (1..).zip(batches.iter().flatten()) {
            assert_eq!(text(&*log, sequence).await.as_ref(), Some(entry));
        }
        assert_eq!(text(&*log, answers.last().expect("some") + 1).await, None);
        log.close().await.expect("the log closes");
    }
}

#[tokio::test]
async fn a_disk_measures_appends_syncs_and_reads() {
    let Fixture { log, .. } = disk();
    append_all(&*log, &batches(3)).await;
    for sequence in [1, 2] {
        text(&*log, sequence).await.expect("an entry");
    }
    let durations = log.meter().expect("it has one").durations();
    let counts = durations.map(|(op, durations)| (op, durations.count()));
    assert_eq!(counts, [("append", 3), ("sync", 3), ("read", 2), ("compact", 0)]);
}

#[tokio::test]
async fn a_trim_removes_only_earlier_segments() {
    for Fixture { log, .. } in fixtures() {
        let batches = batches(100);
        let last = *append_all(&*log, &batches).await.last().expect("some");
        let trim_points = log.trim_points();
        assert!(
            trim_points.is_sorted_by_key(|point| (point.sequence, point.bytes)) && trim_points.len() > 1,
            "{trim_points:?}"
        );
        let (point, before) = (trim_points[trim_points.len() / 2], log.space().expect("the log works").bytes);
        log.trim(point.sequence).await.expect("there is space");
        assert_eq!(text(&*log, point.sequence - 1).await, None);
        for sequence in point.sequence..=last {
            assert!(text(&*log, sequence).await.is_some(), "{sequence} of {last}, trimmed at {point:?}");
        }
        assert!(log.space().expect("the log works").bytes < before);
        let next = append_all(&*log, &[vec!["behind the trim".to_owned()]]).await;
        assert_eq!(next, [last + 1]);
    }
}

#[tokio::test]
async fn a_batch_without_space_is_not_written_and_may_be_retried() {
    for Fixture { log, set_exhausted, .. } in [disk(), memory(MemoryLog::default())] {
        append_all(&*log, &batches(2)).await;
        set_exhausted(true);
        // Larger than the preallocated space.
        let large = vec!["a".repeat(50 << 10), "b".repeat(50 << 10), "c".repeat(50 << 10)];
        let refused = loop {
            match log.append(batch(&large)).await {
                Ok(last) => assert!(last < 100, "a full log rejects appends"),
                Err(error) => break error,
            }
        };
        assert_eq!(*refused.kind(), ErrorKind::DiskFull, "{refused}");
        let before = log.space().expect("the log works").bytes;
        set_exhausted(false);
        let last = timeout(TIMEOUT, async {
            loop {
                match log.append(batch(&large)).await {
                    Ok(last) => break last,
                    Err(error) => assert_eq!(*error.kind(), ErrorKind::DiskFull, "{error}"),
                }
            }
        });
        let last = last.await.expect("it has space");
        assert!(log.space().expect("the log works").bytes > before);
        let read = [text(&*log, last - 2).await, text(&*log, last - 1).await, text(&*log, last).await];
        assert_eq!(read.map(|entry| entry.expect("the entry exists")).to_vec(), large);
    }
}

#[tokio::test]
async fn a_failure_is_final() {
    for Fixture { log, set_broken, .. } in fixtures() {
        append_all(&*log, &batches(3)).await;
        set_broken();
        for _ in 0..3 {
            let error = log.append(batch(&["lost".to_owned()])).await.expect_err("the log fails");
            assert_eq!(*error.kind(), ErrorKind::LogFailed, "{error}");
        }
        assert!(text(&*log, 1).await.is_some(), "durable entries are readable");
    }
}
