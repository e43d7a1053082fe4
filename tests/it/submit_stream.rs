//! SubmitStream: acknowledgements, outcomes, invalid jobs, and repetition after a disconnect.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::submit_result::Result as Submitted;
use jobstream::proto::v1::{Disposition, JobState};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::support::{
    TestServer, batch, echo, job, json, new_id, refused, refused_in_batch, until, wait_for,
};

/// An open submit stream and its responses.
struct ClientStream {
    requests: Option<mpsc::Sender<v1::SubmitStreamRequest>>,
    answers: Streaming<v1::SubmitStreamResponse>,
    window: u32,
    acks: BTreeMap<u32, Vec<v1::SubmitResult>>,
    ends: Vec<v1::JobEnd>,
}

impl ClientStream {
    async fn open(server: &TestServer) -> Self {
        let (requests, receiver) = mpsc::channel(64);
        Self { requests: Some(requests), ..Self::sending(server, ReceiverStream::new(receiver)).await }
    }

    /// Opens a stream with these requests.
    async fn sending(
        server: &TestServer,
        requests: impl Stream<Item = v1::SubmitStreamRequest> + Send + 'static,
    ) -> Self {
        let answers = wait_for("SubmitStream begins", server.jobs().submit_stream(requests))
            .await
            .expect("a stream")
            .into_inner();
        Self { requests: None, answers, window: 0, acks: BTreeMap::new(), ends: Vec::new() }
    }

    async fn send(&self, batch: u32, jobs: Vec<v1::JobSpec>, outcomes: bool) {
        let request = v1::SubmitStreamRequest { batch, jobs, outcomes };
        let requests = self.requests.as_ref().expect("the client's side is open");
        wait_for("capacity to send", requests.send(request)).await.expect("an open stream");
    }

    /// Reads one response. Returns `None` once the stream has ended OK.
    async fn step(&mut self) -> Result<Option<()>, Status> {
        let Some(answer) = wait_for("an answer", self.answers.message()).await? else { return Ok(None) };
        self.window = self.window.max(answer.window);
        self.acks.extend(answer.acks.into_iter().map(|ack| (ack.batch, ack.results)));
        let overtakes = |end: &&v1::JobEnd| !self.acks.contains_key(&end.batch);
        assert_eq!(answer.outcomes.iter().find(overtakes), None, "before its acknowledgement");
        self.ends.extend(answer.outcomes);
        Ok(Some(()))
    }

    /// Closes the client's side and reads until the stream ends.
    async fn finish(&mut self) -> Result<(), Status> {
        self.requests = None;
        while self.step().await?.is_some() {}
        Ok(())
    }

    fn created(&self, batch: u32) -> usize {
        let is_created = |result: &&v1::SubmitResult| match &result.result {
            Some(Submitted::Submitted(answer)) => answer.disposition() == Disposition::Created,
            _ => false,
        };
        self.acks[&batch].iter().filter(is_created).count()
    }
}

#[tokio::test]
async fn every_batch_is_acknowledged_and_every_outcome_sent_once() {
    let server = TestServer::start().await;
    let mut stream = ClientStream::open(&server).await;
    for number in 0..20 {
        stream.send(number, batch(100), true).await;
    }
    stream.finish().await.unwrap();
    assert_eq!(stream.window, 65_536);
    assert!((0..20).all(|number| stream.created(number) == 100));
    let places: BTreeSet<_> = stream.ends.iter().map(|end| (end.batch, end.index)).collect();
    assert_eq!((places.len(), stream.ends.len()), (2_000, 2_000));
    for end in &stream.ends {
        let Some(Submitted::Submitted(ack)) = &stream.acks[&end.batch][end.index as usize].result else {
            panic!("an outcome of a job that was refused: {end:?}")
        };
        assert_eq!((&end.job_id, end.state()), (&ack.job_id, JobState::Succeeded));
        let result = server_result(end);
        assert_eq!(result, end.index.to_string());
    }
}

fn server_result(end: &v1::JobEnd) -> String {
    let Some(v1::outcome::End::Result(result)) = end.outcome.clone().and_then(|outcome| outcome.end) else {
        panic!("no result: {end:?}")
    };
    let Some(v1::payload::Body::Text(text)) = result.body else { panic!("no text: {result:?}") };
    text
}

