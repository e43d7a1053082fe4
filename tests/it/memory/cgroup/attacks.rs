//! Concurrent attacks on the memory of a server.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use jobstream::proto::v1;
use jobstream::proto::v1::attempt_report::News;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::proto::v1::worker_service_client::WorkerServiceClient;
use prost::Message;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::support::{Dev, data, frame, job, millis, new_id, seconds, text};

/// The streams of the connection that fills the queue.
const FILLERS: usize = 4;
/// The jobs that are retried with large failures, and the jobs that write output.
const RETRIED: usize = 200;
const WRITING: usize = 400;
/// The workers with a thousand kinds of maximal length.
const WORKERS: usize = 100;
/// The unread results and the unfinished requests per connection.
const UNREAD: usize = 300;
const UNFINISHED: usize = 100;
/// The interval between two rounds of the attacks on connections.
const ROUND: Duration = Duration::from_secs(5);

/// Counters of the effects of the attacks.
#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
    failed_attempts: AtomicU64,
    chunks: AtomicU64,
    workers_welcome: AtomicU64,
    workers_refused: AtomicU64,
    large_batches: AtomicU64,
    unread: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The running attacks.
pub(super) struct Attacks {
    counts: Arc<Counts>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Attacks {
    pub(super) async fn begin(dev: &Dev) -> Self {
        let address: SocketAddr = dev.address.parse().expect("an address");
        let (counts, stop) = (Arc::new(Counts::default()), CancellationToken::new());
        let mut tasks = JoinSet::new();
        let mut attack = |task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let stop = stop.clone();
            tasks.spawn(async move {
                stop.run_until_cancelled(task).await;
            });
        };
        let hog = dev.channel();
        for _ in 0..FILLERS {
            attack(Box::pin(fill(hog.clone(), counts.clone())));
        }
        attack(Box::pin(fail(dev.channel(), counts.clone())));
        attack(Box::pin(write_output(dev.channel(), counts.clone())));
        attack(Box::pin(introduce(dev.channel(), counts.clone())));
        attack(Box::pin(many_elements(dev.channel(), counts.clone())));
        attack(Box::pin(unread(address, dev.channel(), counts.clone())));
        attack(Box::pin(unfinished(address)));
        Self { counts, tasks, stop }
    }

    /// Returns the number of jobs rejected by the full queue.
    pub(super) fn refused(&self) -> u64 {
        self.counts.refused.load(Ordering::Relaxed)
    }

    /// Stops the attacks. Returns a summary of their effects.
    pub(super) async fn end(mut self) -> String {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.counts.to_string()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            f,
            "large jobs accepted {} and refused {}, failed attempts {}, chunks of output {}, workers welcome {} and \
             refused {}, batches of 2,000,000 jobs {}, unread results {}",
            value(&self.accepted),
            value(&self.refused),
            value(&self.failed_attempts),
            value(&self.chunks),
            value(&self.workers_welcome),
            value(&self.workers_refused),
            value(&self.large_batches),
            value(&self.unread),
        )
    }
}

