//! A server that is killed repeatedly under load revokes no acknowledgement.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::load::Load;
use super::reader::{check_removed, find_all};
use super::{DataDir, ServerEnd, jobs};
use crate::checker::rules::check;

/// The environment variable with the seed of a run to repeat.
const SEED: &str = "JOBSTREAM_TEST_SEED";
/// The number of printed breaches.
const SHOWN: usize = 10;
const SHOWN_CHARACTERS: usize = 800;

/// Kills a server repeatedly under load and checks the final state against all responses.
async fn kill(count: usize) -> DataDir {
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    println!("{SEED}={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    // Compactions are frequent, so that kills happen before, during and after them.
    let often = ["--compaction-bytes", "256KiB", "--compaction-garbage", "0", "--segment-bytes", "256KiB"];
    let mut data_dir = DataDir::new(&[&often[..], &["--payload-bytes-max", "64KiB"]].concat());
    let mut dev = data_dir.start().await;
    let (begun, mut load) = (Instant::now(), Load::start(&dev, seed));
    let mut kills = 0;
    while kills < count {
        load.wait_for_ends(random.random_range(10..150)).await;
        dev.kill().await;
        dev = data_dir.start().await;
        kills += 1;
    }
    let journal = load.finish().await;
    let (took, sent, acknowledged) = (begun.elapsed(), journal.traces.len(), journal.acknowledged());
    println!("{kills} kills in {took:?}: {sent} jobs sent, {acknowledged} acknowledged");
    let mut jobs = jobs(&dev);
    let found = find_all(&mut jobs).await;
    let mut breaches = check(&journal, &found, kills + 3);
    breaches.extend(check_removed(&mut jobs, &journal).await);
    let shown = breaches.iter().take(SHOWN).map(|breach| breach.chars().take(SHOWN_CHARACTERS).collect());
    let shown = shown.collect::<Vec<String>>().join("\n");
    assert!(breaches.is_empty(), "{} breaches after {kills} kills:\n{shown}", breaches.len());
    ServerEnd::Term.end(dev).await;
    data_dir
}

/// Returns the number of reclaimed segments.
fn reclaimed(data_dir: &DataDir) -> u64 {
    let files = std::fs::read_dir(&data_dir.directory).expect("the directory exists");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("text"));
    let number = |name: String| {
        let digits = name.strip_prefix("segment-")?.strip_suffix(".log")?.to_owned();
        Some(u64::from_str_radix(&digits, 16).expect("a number"))
    };
    names.filter_map(number).min().expect("a segment") - 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_lose_no_acknowledged_job() {
    let data_dir = kill(10).await;
    assert!(reclaimed(&data_dir) > 10, "no compaction ran");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a quarter of an hour: run it in release, by its name"]
async fn a_thousand_kills_lose_no_acknowledged_job() {
    // New directories: a restart takes longer with a longer log.
    for _ in 0..20 {
        kill(50).await;
    }
}