#[tokio::test]
async fn no_outcome_is_sent_before_its_acknowledgement() {
    let server = TestServer::start().await;
    let jobs = |number| match number % 10 {
        0..4 => vec![job(&"not a kind ".repeat(30))],
        _ => vec![echo("valid")],
    };
    let request = move |batch| v1::SubmitStreamRequest { batch, jobs: jobs(batch), outcomes: true };
    let mut stream = ClientStream::sending(&server, tokio_stream::iter((0..2_000).map(request))).await;
    stream.finish().await.unwrap();
    assert_eq!((stream.acks.len(), stream.ends.len()), (2_000, 1_200));
}

#[tokio::test]
async fn the_first_response_has_the_window() {
    let server = TestServer::start().await;
    let mut stream = ClientStream::open(&server).await;
    stream.step().await.unwrap().expect("an answer");
    assert_eq!((stream.window, stream.acks.len()), (65_536, 0));
    stream.finish().await.unwrap();
}

#[tokio::test]
async fn without_outcomes_the_stream_ends_after_its_acknowledgements() {
    let server = TestServer::start().await;
    let mut stream = ClientStream::open(&server).await;
    stream.send(7, vec![job("test.gate")], false).await;
    stream.finish().await.unwrap();
    assert_eq!((stream.created(7), stream.ends.len()), (1, 0));
}

#[tokio::test]
async fn with_outcomes_the_stream_is_open_until_the_last_job_ends() {
    let server = TestServer::start().await;
    let mut stream = ClientStream::open(&server).await;
    stream.send(1, vec![job("test.gate"), echo("quick")], true).await;
    stream.requests = None;
    while stream.ends.is_empty() {
        stream.step().await.unwrap().expect("the stream is open");
    }
    assert_eq!(stream.ends[0].index, 1);
    server.gate.arrival().await;
    server.gate.open(1);
    stream.finish().await.unwrap();
    assert_eq!(stream.ends.iter().map(|end| end.index).collect::<Vec<_>>(), [1, 0]);
}

#[tokio::test]
async fn an_invalid_job_is_rejected_alone() {
    let server = TestServer::start().await;
    let mut stream = ClientStream::open(&server).await;
    stream.send(1, vec![echo("valid"), job("not a kind"), echo("valid too")], true).await;
    stream.finish().await.unwrap();
    let message = refused_in_batch(&stream.acks[&1][1], Code::InvalidArgument, "INVALID_FIELD");
    assert!(message.starts_with("jobs[1].kind: "), "{message}");
    assert_eq!((stream.created(1), stream.ends.len()), (2, 2));
}