/// Submits jobs of 1 MiB without a worker, without end.
async fn fill(channel: Channel, counts: Arc<Counts>) {
    let mut jobs = JobServiceClient::new(channel);
    loop {
        let spec =
            v1::JobSpec { payload: Some(data(vec![7; 1 << 20])), queue: "full".into(), ..job("nobody") };
        match jobs.submit(v1::SubmitRequest { job: Some(spec), validate_only: false }).await {
            Ok(_) => count(&counts.accepted),
            Err(_) => {
                count(&counts.refused);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Submits and leases jobs of a kind. Returns their leases.
async fn leased(channel: &Channel, kind: &str, jobs: usize) -> Vec<String> {
    let retry = v1::RetryPolicy { max_attempts: 100, initial_backoff: Some(millis(1)), ..Default::default() };
    let retry = v1::RetryPolicy { max_backoff: Some(millis(1)), ..retry };
    let mut service = JobServiceClient::new(channel.clone());
    for _ in 0..jobs {
        let spec = v1::JobSpec { retry: Some(retry), queue: kind.to_owned(), ..job(kind) };
        let _ = service.submit(v1::SubmitRequest { job: Some(spec), validate_only: false }).await;
    }
    lease(channel, kind).await
}

async fn lease(channel: &Channel, kind: &str) -> Vec<String> {
    let mut leases = Vec::new();
    let mut worker = WorkerServiceClient::new(channel.clone());
    for _ in 0..10 {
        let request = v1::LeaseRequest {
            name: kind.to_owned(),
            kinds: vec![kind.to_owned()],
            max_jobs: 100,
            wait: Some(millis(20)),
            ..Default::default()
        };
        if let Ok(answer) = worker.lease(request).await {
            leases.extend(answer.into_inner().assignments.into_iter().map(|assignment| assignment.lease_id));
        }
    }
    leases
}

/// Sends a report for each lease. Returns the valid leases.
async fn report(channel: &Channel, leases: Vec<String>, news: &News) -> Vec<String> {
    let mut worker = WorkerServiceClient::new(channel.clone());
    let mut valid = Vec::new();
    for part in leases.chunks(30) {
        let report = |lease: &String| v1::AttemptReport {
            lease_id: lease.clone(),
            news: Some(news.clone()),
            ..Default::default()
        };
        let request = v1::ReportRequest { reports: part.iter().map(report).collect(), ..Default::default() };
        if let Ok(answer) = worker.report(request).await {
            let results = answer.into_inner().results;
            valid.extend(
                part.iter().zip(results).filter(|(_, status)| status.code == 0).map(|(id, _)| id.clone()),
            );
        }
    }
    valid
}

/// Fails attempts with failures of maximal size. Their jobs are retried.
async fn fail(channel: Channel, counts: Arc<Counts>) {
    let failure = v1::Failure {
        message: "m".repeat(4_000),
        details: Some(data(vec![7; 16_000])),
        retryable: true,
        ..Default::default()
    };
    let news = News::Fail(v1::AttemptFail { failure: Some(failure), ..Default::default() });
    let mut leases = leased(&channel, "fails", RETRIED).await;
    loop {
        let failed = report(&channel, leases, &news).await.len();
        counts.failed_attempts.fetch_add(failed as u64, Ordering::Relaxed);
        leases = match failed {
            0 => leased(&channel, "fails", RETRIED).await,
            _ => lease(&channel, "fails").await,
        };
    }
}

/// Writes output of running attempts without end.
async fn write_output(channel: Channel, counts: Arc<Counts>) {
    let news = News::Output(v1::Output { payload: Some(text(&"o".repeat(32 << 10))), ..Default::default() });
    let mut leases = leased(&channel, "talks", WRITING).await;
    loop {
        leases = report(&channel, leases, &news).await;
        counts.chunks.fetch_add(leases.len() as u64, Ordering::Relaxed);
        if leases.is_empty() {
            leases = leased(&channel, "talks", WRITING).await;
        }
    }
}

/// Connects workers with a thousand kinds of 128 characters each.
async fn introduce(channel: Channel, counts: Arc<Counts>) {
    let mut open = Vec::new();
    for number in 0..WORKERS {
        let kinds = (0..1_000).map(|kind| format!("{number}-{kind}-{}", "k".repeat(115))).collect();
        let hello = v1::Hello {
            protocol_version: 1,
            name: "n".repeat(100),
            instance_id: new_id(),
            kinds,
            slots: 1,
            ..Default::default()
        };
        let (sender, requests) = mpsc::channel(1);
        let first = v1::WorkRequest { hello: Some(hello), ..Default::default() };
        let _ = sender.send(first).await;
        let mut worker = WorkerServiceClient::new(channel.clone());
        let welcome = match worker.work(ReceiverStream::new(requests)).await {
            Ok(answers) => {
                let mut answers = answers.into_inner();
                let first = answers.message().await;
                let is_welcome = first.is_ok();
                open.push((sender, answers));
                is_welcome
            }
            Err(_) => false,
        };
        count(if welcome { &counts.workers_welcome } else { &counts.workers_refused });
    }
    std::future::pending::<()>().await;
}

/// Sends batches of two million jobs in four megabytes.
async fn many_elements(channel: Channel, counts: Arc<Counts>) {
    let body = Bytes::from([0x0a, 0x00].repeat(2_000_000));
    let mut grpc = tonic::client::Grpc::new(channel);
    loop {
        if grpc.ready().await.is_ok() {
            let path = http::uri::PathAndQuery::from_static("/jobstream.v1.JobService/BatchSubmit");
            let codec = RawCodec;
            let _ = grpc.unary(tonic::Request::new(body.clone()), path, codec).await;
            count(&counts.large_batches);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Opens a connection that reads no response.
async fn connect_without_reading(address: SocketAddr) -> Option<h2::client::SendRequest<Bytes>> {
    let stream = TcpStream::connect(address).await.ok()?;
    let mut builder = h2::client::Builder::new();
    let (requests, connection) = builder.initial_window_size(0).handshake(stream).await.ok()?;
    tokio::spawn(async move {
        let _ = tokio::time::timeout(ROUND, connection).await;
    });
    Some(requests)
}

fn call(address: SocketAddr, method: &str) -> Request<()> {
    let request = Request::post(format!("http://{address}/jobstream.v1.JobService/{method}"));
    request.header("content-type", "application/grpc").body(()).expect("a request")
}

/// Requests large results without reading them.
async fn unread(address: SocketAddr, channel: Channel, counts: Arc<Counts>) {
    loop {
        let job_id = new_id();
        let mut jobs = JobServiceClient::new(channel.clone());
        let payload = Some(data(vec![7; (1 << 20) - 64]));
        let spec =
            v1::JobSpec { job_id: job_id.clone(), payload, queue: "unread".into(), ..job("demo.echo") };
        let _ = jobs.submit(v1::SubmitRequest { job: Some(spec), validate_only: false }).await;
        let request = v1::GetResultRequest { job_id, wait: Some(seconds(2)) }.encode_to_vec();
        let body = Bytes::from(frame(0, &request));
        if let Some(mut requests) = connect_without_reading(address).await {
            let mut held = Vec::new();
            for _ in 0..UNREAD {
                let Ok(ready) = requests.clone().ready().await else { break };
                requests = ready;
                let Ok((answer, mut sender)) = requests.send_request(call(address, "GetResult"), false)
                else {
                    break;
                };
                let _ = sender.send_data(body.clone(), true);
                count(&counts.unread);
                held.push(answer);
            }
            tokio::time::sleep(ROUND).await;
        }
    }
}

/// Sends unfinished requests of a megabyte.
async fn unfinished(address: SocketAddr) {
    let part = Bytes::from([&[0, 0, 0x0f, 0xff, 0xff][..], &vec![7; 200_000]].concat());
    loop {
        if let Some(mut requests) = connect_without_reading(address).await {
            let mut held = Vec::new();
            for _ in 0..UNFINISHED {
                let Ok(ready) = requests.clone().ready().await else { break };
                requests = ready;
                let Ok((answer, mut sender)) = requests.send_request(call(address, "Submit"), false) else {
                    break;
                };
                let _ = sender.send_data(part.clone(), false);
                held.push((answer, sender));
            }
            tokio::time::sleep(ROUND).await;
        }
    }
}

/// A codec that passes encoded messages through.
#[derive(Default)]
struct RawCodec;

impl tonic::codec::Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl tonic::codec::Encoder for RawCodec {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(&mut self, item: Bytes, buffer: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), tonic::Status> {
        bytes::BufMut::put(buffer, item);
        Ok(())
    }
}

impl tonic::codec::Decoder for RawCodec {
    type Item = Bytes;
    type Error = tonic::Status;

    fn decode(&mut self, buffer: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        Ok(Some(bytes::Buf::copy_to_bytes(buffer, bytes::Buf::remaining(buffer))))
    }
}
