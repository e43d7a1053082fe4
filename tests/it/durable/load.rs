//! Load from clients of several types that survive restarts and record all requests and responses.

use std::collections::HashMap;
use std::time::Duration;

use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::proto::v1::run_response::Message as Ran;
use jobstream::proto::v1::submit_result::Result as Submitted;
use jobstream::proto::v1::watch_result_response::Message as Watched;
use jobstream::proto::v1::{self};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::checker::journal::{Journal, end_of};
use crate::support::{Dev, job, json, millis, new_id, seconds, text, wait_for, watch_request};

/// The clients of each type, and the clients per connection.
const CLIENTS: usize = 4;
const CLIENTS_PER_CONNECTION: usize = 8;
/// The jobs of a batch.
const BATCH: usize = 25;
/// The batches of one submit stream.
const BATCHES: u32 = 8;
/// The pause between retries.
const PAUSE: Duration = Duration::from_millis(10);

/// The running clients.
pub(super) struct Load {
    clients: JoinSet<Journal>,
    ended: watch::Receiver<usize>,
    stop: CancellationToken,
}

/// One client.
struct Client {
    jobs: JobServiceClient<Channel>,
    journal: Journal,
    random: StdRng,
    ended: watch::Sender<usize>,
    stop: CancellationToken,
}

#[derive(Clone, Copy)]
enum ClientType {
    /// One job at a time: submit, watch, get and sometimes delete.
    Watching,
    /// BatchSubmit, then GetResult.
    Batching,
    /// SubmitStream with outcomes.
    Streaming,
    /// Run.
    Running,
}

impl Load {
    pub(super) fn start(dev: &Dev, seed: u64) -> Self {
        let (ended, ended_count) = watch::channel(0);
        let stop = CancellationToken::new();
        let (mut clients, mut channel) = (JoinSet::new(), None);
        let sorts = [ClientType::Watching, ClientType::Batching, ClientType::Streaming, ClientType::Running];
        for (number, client_type) in std::iter::repeat_n(sorts, CLIENTS).flatten().enumerate() {
            if number % CLIENTS_PER_CONNECTION == 0 {
                channel = Some(dev.channel());
            }
            let client = Client {
                jobs: JobServiceClient::new(channel.clone().expect("the first has opened one")),
                journal: Journal::default(),
                random: StdRng::seed_from_u64(seed.wrapping_add(number as u64)),
                ended: ended.clone(),
                stop: stop.clone(),
            };
            clients.spawn(client.work(client_type));
        }
        Self { clients, ended: ended_count, stop }
    }

    /// Waits until this many more jobs have ended.
    pub(super) async fn wait_for_ends(&mut self, jobs: usize) {
        let goal = self.ended() + jobs;
        wait_for("jobs end", self.ended.wait_for(|ended| *ended >= goal)).await.expect("the clients run");
    }

    /// Returns the number of ended jobs.
    pub(super) fn ended(&self) -> usize {
        *self.ended.borrow()
    }

    /// Stops the clients after their current jobs. Returns the journal.
    pub(super) async fn finish(self) -> Journal {
        self.stop.cancel();
        let mut all = Journal::default();
        for journal in wait_for("the clients end", self.clients.join_all()).await {
            all.traces.extend(journal.traces);
        }
        all
    }
}

impl Client {
    async fn work(mut self, client_type: ClientType) -> Journal {
        while !self.stop.is_cancelled() {
            match client_type {
                ClientType::Watching => self.watch_one().await,
                ClientType::Batching => self.batch().await,
                // A broken stream leaves jobs without acknowledgement. The checker checks those too.
                ClientType::Streaming => drop(self.stream().await),
                ClientType::Running => drop(self.run().await),
            }
        }
        self.journal
    }

    /// Returns a job that succeeds in the end, and records it as sent.
    fn spec(&mut self) -> v1::JobSpec {
        let words = format!("{:x}", self.random.random::<u64>());
        let retry = v1::RetryPolicy {
            max_attempts: 3,
            initial_backoff: Some(millis(5)),
            max_lost_attempts: 100,
            ..Default::default()
        };
        let spec = match self.random.random_range(0..10) {
            0 => v1::JobSpec {
                payload: Some(json(serde_json::json!({"to": 2, "interval_seconds": 0.005}))),
                ..job("demo.count")
            },
            1 => v1::JobSpec {
                payload: Some(json(serde_json::json!({"chunks": 3, "interval_seconds": 0.003}))),
                ..job("demo.stream")
            },
            2 => v1::JobSpec { payload: Some(json(serde_json::json!({"failures": 1}))), ..job("demo.flaky") },
            _ => v1::JobSpec { payload: Some(text(&words)), ..job("demo.echo") },
        };
        let labels = HashMap::from([("words".to_owned(), words)]);
        let spec = v1::JobSpec { job_id: new_id(), labels, retry: Some(retry), ..spec };
        self.journal.record_sent(&spec);
        spec
    }

    fn has_ended(&self) {
        self.ended.send_modify(|ended| *ended += 1);
    }

    async fn pause(&self) {
        tokio::time::sleep(PAUSE).await;
    }

