//! SubmitStream under load: sends batches of jobs, and counts and checks the acknowledgements and outcomes of each job.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use bytes::{BufMut, Bytes, BytesMut};
use h2::SendStream;
use jobstream::proto::v1;
use prost::Message;
use tokio::task::JoinSet;

use super::child::ServerProcess;
use super::jobs::{self, expect};
use super::sample::{Sample, Window};
use super::wire::{Answer, Call, Connection, put_head};
use super::{Failed, Result};

/// The jobs of a stream, and how many are in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamLoad {
    pub(super) kind: &'static str,
    pub(super) jobs_per_message: u32,
    /// Most jobs of one stream in flight.
    pub(super) window_jobs: u32,
    /// Whether a job is in flight until its outcome, or until its acknowledgement.
    pub(super) outcomes: bool,
}

/// State shared by the streams.
#[derive(Default)]
struct Progress {
    jobs: AtomicU64,
    stop: AtomicBool,
}

/// Runs one stream a connection and measures jobs after a warm-up.
pub(super) async fn measure(
    server: &ServerProcess,
    load: StreamLoad,
    connections: usize,
    seconds: f64,
) -> Result<Sample> {
    let progress = Arc::new(Progress::default());
    let mut streams = JoinSet::new();
    for connection in Connection::open_many(server.port(), connections).await? {
        streams.spawn(run(connection, load, u64::MAX, progress.clone()));
    }
    let window = Window::after_warm_up(server, || progress.jobs.load(Relaxed)).await?;
    let sample = window.end_after(seconds, server, || progress.jobs.load(Relaxed)).await?;
    progress.stop.store(true, Relaxed);
    while let Some(ended) = streams.join_next().await {
        ended??;
    }
    Ok(sample)
}

/// Jobs sent before memory is measured, until the buffers of the server have grown.
const WARM_UP_JOBS: u64 = 10_000;

/// Sends this many jobs over one stream and returns once none is in flight.
pub(super) async fn fill(server: &ServerProcess, load: StreamLoad, jobs: u64) -> Result<()> {
    run(Connection::open(server.port()).await?, load, jobs, Arc::default()).await
}

/// Measures the cost of each of this many jobs, after a warm-up.
pub(super) async fn fill_measured(server: &ServerProcess, load: StreamLoad, jobs: u64) -> Result<Sample> {
    fill(server, load, WARM_UP_JOBS).await?;
    let window = Window::begin(server, 0)?;
    fill(server, load, jobs).await?;
    window.end(server, jobs)
}

async fn run(
    mut connection: Connection,
    load: StreamLoad,
    jobs_max: u64,
    progress: Arc<Progress>,
) -> Result<()> {
    let call = Call::new(&jobs::path("SubmitStream"), &v1::SubmitStreamRequest::default())?;
    let (response, send) = connection.open_stream(&call)?;
    let mut sender = Sender::new(send, load);
    sender.fill(0, jobs_max)?;
    let mut answer = Answer::of(response).await?;
    let mut answers = Answers::new(load);
    let mut counted = 0;
    while answer.read().await? {
        while let Some(message) = answer.next_message() {
            answers.count(&StreamAnswer::decode(message)?)?;
        }
        progress.jobs.fetch_add(answers.answered() - counted, Relaxed);
        counted = answers.answered();
        match progress.stop.load(Relaxed) || sender.jobs >= jobs_max {
            false => sender.fill(counted, jobs_max)?,
            true => sender.finish()?,
        }
    }
    answers.check_complete(sender.jobs)
}

/// Sends batches up to the window. A batch is its number, then the same bytes each time.
struct Sender {
    send: SendStream<Bytes>,
    load: StreamLoad,
    batch_tail: Bytes,
    batch: u32,
    jobs: u64,
    finished: bool,
}

/// The field of the batch number with a number of fixed length, which protobuf allows.
const BATCH_FIELD_BYTES: usize = 6;

impl Sender {
    fn new(send: SendStream<Bytes>, load: StreamLoad) -> Self {
        let jobs = vec![jobs::spec(load.kind); load.jobs_per_message as usize];
        let request = v1::SubmitStreamRequest { batch: 0, jobs, outcomes: load.outcomes };
        Self { send, load, batch_tail: request.encode_to_vec().into(), batch: 0, jobs: 0, finished: false }
    }

