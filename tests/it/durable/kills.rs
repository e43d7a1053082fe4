//! A server that is killed again and again under load: nothing that it answered is ever unsaid.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::load::Load;
use super::reader::{check_removed, find_all};
use super::{By, Home, jobs};
use crate::checker::rules::check;

/// Says which run is to be repeated.
const SEED: &str = "JOBSTREAM_TEST_SEED";
/// Breaches that are shown.
const SHOWN: usize = 10;
const SHOWN_CHARACTERS: usize = 800;

/// Kills a server this often while clients submit and watch; then checks all that they were told.
async fn kill(count: usize) -> Home {
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    println!("{SEED}={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    // Often enough that kills come before, within and after checkpoints, each of which gives files back.
    let often = ["--compaction-bytes", "256KiB", "--compaction-garbage", "0", "--segment-bytes", "256KiB"];
    let mut home = Home::new(&[&often[..], &["--payload-bytes-max", "64KiB"]].concat());
    let mut dev = home.start().await;
    let (begun, mut load) = (Instant::now(), Load::start(&dev, seed));
    let mut kills = 0;
    while kills < count {
        load.goes_on(random.random_range(10..150)).await;
        dev.kill().await;
        dev = home.start().await;
        kills += 1;
    }
    let journal = load.finish().await;
    let (took, sent, acknowledged) = (begun.elapsed(), journal.stories.len(), journal.acknowledged());
    println!("{kills} kills in {took:?}: {sent} jobs sent, {acknowledged} acknowledged");
    let mut jobs = jobs(&dev);
    let found = find_all(&mut jobs).await;
    let mut breaches = check(&journal, &found, kills + 3);
    breaches.extend(check_removed(&mut jobs, &journal).await);
    let shown = breaches.iter().take(SHOWN).map(|breach| breach.chars().take(SHOWN_CHARACTERS).collect());
    let shown = shown.collect::<Vec<String>>().join("\n");
    assert!(breaches.is_empty(), "{} breaches after {kills} kills:\n{shown}", breaches.len());
    By::Term.end(dev).await;
    home
}

/// How many files of its log were given back, by checkpoints.
fn given_back(home: &Home) -> u64 {
    let files = std::fs::read_dir(&home.directory).expect("the directory is there");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("text"));
    let number = |name: String| {
        let digits = name.strip_prefix("segment-")?.strip_suffix(".log")?.to_owned();
        Some(u64::from_str_radix(&digits, 16).expect("a number"))
    };
    names.filter_map(number).min().expect("a segment") - 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_unsay_nothing() {
    let home = kill(10).await;
    assert!(given_back(&home) > 10, "the kills met no checkpoint");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a quarter of an hour: run it in release, by its name"]
async fn a_thousand_kills_unsay_nothing() {
    // Each directory's history grows, and with it the time of a restart.
    for _ in 0..20 {
        kill(50).await;
    }
}
