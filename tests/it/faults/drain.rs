//! Drains of workers and servers under load: no job is lost, and released attempts are not counted.

use std::time::Instant;

use jobstream::client::Client;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::proto::v1::{self, JobState, RetryPolicy, WaitReason};
use jobstream::worker::{RemoteOptions, RunningWorker, WorkerStatus};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tonic::transport::Channel;

use super::is_running;
use super::load::{JobHistory, Load, summary};
use super::observer::{HandlerEvent, HandlerObserver};
use crate::support::{Dev, Remote, Watched, connect, job, new_id, until, wait_for, watch_request};

/// The slots of the worker: half of the submitted jobs.
const SLOTS: usize = 20;

/// Starts a worker with a program that runs for the milliseconds of its payload, with the result that [`Load`] expects.
async fn start(dev: &Dev, name: &str, drain_timeout: &str) -> Remote {
    let script = format!("read ms; sleep $(printf 0.%03d $ms); printf \"%s {name}\" $JOBSTREAM_ATTEMPT");
    let exec = format!("work=sh -c '{script}'");
    let args = ["--name", name, "--slots", "64", "--exec", &exec, "--drain-timeout", drain_timeout];
    Remote::connected(dev, &args).await
}

/// Replaces workers in turn under load, with this drain timeout. Returns the history of every job.
async fn replace_all(drain_timeout: &str) -> Vec<JobHistory> {
    let dev = Dev::start(&["--demo=false", "--log-level", "error"]).await;
    let mut workers = [start(&dev, "0", drain_timeout).await, start(&dev, "1", drain_timeout).await];
    // A single attempt that fails or is lost would end its job.
    let retry = RetryPolicy { max_attempts: 1, max_lost_attempts: 1, ..RetryPolicy::default() };
    let (begun, mut load) = (Instant::now(), Load::start(&dev, 0, retry).await);
    for number in 2..8 {
        load.wait_for_ends(20).await;
        let next = start(&dev, &number.to_string(), drain_timeout).await;
        let mut old = std::mem::replace(&mut workers[number % 2], next);
        old.signal(Signal::TERM);
        old.wait_for_line("stopped").await;
        assert_eq!(old.ended().await, Some(0));
    }
    let took = begun.elapsed();
    let histories = load.finish(&dev).await;
    println!("6 workers replaced, {drain_timeout} for each: {}", summary(&histories, took));
    assert_eq!(histories.iter().flat_map(JobHistory::losses).count(), 0);
    histories
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_replaced_within_the_drain_timeout_run_each_job_once() {
    let histories = replace_all("20s").await;
    // An unaccepted offer uses an attempt number: only started attempts are compared.
    assert!(histories.iter().all(|history| history.job.attempts.len() == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_replaced_with_a_short_drain_timeout_release_attempts() {
    let histories = replace_all("10ms").await;
    let again = histories.iter().filter(|history| history.job.attempts.len() > 1).count();
    println!("{again} jobs were released");
    assert!(again > 0, "no attempt was released");
}

/// A server that drains, and its worker, which runs half of the watched jobs. The rest waits.
struct DrainingServer {
    dev: Dev,
    worker: RunningWorker,
    observer: HandlerObserver,
    jobs: JobServiceClient<Channel>,
    /// Ids and watches.
    running: Vec<(String, Watched)>,
    waiting: Vec<(String, Watched)>,
}

impl DrainingServer {
    async fn begin(args: &[&str]) -> Self {
        let mut dev = Dev::start(&[&["--demo=false"], args].concat()).await;
        let (worker, mut observer) = HandlerObserver::of("drained");
        let client = Client::connect(&dev.address).await.expect("a server");
        let worker =
            worker.slots(SLOTS as u32).connect(&client, RemoteOptions::default()).expect("valid names");
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
            observer.wait_for_event(HandlerEvent::Started, id).await;
            watched.read_to(JobState::Running).await;
        }
        dev.signal(Signal::TERM);
        let stderr = dev.child.stderr.as_mut().expect("a pipe");
        let mut lines = BufReader::new(stderr).lines();
        let is_draining = |line: &str| line.contains("draining");
        while !is_draining(&wait_for("a line", lines.next_line()).await.expect("text").expect("a line")) {}
        let mut running: Vec<_> = ids.into_iter().zip(watched).collect();
        let waiting = running.split_off(SLOTS);
        Self { dev, worker, observer, jobs, running, waiting }
    }

    async fn is_draining(&self) -> bool {
        let request = v1::GetResultRequest { job_id: self.waiting[0].0.clone(), wait: None };
        let answer = self.jobs.clone().get_result(request).await.expect("the job exists");
        answer.into_inner().wait_reason() == WaitReason::Draining
    }

    /// Restarts the server after its end. Waits until the worker reconnects and runs jobs.
    async fn again(mut self) -> HandlerObserver {
        let mut status = self.worker.status();
        let lost = status.wait_for(|status| matches!(status, WorkerStatus::Connecting { .. }));
        wait_for("the worker notices", lost).await.expect("it is running");
        let status = wait_for("the server ends", self.dev.child.wait()).await.expect("a status");
        assert_eq!(status.code(), Some(0));
        assert!(!self.observer.has_seen_event(HandlerEvent::Started), "no attempt starts while it drains");
        let dev = Dev::start_at(&self.dev.address, &["--demo=false"]).await;
        assert!(wait_for("it is back", self.worker.connected()).await);
        let id = dev.sh("jobstream submit hold").await.trim().to_owned();
        self.observer.wait_for_event(HandlerEvent::Started, &id).await;
        until("the server knows", async || is_running(&dev, &id).await).await;
        let slots = format!("\tdrained\tSTREAM\tCONNECTED\t1/{SLOTS}\t");
        until("no other slot is taken", async || dev.sh("jobstream workers ls").await.contains(&slots)).await;
        self.observer
    }
}

#[tokio::test]
async fn a_server_that_drains_lets_its_worker_finish() {
    let mut draining = DrainingServer::begin(&["--drain-timeout", "20s"]).await;
    until("waiting jobs have the wait reason DRAINING", async || draining.is_draining().await).await;
    // A cancel is sent to the worker after the drain message.
    let (cancelled, watched) = draining.running.remove(0);
    draining
        .jobs
        .cancel(v1::CancelRequest { job_id: cancelled.clone(), ..Default::default() })
        .await
        .expect("it is running");
    draining.observer.wait_for_event(HandlerEvent::Cancelled, &cancelled).await;
    assert_eq!(watched.rest().await.states().last(), Some(&JobState::Cancelled));
    draining.observer.gate.open(SLOTS - 1);
    for (_, watched) in std::mem::take(&mut draining.running) {
        let watched = watched.rest().await;
        watched.outcome();
        assert_eq!(watched.states(), [JobState::Queued, JobState::Running, JobState::Succeeded]);
        assert!(watched.events.iter().all(|event| event.attempt <= 1));
    }
    for (_, watched) in std::mem::take(&mut draining.waiting) {
        let watched = watched.rest().await;
        watched.status();
        assert!(!watched.states().contains(&JobState::Running));
    }
    draining.again().await;
}

#[tokio::test]
async fn attempts_unfinished_at_the_drain_timeout_are_stopped() {
    let draining = DrainingServer::begin(&["--drain-timeout", "300ms"]).await;
    let ids: Vec<_> = draining.running.iter().map(|(id, _)| id.clone()).collect();
    let mut observer = draining.again().await;
    for id in ids {
        observer.wait_for_event(HandlerEvent::Cancelled, &id).await;
    }
}