    fn fill(&mut self, answered: u64, jobs_max: u64) -> Result<()> {
        let mut frames = BytesMut::new();
        let batch_jobs = u64::from(self.load.jobs_per_message);
        while self.jobs + batch_jobs - answered <= u64::from(self.load.window_jobs) && self.jobs < jobs_max {
            put_head(&mut frames, BATCH_FIELD_BYTES + self.batch_tail.len());
            put_batch_number(&mut frames, self.batch);
            frames.put_slice(&self.batch_tail);
            self.batch = self.batch.wrapping_add(1);
            self.jobs += batch_jobs;
        }
        if !frames.is_empty() {
            self.send.send_data(frames.freeze(), false)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if !std::mem::replace(&mut self.finished, true) {
            self.send.send_data(Bytes::new(), true)?;
        }
        Ok(())
    }
}

fn put_batch_number(frames: &mut BytesMut, batch: u32) {
    const FIELD_1_VARINT: u8 = 0x08;
    const MORE: u32 = 0x80;
    frames.put_u8(FIELD_1_VARINT);
    for shift in [0, 7, 14, 21] {
        frames.put_u8((batch >> shift & 0x7f | MORE) as u8);
    }
    frames.put_u8((batch >> 28) as u8);
}

/// Counts and checks the answers of one stream.
struct Answers {
    load: StreamLoad,
    acked_batches: u32,
    acked_jobs: u64,
    ended_jobs: u64,
    /// Sum of the indexes of the ended jobs in the stream: shows whether each of them ended once.
    index_sum: u64,
}

impl Answers {
    fn new(load: StreamLoad) -> Self {
        Self { load, acked_batches: 0, acked_jobs: 0, ended_jobs: 0, index_sum: 0 }
    }

    fn answered(&self) -> u64 {
        if self.load.outcomes { self.ended_jobs } else { self.acked_jobs }
    }

    fn count(&mut self, answer: &StreamAnswer) -> Result<()> {
        for ack in &answer.acks {
            expect(ack.batch == self.acked_batches, "an acknowledgement is out of order")?;
            expect(ack.results.len() == self.load.jobs_per_message as usize, "an ack has too few results")?;
            expect(ack.results.iter().all(|result| result.submitted.is_some()), "a job was refused")?;
            self.acked_batches = self.acked_batches.wrapping_add(1);
            self.acked_jobs += ack.results.len() as u64;
        }
        for job in &answer.outcomes {
            let is_result = job.outcome.as_ref().is_some_and(|outcome| outcome.result.is_some());
            expect(is_result && job.state == v1::JobState::Succeeded as i32, "a job did not succeed")?;
            self.index_sum +=
                u64::from(job.batch) * u64::from(self.load.jobs_per_message) + u64::from(job.index);
        }
        self.ended_jobs += answer.outcomes.len() as u64;
        Ok(())
    }

    fn check_complete(&self, sent: u64) -> Result<()> {
        if self.acked_jobs != sent {
            return Err(Failed::new(format!("{} of {sent} jobs were acknowledged", self.acked_jobs)).into());
        }
        let expected_sum = u128::from(sent) * u128::from(sent.saturating_sub(1)) / 2;
        let is_each_once = self.ended_jobs == sent && u128::from(self.index_sum) == expected_sum;
        expect(!self.load.outcomes || is_each_once, "not every job ended exactly once")
    }
}

/// The parts of a `SubmitStreamResponse` that are checked; the rest is skipped.
#[derive(Clone, PartialEq, Message)]
struct StreamAnswer {
    #[prost(message, repeated, tag = "1")]
    acks: Vec<Ack>,
    #[prost(message, repeated, tag = "2")]
    outcomes: Vec<Ended>,
}

#[derive(Clone, PartialEq, Message)]
struct Ack {
    #[prost(uint32, tag = "1")]
    batch: u32,
    #[prost(message, repeated, tag = "2")]
    results: Vec<AckResult>,
}

#[derive(Clone, PartialEq, Message)]
struct AckResult {
    #[prost(message, optional, tag = "1")]
    submitted: Option<Present>,
}

#[derive(Clone, PartialEq, Message)]
struct Ended {
    #[prost(uint32, tag = "2")]
    batch: u32,
    #[prost(uint32, tag = "3")]
    index: u32,
    #[prost(int32, tag = "4")]
    state: i32,
    #[prost(message, optional, tag = "5")]
    outcome: Option<EndedOutcome>,
}

#[derive(Clone, PartialEq, Message)]
struct EndedOutcome {
    #[prost(message, optional, tag = "1")]
    result: Option<Present>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Present {}
