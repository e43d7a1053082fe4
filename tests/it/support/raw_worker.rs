//! A worker whose messages are sent and read by the test.

use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::attempt_report::News;
use jobstream::proto::v1::worker_service_client::WorkerServiceClient;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use uuid::Uuid;

use super::{TestServer, wait_for};

/// A Work stream and its received messages that the test has not taken.
pub(crate) struct RawWorker {
    requests: Option<mpsc::Sender<v1::WorkRequest>>,
    answers: Streaming<v1::WorkResponse>,
    pub(crate) welcome: v1::Welcome,
    assignments: Vec<v1::Assignment>,
    cancels: Vec<v1::AttemptCancel>,
    refusals: Vec<v1::ReportRefusal>,
    drains: Vec<v1::Drain>,
    acked: u64,
    reports: u64,
    /// The bytes of the largest message.
    pub(crate) largest: usize,
    /// Leases of the heartbeat that answers a ping; `None` answers no pings.
    pub(crate) alive: Option<Vec<String>>,
}

/// Returns a Hello of an instance for kind `remote`.
pub(crate) fn hello(instance: u128, slots: u32) -> v1::Hello {
    v1::Hello {
        protocol_version: 1,
        name: format!("raw-{instance}"),
        instance_id: Uuid::from_u128(instance).to_string(),
        kinds: vec!["remote".to_owned()],
        slots,
        sdk: "raw/1".to_owned(),
        ..v1::Hello::default()
    }
}

pub(crate) fn complete(text: &str) -> News {
    let body = v1::payload::Body::Text(text.to_owned());
    let result = v1::Payload { body: Some(body), ..v1::Payload::default() };
    News::Complete(v1::AttemptComplete { result: Some(result) })
}

pub(crate) fn release() -> News {
    News::Release(v1::AttemptRelease::default())
}

impl RawWorker {
    pub(crate) async fn open(server: &TestServer, hello: v1::Hello) -> Self {
        Self::try_open(server.channel(), hello).await.expect("the worker is welcome")
    }

    pub(crate) async fn try_open(channel: Channel, hello: v1::Hello) -> Result<Self, Status> {
        Self::try_open_with(channel, hello, |_| {}).await
    }

    /// Opens a stream whose request has more metadata.
    pub(crate) async fn try_open_with(
        channel: Channel,
        hello: v1::Hello,
        add_metadata: impl FnOnce(&mut MetadataMap),
    ) -> Result<Self, Status> {
        let (requests, receiver) = mpsc::channel(64);
        let mut client = WorkerServiceClient::new(channel);
        if let Some(limit) = hello.message_bytes_max {
            client = client.max_decoding_message_size(limit as usize);
        }
        let first = v1::WorkRequest { hello: Some(hello), ..v1::WorkRequest::default() };
        requests.send(first).await.expect("there is capacity");
        let mut request = Request::new(ReceiverStream::new(receiver));
        add_metadata(request.metadata_mut());
        let mut answers = wait_for("Work begins", client.work(request)).await?.into_inner();
        let answer = wait_for("a welcome", answers.message()).await?.expect("an answer");
        let mut worker = Self {
            requests: Some(requests),
            answers,
            welcome: answer.welcome.clone().expect("the first answer welcomes"),
            assignments: Vec::new(),
            cancels: Vec::new(),
            refusals: Vec::new(),
            drains: Vec::new(),
            acked: 0,
            reports: 0,
            largest: 0,
            alive: Some(Vec::new()),
        };
        worker.store(answer);
        Ok(worker)
    }

    pub(crate) async fn send(&self, request: v1::WorkRequest) {
        let requests = self.requests.as_ref().expect("the worker's side is open");
        wait_for("capacity to send", requests.send(request)).await.expect("an open stream");
    }

    pub(crate) async fn accept(&self, assignments: &[v1::Assignment]) {
        let accepted_lease_ids = assignments.iter().map(|one| one.lease_id.clone()).collect();
        self.send(v1::WorkRequest { accepted_lease_ids, ..v1::WorkRequest::default() }).await;
    }