#[tokio::test]
async fn a_batch_of_invalid_size_ends_the_stream_after_earlier_acks() {
    let server = TestServer::start().await;
    for invalid in [Vec::new(), batch(1_001)] {
        let mut stream = ClientStream::open(&server).await;
        for number in 0..4 {
            stream.send(number, batch(10), false).await;
        }
        stream.send(4, invalid, false).await;
        let status = stream.finish().await.unwrap_err();
        refused(&status, Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(stream.acks.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}

#[tokio::test]
async fn repeated_batches_on_a_new_stream_run_no_job_twice() {
    let server = TestServer::start().await;
    let jobs: Vec<_> = (0..10).map(|_| batch(50)).collect();
    let mut stream = ClientStream::open(&server).await;
    for (number, jobs) in jobs.iter().enumerate() {
        stream.send(number as u32, jobs.clone(), true).await;
    }
    stream.step().await.unwrap().expect("an answer");
    drop(stream);

    let mut stream = ClientStream::open(&server).await;
    for (number, jobs) in jobs.iter().enumerate() {
        stream.send(number as u32, jobs.clone(), true).await;
    }
    stream.finish().await.unwrap();
    assert_eq!(stream.ends.len(), 500);
    assert_eq!(server.info().await.jobs, 500);
    for spec in jobs.iter().flatten().step_by(37) {
        assert_eq!(server.get(&spec.job_id).await.attempt, 1);
    }
}

#[tokio::test]
async fn a_full_window_blocks_requests_until_outcomes_are_sent() {
    let server = TestServer::start().await;
    server.pause("default").await;
    let mut stream = ClientStream::open(&server).await;
    stream.step().await.unwrap().expect("an answer");
    let batches = stream.window.div_ceil(1_000) + 1;
    let requests = stream.requests.clone().expect("open");
    let sending = tokio::spawn(async move {
        for number in 0..batches {
            let request = v1::SubmitStreamRequest { batch: number, jobs: batch(1_000), outcomes: true };
            requests.send(request).await.expect("an open stream");
        }
    });
    while stream.acks.len() + 1 < batches as usize {
        stream.step().await.unwrap().expect("the stream is open");
    }
    assert_eq!(server.info().await.jobs, (batches - 1) * 1_000);
    server.resume("default").await;
    wait_for("every batch is sent", sending).await.expect("no panic");
    stream.finish().await.unwrap();
    assert_eq!(stream.acks.len(), batches as usize);
    assert_eq!(stream.ends.len(), batches as usize * 1_000);
}

#[tokio::test]
async fn responses_with_large_outcomes_stay_below_the_message_limit() {
    let server = TestServer::start().await;
    // Small as text, and five times as large as values on the wire.
    let wide = json(serde_json::json!(vec![0; 180_000]));
    let spec = v1::JobSpec { payload: Some(wide), ..job("demo.echo") };
    let mut stream = ClientStream::open(&server).await;
    server.pause("default").await;
    for number in 0..3 {
        stream.send(number, vec![spec.clone()], true).await;
    }
    while stream.acks.len() < 3 {
        stream.step().await.unwrap().expect("the stream is open");
    }
    server.resume("default").await;
    stream.finish().await.unwrap();
    assert_eq!(stream.ends.len(), 3);
}

#[tokio::test]
async fn responses_with_many_errors_stay_below_the_message_limit() {
    let server = TestServer::start().await;
    let labels = (0..16).map(|number| (format!("{number}\u{1}{}", "x".repeat(60)), "\u{1}".repeat(90)));
    let invalid = v1::JobSpec { labels: labels.collect(), ..job("not a kind") };
    let mut stream = ClientStream::open(&server).await;
    for number in 0..4 {
        stream.send(number, vec![invalid.clone(); 1_000], false).await;
    }
    stream.finish().await.unwrap();
    assert_eq!(stream.acks.len(), 4);
}

#[tokio::test]
async fn a_removed_job_is_acknowledged_with_its_state_and_no_outcome() {
    let server = TestServer::with(|setup| setup.engine.core.retention = Duration::ZERO).await;
    let spec = v1::JobSpec { job_id: new_id(), ..echo("once") };
    server.try_submit(spec.clone()).await.expect("the job is accepted");
    until("it is removed", async || server.try_result(&spec.job_id, Duration::ZERO).await.is_err()).await;
    let request = v1::SubmitStreamRequest { batch: 3, jobs: vec![spec.clone()], outcomes: true };
    let answers = server.jobs().submit_stream(tokio_stream::once(request)).await.expect("the stream opens");
    let mut answers = answers.into_inner();
    let (mut acks, mut ends) = (Vec::new(), Vec::new());
    while let Some(answer) = wait_for("an answer", answers.message()).await.expect("no error") {
        acks.extend(answer.acks);
        ends.extend(answer.outcomes);
    }
    let Some(Submitted::Submitted(ack)) = &acks[0].results[0].result else { panic!("{acks:?}") };
    assert_eq!((ack.disposition(), ack.state()), (Disposition::Existing, JobState::Succeeded));
    assert_eq!((ends.len(), ends[0].batch, &ends[0].job_id), (1, 3, &spec.job_id));
    assert_eq!((ends[0].state(), &ends[0].outcome), (JobState::Succeeded, &None));
    let request = v1::RunRequest { job: Some(spec), ..Default::default() };
    let mut run =
        wait_for("Run answers", server.jobs().run(request)).await.expect("the stream opens").into_inner();
    let first = wait_for("the first message", run.message()).await.expect("no error");
    assert!(matches!(first.and_then(|first| first.message), Some(v1::run_response::Message::Submitted(_))));
    let gone = wait_for("the end", run.message()).await.expect_err("its events are gone");
    refused(&gone, Code::NotFound, "RESULT_EXPIRED");
}