    async fn watch_one(&mut self) {
        let spec = self.spec();
        let id = spec.job_id.clone();
        let request = v1::SubmitRequest { job: Some(spec), validate_only: false };
        while self.jobs.submit(request.clone()).await.is_err() {
            self.pause().await;
        }
        self.journal.trace(&id).is_acknowledged = true;
        let mut after = 0;
        while let Err(sequence) = self.follow(&id, after).await {
            after = sequence;
            self.pause().await;
        }
        self.get(&id).await;
        if self.random.random_range(0..5) == 0 {
            self.remove(&id).await;
        }
    }

    /// Watches from a sequence to the end. Returns the last sequence if the stream fails.
    async fn follow(&mut self, id: &str, mut after: u32) -> Result<(), u32> {
        let mut stream = match self.jobs.watch_result(watch_request(id, after)).await {
            Ok(opened) => opened.into_inner(),
            Err(status) if matches!(status.code(), Code::InvalidArgument | Code::NotFound) => {
                self.journal.trace(id).breaches.push(format!("a watch after {after} is refused: {status}"));
                return Ok(());
            }
            Err(_) => return Err(after),
        };
        // A broken stream may have returned the final event.
        let mut is_over = !self.journal.trace(id).ends.is_empty();
        while let Some(message) = stream.message().await.map_err(|_| after)? {
            if let Some(Watched::Event(event)) = message.message {
                is_over |= end_of(&event).is_some();
                after = self.journal.trace(id).record_event(after, event);
            }
        }
        if !is_over {
            let breach = format!("a watch ended OK after {after} without the end");
            self.journal.trace(id).breaches.push(breach);
        }
        Ok(())
    }

    /// Waits for the outcome of a job.
    async fn get(&mut self, id: &str) {
        let request = v1::GetResultRequest { job_id: id.to_owned(), wait: Some(seconds(10)) };
        loop {
            match self.jobs.get_result(request.clone()).await {
                Ok(answer) if answer.get_ref().outcome.is_some() => {
                    self.journal.trace(id).record_outcome("GetResult", answer.into_inner().outcome);
                    return self.has_ended();
                }
                Err(status) if status.code() == Code::NotFound => {
                    let breach = format!("GetResult does not know it: {status}");
                    return self.journal.trace(id).breaches.push(breach);
                }
                _ => self.pause().await,
            }
        }
    }

    async fn remove(&mut self, id: &str) {
        self.journal.trace(id).is_removal_sent = true;
        loop {
            match self.jobs.delete(v1::DeleteRequest { job_id: id.to_owned() }).await {
                Ok(_) => break,
                // An earlier delete succeeded and its response was lost.
                Err(status) if status.code() == Code::NotFound => break,
                Err(_) => self.pause().await,
            }
        }
        self.journal.trace(id).is_removal_acknowledged = true;
    }

    async fn batch(&mut self) {
        let jobs: Vec<_> = (0..BATCH).map(|_| self.spec()).collect();
        let ids: Vec<_> = jobs.iter().map(|job| job.job_id.clone()).collect();
        let request = v1::BatchSubmitRequest { jobs, atomic: self.random.random() };
        while !self.try_batch(&request).await {
            self.pause().await;
        }
        for id in ids {
            self.get(&id).await;
        }
    }

    /// Returns whether every job of the batch was accepted.
    async fn try_batch(&mut self, request: &v1::BatchSubmitRequest) -> bool {
        let results = match self.jobs.batch_submit(request.clone()).await {
            Ok(answer) => answer.into_inner().results,
            Err(status) => {
                assert_ne!(status.code(), Code::InvalidArgument, "{status}");
                return false;
            }
        };
        let mut is_whole = true;
        for result in results {
            match result.result {
                Some(Submitted::Submitted(job)) => self.journal.trace(&job.job_id).is_acknowledged = true,
                _ => is_whole = false,
            }
        }
        is_whole
    }

    async fn stream(&mut self) -> Result<(), Status> {
        let batches: Vec<_> = (0..BATCHES)
            .map(|batch| {
                let jobs = (0..BATCH).map(|_| self.spec()).collect();
                v1::SubmitStreamRequest { batch, jobs, outcomes: true }
            })
            .collect();
        let opened = self.jobs.submit_stream(tokio_stream::iter(batches)).await;
        let mut answers = match opened {
            Ok(answers) => answers.into_inner(),
            Err(status) => {
                // A longer pause: each failed stream leaves many unacknowledged jobs.
                tokio::time::sleep(10 * PAUSE).await;
                return Err(status);
            }
        };
        while let Some(answer) = answers.message().await? {
            for result in answer.acks.into_iter().flat_map(|ack| ack.results) {
                if let Some(Submitted::Submitted(submitted)) = result.result {
                    self.journal.trace(&submitted.job_id).is_acknowledged = true;
                }
            }
            for end in answer.outcomes {
                self.journal.trace(&end.job_id).record_outcome("SubmitStream", end.outcome);
                self.has_ended();
            }
        }
        Ok(())
    }

    async fn run(&mut self) -> Result<(), Status> {
        let spec = self.spec();
        let id = spec.job_id.clone();
        let request = v1::RunRequest { job: Some(spec), ..Default::default() };
        let mut answers = match self.jobs.run(request).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => {
                self.pause().await;
                return Err(status);
            }
        };
        let mut after = 0;
        while let Some(answer) = answers.message().await? {
            match answer.message {
                Some(Ran::Submitted(_)) => self.journal.trace(&id).is_acknowledged = true,
                Some(Ran::Event(event)) => after = self.journal.trace(&id).record_event(after, event),
                _ => {}
            }
        }
        self.has_ended();
        Ok(())
    }
}
