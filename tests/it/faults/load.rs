//! Constant load of jobs that are watched to their ends, and the checks of each.

use std::time::{Duration, Instant};

use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::proto::v1::{self, JobState};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::checker::journal::end_of;
use crate::support::{Dev, Ended, Watched, connect, event_state, job, new_id, text, wait_for, watch_request};

/// The number of clients. Each submits a job, watches it to its end, and repeats.
const CLIENTS: usize = 48;
/// Clients on one connection.
const CLIENTS_PER_CONNECTION: usize = 12;

/// The running clients.
pub(super) struct Load {
    clients: JoinSet<Vec<JobHistory>>,
    ended: watch::Receiver<usize>,
    stop: CancellationToken,
}

/// A finished job and its events.
pub(super) struct JobHistory {
    pub(super) job: v1::Job,
    /// The events and their times of arrival.
    events: Vec<(Instant, v1::JobEvent)>,
    ended: Ended,
}

impl Load {
    /// Starts clients that submit jobs of kind `work` with random durations.
    pub(super) async fn start(dev: &Dev, seed: u64, retry: v1::RetryPolicy) -> Self {
        let (count, ended) = watch::channel(0);
        let stop = CancellationToken::new();
        let mut clients = JoinSet::new();
        let mut channel = None;
        for number in 0..CLIENTS {
            if number % CLIENTS_PER_CONNECTION == 0 {
                channel = Some(connect(dev.address.parse().expect("an address")).await);
            }
            let jobs = JobServiceClient::new(channel.clone().expect("the first client has opened one"));
            let (stop, count) = (stop.clone(), count.clone());
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(number as u64));
            clients.spawn(async move {
                let mut histories = Vec::new();
                while !stop.is_cancelled() {
                    let millis: u32 = random.random_range(20..200);
                    let spec = v1::JobSpec {
                        payload: Some(text(&millis.to_string())),
                        retry: Some(retry),
                        ..job("work")
                    };
                    histories.push(run_job(jobs.clone(), spec).await);
                    count.send_modify(|count| *count += 1);
                }
                histories
            });
        }
        Self { clients, ended, stop }
    }

    /// Waits until this many more jobs have ended.
    pub(super) async fn wait_for_ends(&mut self, jobs: usize) {
        let goal = *self.ended.borrow() + jobs;
        wait_for("jobs end", self.ended.wait_for(|ended| *ended >= goal)).await.expect("the clients run");
    }

    /// Stops submitting, waits for the end of all jobs and checks that they are unchanged.
    pub(super) async fn finish(self, dev: &Dev) -> Vec<JobHistory> {
        self.stop.cancel();
        let histories: Vec<_> =
            wait_for("every job ends", self.clients.join_all()).await.into_iter().flatten().collect();
        let jobs = JobServiceClient::new(connect(dev.address.parse().expect("an address")).await);
        for history in &histories {
            history.check_unchanged(jobs.clone()).await;
        }
        histories
    }
}

/// Submits a job and watches it to its end.
async fn run_job(mut jobs: JobServiceClient<Channel>, spec: v1::JobSpec) -> JobHistory {
    let id = new_id();
    let spec = v1::JobSpec { job_id: id.clone(), ..spec };
    jobs.submit(v1::SubmitRequest { job: Some(spec), validate_only: false })
        .await
        .expect("the job is accepted");
    let mut watched = Watched::open(&mut jobs, watch_request(&id, 0)).await;
    let mut times = Vec::new();
    loop {
        let wait_for_ends = watched.step().await;
        times.resize(watched.events.len(), Instant::now());
        if !wait_for_ends {
            break;
        }
    }
    let outcome = watched.outcome().clone();
    let answer = result(&mut jobs, &id).await;
    assert_eq!(answer.outcome.as_ref(), Some(&outcome), "{id}: the watch and GetResult differ");
    let found = jobs.get_job(v1::GetJobRequest { job_id: id.clone() }).await.expect("the job exists");
    let job = found.into_inner().job.expect("a job");
    assert_eq!(job.outcome.as_ref(), Some(&outcome), "{id}");
    let history = JobHistory {
        ended: Ended::of(&id, &answer),
        job,
        events: times.into_iter().zip(watched.events).collect(),
    };
    history.check();
    history
}

async fn result(jobs: &mut JobServiceClient<Channel>, id: &str) -> v1::GetResultResponse {
    let request = v1::GetResultRequest { job_id: id.to_owned(), wait: None };
    wait_for("GetResult answers", jobs.get_result(request)).await.expect("the job exists").into_inner()
}

impl JobHistory {
    /// Checks that there is one final event, no gap, and the result of the last attempt.
    fn check(&self) {
        let events: Vec<_> = self.events.iter().map(|(_, event)| event).collect();
        let sequences: Vec<_> = events.iter().map(|event| event.sequence).collect();
        assert_eq!(sequences, (1..=events.len() as u32).collect::<Vec<_>>(), "{events:#?}");
        assert_eq!(events.iter().filter(|event| end_of(event).is_some()).count(), 1, "{events:#?}");
        let last = self.job.attempts.last().expect("an attempt");
        assert_eq!(self.ended.text(), format!("{} {}", last.attempt, last.worker), "{:#?}", self.job);
        assert_eq!((last.attempt, last.failure.as_ref()), (self.job.attempt, None));
        assert_eq!(events.last().map(|event| event.attempt), Some(last.attempt));
    }

    /// Checks that a later read returns the same outcome and events.
    async fn check_unchanged(&self, mut jobs: JobServiceClient<Channel>) {
        let id = &self.ended.id;
        assert_eq!(Ended::of(id, &result(&mut jobs, id).await), self.ended);
        let again = Watched::open(&mut jobs, watch_request(id, 0)).await.rest().await;
        again.outcome();
        assert!(
            again.events.iter().eq(self.events.iter().map(|(_, event)| event)),
            "{id}: the events have changed"
        );
    }

    /// Returns the failed attempts, and the time at which the next one started.
    pub(super) fn losses(&self) -> impl Iterator<Item = (&v1::Attempt, Instant)> {
        let failed = self.job.attempts.iter().filter(|attempt| attempt.failure.is_some());
        failed.map(|attempt| {
            let is_next = |event: &v1::JobEvent| {
                event.attempt > attempt.attempt && event_state(event) == Some(JobState::Running)
            };
            let next = self.events.iter().find(|(_, event)| is_next(event));
            (attempt, next.unwrap_or_else(|| panic!("no attempt follows: {:#?}", self.job)).0)
        })
    }
}

/// Describes the number of jobs and their rate.
pub(super) fn summary(histories: &[JobHistory], took: Duration) -> String {
    format!("{} jobs, {:.0} a second", histories.len(), histories.len() as f64 / took.as_secs_f64())
}