    pub(crate) async fn set_slots(&self, slots: u32) {
        self.send(v1::WorkRequest { slots: Some(slots), ..v1::WorkRequest::default() }).await;
    }

    /// Sends a report with the next sequence. Returns the sequence.
    pub(crate) async fn report(&mut self, lease_id: &str, news: News) -> u64 {
        let number = self.reports + 1;
        self.report_as(number, lease_id, news).await;
        number
    }

    pub(crate) async fn report_as(&mut self, number: u64, lease_id: &str, news: News) {
        self.reports = self.reports.max(number);
        let report =
            v1::AttemptReport { lease_id: lease_id.to_owned(), report_sequence: number, news: Some(news) };
        self.send(v1::WorkRequest { reports: vec![report], ..v1::WorkRequest::default() }).await;
    }

    /// Waits for this many assignments.
    pub(crate) async fn assigned(&mut self, count: usize) -> Vec<v1::Assignment> {
        while self.assignments.len() < count {
            self.step().await.expect("the stream is open");
        }
        self.assignments.drain(..count).collect()
    }

    pub(crate) async fn cancelled(&mut self) -> v1::AttemptCancel {
        while self.cancels.is_empty() {
            self.step().await.expect("the stream is open");
        }
        self.cancels.remove(0)
    }

    pub(crate) async fn drained(&mut self) -> v1::Drain {
        while self.drains.is_empty() {
            self.step().await.expect("the stream is open");
        }
        self.drains.remove(0)
    }

    /// Waits until a report is acknowledged. Returns its refusal, if any.
    pub(crate) async fn acked(&mut self, number: u64) -> Option<v1::ReportRefusal> {
        while self.acked < number {
            self.step().await.expect("the stream is open");
        }
        let at = self.refusals.iter().position(|refusal| refusal.report_sequence == number)?;
        Some(self.refusals.remove(at))
    }

    /// Returns the newest acknowledged sequence, and takes the refusals.
    pub(crate) fn take_refusals(&mut self) -> (u64, Vec<v1::ReportRefusal>) {
        (self.acked, std::mem::take(&mut self.refusals))
    }

    /// Waits for the end of the stream. Returns its status.
    pub(crate) async fn ended(&mut self) -> Result<(), Status> {
        while self.step().await?.is_some() {}
        Ok(())
    }

    /// Closes the worker's side.
    pub(crate) fn close(&mut self) {
        self.requests = None;
    }

    /// Returns the number of assignments that the test has not taken.
    pub(crate) fn surplus(&self) -> usize {
        self.assignments.len()
    }

    /// Reads one message and answers a ping. Returns `None` once the stream has ended OK.
    pub(crate) async fn step(&mut self) -> Result<Option<()>, Status> {
        let Some(answer) = wait_for("an answer", self.answers.message()).await? else { return Ok(None) };
        let is_pinged = answer.ping.is_some();
        self.store(answer);
        if let Some(lease_ids) = self.alive.clone().filter(|_| is_pinged && self.requests.is_some()) {
            let heartbeat = Some(v1::WorkerHeartbeat { lease_ids });
            self.send(v1::WorkRequest { heartbeat, ..v1::WorkRequest::default() }).await;
        }
        Ok(Some(()))
    }

    fn store(&mut self, answer: v1::WorkResponse) {
        self.largest = self.largest.max(answer.encoded_len());
        self.assignments.extend(answer.assignments);
        self.cancels.extend(answer.cancels);
        self.drains.extend(answer.drain);
        if let Some(ack) = answer.ack {
            self.acked = ack.report_sequence;
            self.refusals.extend(ack.refusals);
        }
    }
}

/// Converts a duration to protobuf.
pub(crate) fn span(span: Duration) -> Option<prost_types::Duration> {
    Some(prost_types::Duration::try_from(span).expect("a short span"))
}
