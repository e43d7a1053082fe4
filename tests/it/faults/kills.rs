//! Workers killed at random under load: every job ends once, and what ran on the dead runs elsewhere within a second.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jobstream::proto::v1::{FailureReason, RetryPolicy};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::SLACK;
use super::host::Host;
use super::load::{Life, Load, told};
use crate::support::Dev;

const HOSTS: usize = 4;
/// Of each: so many that three of them run everything.
const SLOTS: u32 = 32;
/// By when a job of a killed worker runs again: the reconnect grace, and what it takes to see and to do.
const AGAIN_WITHIN: Duration = Duration::from_secs(1);
/// Says which run is to be repeated.
const SEED: &str = "JOBSTREAM_TEST_SEED";

/// Kills this many workers, one after the other, while jobs come and go.
async fn kill(count: usize, slack: Duration) {
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    println!("{SEED}={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    // Its log is not read before its end: it must not fill the pipe.
    let dev = Dev::start(&["--demo=false", "--log-level", "error"]).await;
    let start = async |number: usize| Host::start(&dev.address, &number.to_string(), "", SLOTS).await;
    let mut hosts = Vec::new();
    for number in 0..HOSTS {
        hosts.push((number.to_string(), start(number).await));
    }
    // A job with bad luck loses several; the default of three would end it.
    let retry = RetryPolicy { max_lost_attempts: 100, ..RetryPolicy::default() };
    let (begun, mut load) = (Instant::now(), Load::start(&dev, seed, retry).await);
    let mut killed = HashMap::new();
    for number in HOSTS..HOSTS + count {
        load.goes_on(random.random_range(10..80)).await;
        let (name, victim) = &mut hosts[random.random_range(..HOSTS)];
        killed.insert(name.clone(), Instant::now());
        victim.kill().await;
        (*name, *victim) = (number.to_string(), start(number).await);
    }
    let took = begun.elapsed();
    let lives = load.finish(&dev).await;
    println!("{count} kills in {took:?} under load: {}", told(&lives, took));
    check(&lives, &killed, AGAIN_WITHIN + slack);
}

/// Only the killed have lost attempts, and those were run again in time.
fn check(lives: &[Life], killed: &HashMap<String, Instant>, again_within: Duration) {
    let mut pauses = Vec::new();
    for (attempt, again) in lives.iter().flat_map(Life::losses) {
        let failure = attempt.failure.as_ref().expect("it was lost");
        assert_eq!(failure.reason(), FailureReason::WorkerLost, "{failure:?}");
        let death = killed.get(&attempt.worker).unwrap_or_else(|| panic!("nobody killed it: {attempt:?}"));
        pauses.push(again - *death);
    }
    pauses.sort();
    assert!(pauses.len() > killed.len(), "only {} attempts ran on the killed", pauses.len());
    let (median, worst) = (pauses[pauses.len() / 2], pauses[pauses.len() - 1]);
    println!("{} attempts were lost, and run again after {median:?}, at worst {worst:?}", pauses.len());
    assert!(worst <= again_within, "{worst:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_killed_workers_lose_no_job() {
    kill(20, SLACK).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute or two: run it in release"]
async fn two_hundred_killed_workers_lose_no_job() {
    kill(200, Duration::ZERO).await;
}
