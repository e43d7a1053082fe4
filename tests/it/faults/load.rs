//! Jobs submitted all the time and watched to their ends, and what must hold for each whatever happens to its workers.

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

/// Clients that submit a job, watch it to its end, and submit the next.
const CLIENTS: usize = 48;
/// Clients on one connection.
const SHARING: usize = 12;

/// Jobs on their way to a server.
pub(super) struct Load {
    clients: JoinSet<Vec<Life>>,
    ended: watch::Receiver<usize>,
    stop: CancellationToken,
}

/// The whole life of one job, as its client saw it.
pub(super) struct Life {
    pub(super) job: v1::Job,
    /// Every event, and when it came.
    events: Vec<(Instant, v1::JobEvent)>,
    ended: Ended,
}

impl Load {
    /// Begins to submit jobs of kind `work`: each takes some milliseconds, and how many is up to the seed.
    pub(super) async fn start(dev: &Dev, seed: u64, retry: v1::RetryPolicy) -> Self {
        let (count, ended) = watch::channel(0);
        let stop = CancellationToken::new();
        let mut clients = JoinSet::new();
        let mut channel = None;
        for number in 0..CLIENTS {
            if number % SHARING == 0 {
                channel = Some(connect(dev.address.parse().expect("an address")).await);
            }
            let jobs = JobServiceClient::new(channel.clone().expect("the first has opened one"));
            let (stop, count) = (stop.clone(), count.clone());
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(number as u64));
            clients.spawn(async move {
                let mut lives = Vec::new();
                while !stop.is_cancelled() {
                    let millis: u32 = random.random_range(20..200);
                    let spec = v1::JobSpec {
                        payload: Some(text(&millis.to_string())),
                        retry: Some(retry),
                        ..job("work")
                    };
                    lives.push(live(jobs.clone(), spec).await);
                    count.send_modify(|count| *count += 1);
                }
                lives
            });
        }
        Self { clients, ended, stop }
    }

    /// Waits until this many more jobs have ended.
    pub(super) async fn goes_on(&mut self, jobs: usize) {
        let goal = *self.ended.borrow() + jobs;
        wait_for("jobs end", self.ended.wait_for(|ended| *ended >= goal)).await.expect("no client gave up");
    }

    /// Submits nothing more; waits for every job's end and checks that it still stands.
    pub(super) async fn finish(self, dev: &Dev) -> Vec<Life> {
        self.stop.cancel();
        let lives: Vec<_> =
            wait_for("every job ends", self.clients.join_all()).await.into_iter().flatten().collect();
        let jobs = JobServiceClient::new(connect(dev.address.parse().expect("an address")).await);
        for life in &lives {
            life.still_stands(jobs.clone()).await;
        }
        lives
    }
}

/// Submits a job and follows it to its end.
async fn live(mut jobs: JobServiceClient<Channel>, spec: v1::JobSpec) -> Life {
    let id = new_id();
    let spec = v1::JobSpec { job_id: id.clone(), ..spec };
    jobs.submit(v1::SubmitRequest { job: Some(spec), validate_only: false }).await.expect("it is accepted");
    let mut watched = Watched::open(&mut jobs, watch_request(&id, 0)).await;
    let mut times = Vec::new();
    loop {
        let goes_on = watched.step().await;
        times.resize(watched.events.len(), Instant::now());
        if !goes_on {
            break;
        }
    }
    let outcome = watched.outcome().clone();
    let answer = result(&mut jobs, &id).await;
    assert_eq!(answer.outcome.as_ref(), Some(&outcome), "{id}: the watch and GetResult differ");
    let found = jobs.get_job(v1::GetJobRequest { job_id: id.clone() }).await.expect("it is known");
    let job = found.into_inner().job.expect("a job");
    assert_eq!(job.outcome.as_ref(), Some(&outcome), "{id}");
    let life =
        Life { ended: Ended::of(&id, &answer), job, events: times.into_iter().zip(watched.events).collect() };
    life.check();
    life
}

async fn result(jobs: &mut JobServiceClient<Channel>, id: &str) -> v1::GetResultResponse {
    let request = v1::GetResultRequest { job_id: id.to_owned(), wait: None };
    wait_for("GetResult answers", jobs.get_result(request)).await.expect("it is known").into_inner()
}

impl Life {
    /// One end, no event missing, and the result is that of the job's last attempt.
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

    /// Later looks find the same end, and a later watch the same events.
    async fn still_stands(&self, mut jobs: JobServiceClient<Channel>) {
        let id = &self.ended.id;
        assert_eq!(Ended::of(id, &result(&mut jobs, id).await), self.ended);
        let again = Watched::open(&mut jobs, watch_request(id, 0)).await.rest().await;
        again.outcome();
        assert!(
            again.events.iter().eq(self.events.iter().map(|(_, event)| event)),
            "{id} was told otherwise"
        );
    }

    /// Attempts that failed, and when the next one was seen to run.
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

/// `lives` in words: how many, and at what rate.
pub(super) fn told(lives: &[Life], took: Duration) -> String {
    format!("{} jobs, {:.0} a second", lives.len(), lives.len() as f64 / took.as_secs_f64())
}
