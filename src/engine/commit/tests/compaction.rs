//! Compaction: when it runs, and what it reclaims.

use super::super::compaction::{DueCompaction, choose_trim_point};
use super::*;

const MIB: u64 = 1 << 20;

/// Returns the positions between segments of 64 MiB. The last segment is the active one.
fn trim_points(segments: u64) -> Vec<TrimPoint> {
    let point = |number| TrimPoint { sequence: 1000 * number, bytes: 64 * MIB * number };
    (1..segments).map(point).collect()
}

/// Returns how many segments compaction reclaims. `needed` are the live MiB of each segment before the active one.
fn reclaimed(needed: &[u64], garbage_percent: u8) -> u64 {
    let sums: Vec<_> = (1..=needed.len()).map(|count| needed[..count].iter().sum::<u64>() * MIB).collect();
    choose_trim_point(&trim_points(needed.len() as u64 + 1), &sums, garbage_percent)
        .map_or(0, |point| point.sequence / 1000)
}

#[test]
fn a_log_without_garbage_is_not_compacted() {
    assert_eq!(reclaimed(&[64, 64, 64, 64], 66), 0);
    // An estimate of live bytes may be too high.
    assert_eq!(reclaimed(&[80, 80], 66), 0);
    assert_eq!(reclaimed(&[], 66), 0, "only the active segment");
}

#[test]
fn a_prefix_with_few_live_bytes_is_reclaimed() {
    assert_eq!(reclaimed(&[0, 0, 64, 64], 66), 2);
    assert_eq!(reclaimed(&[8, 0, 0, 64, 64], 66), 3, "few live bytes do not retain later segments");
    // The reclaimed share is too small.
    assert_eq!(reclaimed(&[0, 64, 64, 64, 64, 64, 64, 64, 64], 66), 0);
}

#[test]
fn the_whole_log_is_compacted_above_the_garbage_limit() {
    assert_eq!(reclaimed(&[30, 30, 30], 66), 0);
    assert_eq!(reclaimed(&[21, 21, 21], 66), 3);
    assert_eq!(reclaimed(&[30, 30, 30], 50), 3);
    assert_eq!(reclaimed(&[64, 64], 0), 2, "always");
    assert_eq!(reclaimed(&[80, 80], 0), 2, "always");
    // A prefix without live bytes is preferred.
    assert_eq!(reclaimed(&[0, 0, 0, 0, 64], 66), 4);
}

/// Submits and cancels jobs with payloads of this size.
async fn ended(engine: &Engine, count: usize, bytes: usize) -> Vec<JobId> {
    let jobs: Vec<_> = (0..count).map(|_| job(vec![7; bytes])).collect();
    let ids: Vec<_> = jobs.iter().filter_map(|job| job.id).collect();
    for part in jobs.chunks(100) {
        submit_all(engine, part.iter().cloned()).await;
    }
    for id in &ids {
        engine.cancel(*id, "enough", Duration::ZERO).await.expect("the job waits");
    }
    ids
}

fn any(disk: &MemoryLog) -> DueCompaction {
    DueCompaction::Any(disk.trim_points())
}

#[tokio::test]
async fn estimated_live_bytes_match_the_compacted_log() {
    for size in [0, 300, 5_000] {
        let (engine, disk) = engine();
        ended(&engine, 1_000, size).await;
        submit(&engine, job("in a segment of its own")).await.expect("it is durable");
        let needed = engine.live_bytes_before(&[all(&disk)])[0];
        engine.compact(all(&disk)).await.expect("the log works");
        engine.pause_queue("after the compaction").await.expect("a name");
        engine.close().expect("the log works");
        let written = disk.bytes();
        assert!(
            (written * 2 / 3..written * 3 / 2).contains(&needed),
            "{size}: estimated {needed}, written {written}"
        );
    }
}

#[tokio::test]
async fn compaction_reclaims_deleted_jobs_and_preserves_others() {
    let (engine, disk) = engine();
    let (first, then) = (ended(&engine, 300, 100).await, ended(&engine, 300, 100).await);
    submit(&engine, job("in a segment of its own")).await.expect("it is durable");
    let before = disk.bytes();
    engine.run_compaction(any(&disk)).await.expect("the log works");
    engine.pause_queue("after the compaction").await.expect("a name");
    assert!(disk.bytes() > before, "there is no garbage");
    for id in &first {
        engine.delete(*id).await.expect("the job has ended");
    }
    engine.run_compaction(any(&disk)).await.expect("the log works");
    let durations = disk.meter().expect("it has one").durations();
    let compactions = durations.iter().find(|(op, _)| *op == "compact").map(|(_, times)| times.count());
    assert_eq!(compactions, Some(1), "the first one had nothing to do");
    let mut jobs = Vec::new();
    for id in &then {
        jobs.push(engine.job(*id).await.expect("the job exists"));
    }
    engine.close().expect("the log works");
    assert!(disk.bytes() < before * 2 / 3, "{} of {before} bytes are left", disk.bytes());
    let again = recovered(&disk);
    assert_eq!(again.counts(), engine.counts());
    for job in jobs {
        assert_eq!(again.job(job.id).await, Ok(job));
    }
}
