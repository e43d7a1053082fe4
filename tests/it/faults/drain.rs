//! Workers and servers that are told to end under load: nothing is lost, and no attempt is counted that was given back.

use std::time::Instant;

use jobstream::client::Client;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::proto::v1::{self, JobState, RetryPolicy, WaitReason};
use jobstream::worker::{RemoteOptions, RunningWorker, WorkerStatus};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tonic::transport::Channel;

use super::is_running;
use super::load::{Life, Load, told};
use super::witness::{Seen, Witness};
use crate::support::{Dev, Remote, Watched, connect, job, new_id, until, wait_for, watch_request};

/// Of the server's worker, half of what is submitted.
const SLOTS: usize = 20;

/// A program that is done after the milliseconds of its payload, and answers as [`Load`] has it.
async fn start(dev: &Dev, name: &str, drain_timeout: &str) -> Remote {
    let script = format!("read ms; sleep $(printf 0.%03d $ms); printf \"%s {name}\" $JOBSTREAM_ATTEMPT");
    let exec = format!("work=sh -c '{script}'");
    let args = ["--name", name, "--slots", "64", "--exec", &exec, "--drain-timeout", drain_timeout];
    Remote::connected(dev, &args).await
}

/// Replaces one of two workers after the other under load; each gets this long to finish. Answers every job's life.
async fn replace_all(drain_timeout: &str) -> Vec<Life> {
    let dev = Dev::start(&["--demo=false", "--log-level", "error"]).await;
    let mut workers = [start(&dev, "0", drain_timeout).await, start(&dev, "1", drain_timeout).await];
    // A single attempt that fails or is lost would end its job.
    let retry = RetryPolicy { max_attempts: 1, max_lost_attempts: 1, ..RetryPolicy::default() };
    let (begun, mut load) = (Instant::now(), Load::start(&dev, 0, retry).await);
    for number in 2..8 {
        load.goes_on(20).await;
        let next = start(&dev, &number.to_string(), drain_timeout).await;
        let mut old = std::mem::replace(&mut workers[number % 2], next);
        old.signal(Signal::TERM);
        old.says("stopped").await;
        assert_eq!(old.ended().await, Some(0));
    }
    let took = begun.elapsed();
    let lives = load.finish(&dev).await;
    println!("6 workers replaced, {drain_timeout} for each: {}", told(&lives, took));
    assert_eq!(lives.iter().flat_map(Life::losses).count(), 0);
    lives
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_replaced_in_time_run_each_job_once() {
    let lives = replace_all("20s").await;
    // An offer that nobody accepted used its number up: what counts is how many attempts began.
    assert!(lives.iter().all(|life| life.job.attempts.len() == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_replaced_in_a_hurry_give_back_what_runs() {
    let lives = replace_all("10ms").await;
    let again = lives.iter().filter(|life| life.job.attempts.len() > 1).count();
    println!("{again} jobs were given back");
    assert!(again > 0, "nobody was in a hurry");
}

/// A worker of a server that begins to shut down: it runs half of the watched jobs, the rest waits.
struct Closing {
    dev: Dev,
    worker: RunningWorker,
    witness: Witness,
    jobs: JobServiceClient<Channel>,
    /// Their ids, and what is told of them.
    running: Vec<(String, Watched)>,
    waiting: Vec<(String, Watched)>,
}

impl Closing {
    async fn begin(args: &[&str]) -> Self {
        let mut dev = Dev::start(&[&["--demo=false"], args].concat()).await;
        let (worker, mut witness) = Witness::of("drained");
        let client = Client::connect(&dev.address).await.expect("a server");
        let worker =
            worker.slots(SLOTS as u32).connect(&client, RemoteOptions::default()).expect("good names");
        assert!(wait_for("it is connected", worker.connected()).await);
        let mut jobs = JobServiceClient::new(connect(dev.address.parse().expect("an address")).await);
        let ids: Vec<_> = (0..2 * SLOTS).map(|_| new_id()).collect();
        let specs = ids.iter().map(|id| v1::JobSpec { job_id: id.clone(), ..job("hold") }).collect();
        jobs.batch_submit(v1::BatchSubmitRequest { jobs: specs, ..Default::default() })
            .await
            .expect("accepted");
        let mut watched = Vec::new();
        for id in &ids {
            watched.push(Watched::open(&mut jobs, watch_request(id, 0)).await);
        }
        for (id, watched) in ids.iter().zip(&mut watched).take(SLOTS) {
            witness.sees(Seen::Began, id).await;
            watched.read_to(JobState::Running).await;
        }
        dev.signal(Signal::TERM);
        let stderr = dev.child.stderr.as_mut().expect("a pipe");
        let line = wait_for("it says that it drains", BufReader::new(stderr).lines().next_line()).await;
        assert!(line.expect("text").expect("a line").contains("draining"));
        let mut running: Vec<_> = ids.into_iter().zip(watched).collect();
        let waiting = running.split_off(SLOTS);
        Self { dev, worker, witness, jobs, running, waiting }
    }

    async fn is_draining(&self) -> bool {
        let request = v1::GetResultRequest { job_id: self.waiting[0].0.clone(), wait: None };
        let answer = self.jobs.clone().get_result(request).await.expect("it is known");
        answer.into_inner().wait_reason() == WaitReason::Draining
    }

    /// Starts the server anew once it has ended, and sees the worker come back and take jobs.
    async fn again(mut self) -> Witness {
        let mut status = self.worker.status();
        let lost = status.wait_for(|status| matches!(status, WorkerStatus::Connecting { .. }));
        wait_for("the worker notices", lost).await.expect("it runs");
        let status = wait_for("the server ends", self.dev.child.wait()).await.expect("a status");
        assert_eq!(status.code(), Some(0));
        assert!(!self.witness.has_seen(Seen::Began), "nothing begins while it drains");
        let dev = Dev::start_at(&self.dev.address, &["--demo=false"]).await;
        assert!(wait_for("it is back", self.worker.connected()).await);
        let id = dev.sh("jobstream submit hold").await.trim().to_owned();
        self.witness.sees(Seen::Began, &id).await;
        until("the server knows", async || is_running(&dev, &id).await).await;
        let slots = format!("\tdrained\tSTREAM\tCONNECTED\t1/{SLOTS}\t");
        until("no other slot is taken", async || dev.sh("jobstream workers ls").await.contains(&slots)).await;
        self.witness
    }
}

#[tokio::test]
async fn a_server_that_drains_lets_its_worker_finish() {
    let mut closing = Closing::begin(&["--drain-timeout", "20s"]).await;
    until("what waits is told why", async || closing.is_draining().await).await;
    // A cancel comes down the worker's stream after the word that the server shuts down.
    let (cancelled, told) = closing.running.remove(0);
    closing
        .jobs
        .cancel(v1::CancelRequest { job_id: cancelled.clone(), ..Default::default() })
        .await
        .expect("it runs");
    closing.witness.sees(Seen::Told, &cancelled).await;
    assert_eq!(told.rest().await.states().last(), Some(&JobState::Cancelled));
    closing.witness.gate.open(SLOTS - 1);
    for (_, watched) in std::mem::take(&mut closing.running) {
        let watched = watched.rest().await;
        watched.outcome();
        assert_eq!(watched.states(), [JobState::Queued, JobState::Running, JobState::Succeeded]);
        assert!(watched.events.iter().all(|event| event.attempt <= 1));
    }
    for (_, watched) in std::mem::take(&mut closing.waiting) {
        let watched = watched.rest().await;
        watched.status();
        assert!(!watched.states().contains(&JobState::Running));
    }
    closing.again().await;
}

#[tokio::test]
async fn what_a_server_does_not_wait_for_is_stopped() {
    let closing = Closing::begin(&["--drain-timeout", "300ms"]).await;
    let ids: Vec<_> = closing.running.iter().map(|(id, _)| id.clone()).collect();
    let mut witness = closing.again().await;
    for id in ids {
        witness.sees(Seen::Told, &id).await;
    }
}
