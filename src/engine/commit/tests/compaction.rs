//! What a compaction gives back, and when it leaves the log as it is.

use super::super::compaction::{DueCompaction, choose_trim_point};
use super::*;

const MIB: u64 = 1 << 20;

/// Segments of 64 MiB, the last one of which is written.
fn trim_points(segments: u64) -> Vec<TrimPoint> {
    let point = |number| TrimPoint { sequence: 1000 * number, bytes: 64 * MIB * number };
    (1..segments).map(point).collect()
}

/// How many segments go, of as many as there are numbers and the one that is written: so many MiB are needed of each.
fn given_back(needed: &[u64], waste_percent: u8) -> u64 {
    let sums: Vec<_> = (1..=needed.len()).map(|count| needed[..count].iter().sum::<u64>() * MIB).collect();
    choose_trim_point(&trim_points(needed.len() as u64 + 1), &sums, waste_percent)
        .map_or(0, |point| point.sequence / 1000)
}

#[test]
fn a_log_whose_jobs_are_all_needed_is_left_alone() {
    assert_eq!(given_back(&[64, 64, 64, 64], 66), 0);
    // An estimate may be too high.
    assert_eq!(given_back(&[80, 80], 66), 0);
    assert_eq!(given_back(&[], 66), 0, "only the one that is written");
}

#[test]
fn a_beginning_that_is_hardly_needed_goes() {
    assert_eq!(given_back(&[0, 0, 64, 64], 66), 2);
    assert_eq!(given_back(&[8, 0, 0, 64, 64], 66), 3, "a straggler does not keep what is behind it");
    // Too little of the whole to be worth the trouble.
    assert_eq!(given_back(&[0, 64, 64, 64, 64, 64, 64, 64, 64], 66), 0);
}

#[test]
fn all_is_written_anew_once_enough_of_it_is_waste() {
    assert_eq!(given_back(&[30, 30, 30], 66), 0);
    assert_eq!(given_back(&[21, 21, 21], 66), 3);
    assert_eq!(given_back(&[30, 30, 30], 50), 3);
    assert_eq!(given_back(&[64, 64], 0), 2, "always");
    assert_eq!(given_back(&[80, 80], 0), 2, "always");
    // Rather the part that costs nothing.
    assert_eq!(given_back(&[0, 0, 0, 0, 64], 66), 4);
}

/// Jobs that have ended, with results of some bytes.
async fn ended(engine: &Engine, count: usize, bytes: usize) -> Vec<JobId> {
    let jobs: Vec<_> = (0..count).map(|_| job(vec![7; bytes])).collect();
    let ids: Vec<_> = jobs.iter().filter_map(|job| job.id).collect();
    for part in jobs.chunks(100) {
        submit_all(engine, part.iter().cloned()).await;
    }
    for id in &ids {
        engine.cancel(*id, "enough", Duration::ZERO).await.expect("it waits");
    }
    ids
}

fn any(disk: &MemoryLog) -> DueCompaction {
    DueCompaction::Any(disk.trim_points())
}

#[tokio::test]
async fn what_a_log_is_needed_for_is_known_before_it_is_written_anew() {
    for size in [0, 300, 5_000] {
        let (engine, disk) = engine();
        ended(&engine, 1_000, size).await;
        submit(&engine, job("in a segment of its own")).await.expect("it is kept");
        let needed = engine.live_bytes_before(&[all(&disk)])[0];
        engine.compact(all(&disk)).await.expect("the disk is well");
        engine.pause_queue("behind the end of the compaction").await.expect("a name");
        engine.close().expect("the disk is well");
        let written = disk.bytes();
        assert!((written * 2 / 3..written * 3 / 2).contains(&needed), "{size}: {needed}, in truth {written}");
    }
}

#[tokio::test]
async fn a_log_gives_back_what_was_deleted_and_keeps_the_rest() {
    let (engine, disk) = engine();
    let (first, then) = (ended(&engine, 300, 100).await, ended(&engine, 300, 100).await);
    submit(&engine, job("in a segment of its own")).await.expect("it is kept");
    let before = disk.bytes();
    engine.run_compaction(any(&disk)).await.expect("the disk is well");
    engine.pause_queue("behind it").await.expect("a name");
    assert!(disk.bytes() > before, "all of it is needed");
    for id in &first {
        engine.delete(*id).await.expect("it has ended");
    }
    engine.run_compaction(any(&disk)).await.expect("the disk is well");
    let mut jobs = Vec::new();
    for id in &then {
        jobs.push(engine.job(*id).await.expect("it is there"));
    }
    engine.close().expect("the disk is well");
    assert!(disk.bytes() < before * 2 / 3, "{} of {before} bytes are left", disk.bytes());
    let again = relived(&disk);
    assert_eq!(again.counts(), engine.counts());
    for job in jobs {
        assert_eq!(again.job(job.id).await, Ok(job));
    }
}
