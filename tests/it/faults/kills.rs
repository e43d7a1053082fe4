//! Workers killed at random under load: every job ends once, and lost attempts restart within a second.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jobstream::proto::v1::{FailureReason, RetryPolicy};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::SLACK;
use super::host::Host;
use super::load::{JobHistory, Load, summary};
use crate::support::Dev;

const HOSTS: usize = 4;
/// The slots of a worker: three workers can run all jobs.
const SLOTS: u32 = 32;
/// The limit until a job of a killed worker runs again: the reconnect grace and a margin.
const RESTART_TIME_MAX: Duration = Duration::from_secs(1);
/// The environment variable with the seed of a run to repeat.
const SEED: &str = "JOBSTREAM_TEST_SEED";

/// Kills and replaces workers in turn under load.
async fn kill(count: usize, slack: Duration) {
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    println!("{SEED}={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    // The log is read only at the end: it must not fill the pipe.
    let dev = Dev::start(&["--demo=false", "--log-level", "error"]).await;
    let start = async |number: usize| Host::start(&dev.address, &number.to_string(), "", SLOTS).await;
    let mut hosts = Vec::new();
    for number in 0..HOSTS {
        hosts.push((number.to_string(), start(number).await));
    }
    // A job may lose more attempts than the default limit of three.
    let retry = RetryPolicy { max_lost_attempts: 100, ..RetryPolicy::default() };
    let (begun, mut load) = (Instant::now(), Load::start(&dev, seed, retry).await);
    let mut killed = HashMap::new();
    for number in HOSTS..HOSTS + count {
        load.wait_for_ends(random.random_range(10..80)).await;
        let (name, victim) = &mut hosts[random.random_range(..HOSTS)];
        killed.insert(name.clone(), Instant::now());
        victim.kill().await;
        (*name, *victim) = (number.to_string(), start(number).await);
    }
    let took = begun.elapsed();
    let histories = load.finish(&dev).await;
    println!("{count} kills in {took:?} under load: {}", summary(&histories, took));
    check(&histories, &killed, RESTART_TIME_MAX + slack);
}

/// Checks that only killed workers lost attempts, and that those restarted in time.
fn check(histories: &[JobHistory], killed: &HashMap<String, Instant>, restart_time_max: Duration) {
    let mut pauses = Vec::new();
    for (attempt, again) in histories.iter().flat_map(JobHistory::losses) {
        let failure = attempt.failure.as_ref().expect("the attempt is lost");
        assert_eq!(failure.reason(), FailureReason::WorkerLost, "{failure:?}");
        let death =
            killed.get(&attempt.worker).unwrap_or_else(|| panic!("the worker was not killed: {attempt:?}"));
        pauses.push(again - *death);
    }
    pauses.sort();
    assert!(pauses.len() > killed.len(), "only {} attempts ran on killed workers", pauses.len());
    let (median, worst) = (pauses[pauses.len() / 2], pauses[pauses.len() - 1]);
    println!("{} attempts were lost, and run again after {median:?}, at worst {worst:?}", pauses.len());
    assert!(worst <= restart_time_max, "{worst:?}");
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
