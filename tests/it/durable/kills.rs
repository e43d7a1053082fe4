//! A server that is killed again and again under load: nothing that it answered is ever unsaid.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::checker::{check, check_removed, find_all};
use super::load::Load;
use super::{Home, jobs};

/// Says which run is to be repeated.
const SEED: &str = "JOBSTREAM_TEST_SEED";
/// Breaches that are shown.
const SHOWN: usize = 10;
const SHOWN_CHARACTERS: usize = 800;

/// Kills a server this often while clients submit and watch; then checks all that they were told.
async fn kill(count: usize) {
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    println!("{SEED}={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut home = Home::new(&[]);
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
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_unsay_nothing() {
    kill(10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a quarter of an hour: run it in release, by its name"]
async fn a_thousand_kills_unsay_nothing() {
    kill(1_000).await;
}
