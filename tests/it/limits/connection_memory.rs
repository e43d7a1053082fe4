//! Byte limits of unread responses and unfinished requests, and isolation of other connections.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use jobstream::proto::v1;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use prost::Message;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::support::{Dev, TestServer, data, echo, frame, job, new_id, refused, wait_for};

const MIB: usize = 1 << 20;

/// An HTTP/2 connection with many streams, read under control of the test.
struct Peer {
    requests: SendRequest<Bytes>,
    driver: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

impl Peer {
    /// Connects with this window per stream.
    async fn connect(address: &str, window: u32) -> Self {
        let stream = wait_for("a connection", TcpStream::connect(address)).await.expect("it listens");
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(window)
            .initial_connection_window_size(1 << 30)
            .initial_max_send_streams(1_000);
        let (requests, connection) =
            wait_for("a handshake", builder.handshake(stream)).await.expect("HTTP/2");
        Self { requests, driver: tokio::spawn(connection) }
    }

    async fn open(&mut self, method: &str) -> (ResponseFuture, SendStream<Bytes>) {
        let uri = format!("http://localhost/jobstream.v1.JobService/{method}");
        let request =
            Request::post(uri).header("content-type", "application/grpc").body(()).expect("a request");
        self.requests =
            wait_for("capacity for a stream", self.requests.clone().ready()).await.expect("it is open");
        self.requests.send_request(request, false).expect("a stream")
    }

    async fn call(&mut self, method: &str, message: &impl Message) -> ResponseFuture {
        let (response, mut body) = self.open(method).await;
        body.send_data(frame(0, &message.encode_to_vec()).into(), true).expect("an open stream");
        response
    }

    /// Makes calls and returns their unread responses, without reset ones.
    async fn call_unread(
        &mut self,
        method: &str,
        message: &impl Message,
        count: usize,
    ) -> Vec<Response<RecvStream>> {
        let mut answers = Vec::new();
        for _ in 0..count {
            answers.push(self.call(method, message).await);
        }
        let mut unread = Vec::new();
        for answer in answers {
            unread.extend(wait_for("an answer begins", answer).await.ok());
        }
        unread
    }
}

/// Reads the body of a response.
async fn read(answer: ResponseFuture) -> Result<usize, h2::Error> {
    let mut body = answer.await?.into_body();
    let mut bytes = 0;
    while let Some(data) = body.data().await {
        let data = data?;
        bytes += data.len();
        body.flow_control().release_capacity(data.len())?;
    }
    body.trailers().await?;
    Ok(bytes)
}

/// A well-behaved client on a connection of its own.
struct BenignClient(JobServiceClient<Channel>);

impl BenignClient {
    fn of(dev: &Dev) -> Self {
        Self(JobServiceClient::new(dev.channel()).max_decoding_message_size(8 << 20))
    }

    async fn submit(&mut self, job: v1::JobSpec) -> Result<String, Status> {
        let request = v1::SubmitRequest { job: Some(job), validate_only: false };
        wait_for("Submit answers", self.0.submit(request)).await.map(|answer| answer.into_inner().job_id)
    }

    async fn result(&mut self, id: &str) -> v1::GetResultResponse {
        let request = v1::GetResultRequest { job_id: id.to_owned(), wait: Some(crate::support::seconds(20)) };
        wait_for("GetResult answers", self.0.get_result(request)).await.expect("it is known").into_inner()
    }

    /// Runs a job with a result of slightly less than 1 MiB.
    async fn large_result(&mut self) -> String {
        let spec = v1::JobSpec { payload: Some(data(vec![7; MIB - 100])), ..job("demo.echo") };
        let id = self.submit(spec).await.expect("it is accepted");
        self.result(&id).await;
        id
    }
}

fn get_result(id: &str) -> v1::GetResultRequest {
    v1::GetResultRequest { job_id: id.to_owned(), wait: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_responses_are_bounded_per_connection() {
    let dev = Dev::start(&["--connection-bytes-max", "16MiB"]).await;
    let mut benign_client = BenignClient::of(&dev);
    let id = benign_client.large_result().await;
    let before = dev.memory_bytes("VmRSS");
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut peer = Peer::connect(&dev.address, 0).await;
        held.push((peer.call_unread("GetResult", &get_result(&id), 120).await, peer));
    }
    let taken = dev.memory_bytes("VmRSS").saturating_sub(before);
    assert!(taken < 3 * 16 * MIB + 40 * MIB, "{} MiB", taken / MIB);
    assert!(benign_client.result(&id).await.outcome.is_some());
    benign_client.submit(echo("concurrent")).await.expect("it is accepted");
    assert!(held.iter().all(|(_, peer)| !peer.driver.is_finished()), "no connection is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_requests_are_bounded_per_connection() {
    let dev = Dev::start(&["--connection-bytes-max", "16MiB"]).await;
    let mut peer = Peer::connect(&dev.address, 65_535).await;
    let before = dev.memory_bytes("VmRSS");
    let body = Bytes::from([&[0][..], &4_000_000_u32.to_be_bytes(), &vec![0x7f; 3_700_000]].concat());
    let (mut answers, mut senders) = (JoinSet::new(), Vec::new());
    for _ in 0..100 {
        let (answer, mut sender) = peer.open("Submit").await;
        sender.send_data(body.clone(), false).expect("an open stream");
        answers.spawn(answer);
        senders.push(sender);
    }
    // Complete calls get responses, also on this connection.
    for _ in 0..10 {
        let request = v1::SubmitRequest { job: Some(echo("concurrent")), validate_only: false };
        let answer = peer.call("Submit", &request).await;
        wait_for("Submit answers", read(answer)).await.expect("it is accepted");
        let taken = dev.memory_bytes("VmRSS").saturating_sub(before);
        assert!(taken < 16 * MIB + 60 * MIB, "{} MiB", taken / MIB);
    }
    // Stalled calls may stay until their timeout.
    for _ in 0..90 {
        let answer = wait_for("a stalled call ends", answers.join_next()).await.expect("a call");
        let answer = answer.expect("no panic").expect("a status");
        let status = Status::from_header_map(answer.headers()).expect("grpc-status");
        refused(&status, Code::ResourceExhausted, "CONNECTION_BYTES");
    }
    assert!(!peer.driver.is_finished(), "the connection is open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_watches_are_bounded_across_connections() {
    let args = ["--connection-bytes-max", "32MiB", "--connections-bytes-max", "64MiB"];
    let chatter = "chatter=sh -c 'yes 0123456789012345678901234567890123456789 | head -c 200000 >&2'";
    let dev = Dev::start(&[&args[..], &["--exec", chatter]].concat()).await;
    let mut benign_client = BenignClient::of(&dev);
    let id = benign_client.submit(job("chatter")).await.expect("it is accepted");
    assert!(benign_client.result(&id).await.outcome.is_some());
    let before = dev.memory_bytes("VmRSS");
    let watch = v1::WatchResultRequest { job_id: id.clone(), ..v1::WatchResultRequest::default() };
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut peer = Peer::connect(&dev.address, 0).await;
        held.push((peer.call_unread("WatchResult", &watch, 500).await, peer));
    }
    let taken = dev.memory_bytes("VmRSS").saturating_sub(before);
    assert!(taken < 64 * MIB + 60 * MIB, "{} MiB", taken / MIB);
    benign_client.submit(echo("concurrent")).await.expect("it is accepted");
    assert!(benign_client.result(&id).await.outcome.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_stream_does_not_block_others_on_its_connection() {
    let dev = Dev::start(&["--connection-bytes-max", "8MiB"]).await;
    let id = BenignClient::of(&dev).large_result().await;
    // Like a proxy: it buffers a limited part of unread responses.
    let mut proxy = Peer::connect(&dev.address, 65_535).await;
    let stalled = proxy.call_unread("GetResult", &get_result(&id), 50).await;
    for _ in 0..5 {
        let began = Instant::now();
        let answer = proxy.call("GetResult", &get_result(&id)).await;
        let bytes = wait_for("the other is answered", read(answer)).await.expect("a whole answer");
        assert!(bytes >= MIB - 100, "{bytes} bytes");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
    assert!(!proxy.driver.is_finished(), "the connection is open");
    let mut reset = 0;
    for mut answer in stalled {
        let mut ended = false;
        while let Some(data) = wait_for("what was sent", answer.body_mut().data()).await {
            match data {
                Ok(data) => {
                    answer.body_mut().flow_control().release_capacity(data.len()).expect("held capacity")
                }
                Err(error) => {
                    assert!(
                        matches!(error.reason(), Some(Reason::CANCEL | Reason::ENHANCE_YOUR_CALM)),
                        "{error}"
                    );
                    ended = true;
                    break;
                }
            }
        }
        reset += usize::from(ended);
    }
    assert!(reset >= 5, "{reset} streams were reset");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_the_complete_response() {
    let dev = Dev::start(&["--connection-bytes-max", "8MiB"]).await;
    let id = BenignClient::of(&dev).large_result().await;
    let mut peer = Peer::connect(&dev.address, 65_535).await;
    let mut answers = Vec::new();
    for _ in 0..100 {
        answers.push(tokio::spawn(read(peer.call("GetResult", &get_result(&id)).await)));
    }
    for answer in answers {
        let bytes = wait_for("an answer", answer).await.expect("no panic").expect("a whole answer");
        assert!(bytes >= MIB - 100, "{bytes} bytes");
    }
}

#[tokio::test]
async fn an_unfinished_unary_request_times_out_and_a_stream_does_not() {
    let server = TestServer::with(|setup| {
        setup.server.serve.limits.request_body_timeout = Duration::from_millis(200);
    })
    .await;
    let mut peer = Peer::connect(&server.address.to_string(), 65_535).await;
    let (stream, mut requests) = peer.open("SubmitStream").await;
    let (unfinished, mut sender) = peer.open("Submit").await;
    sender.send_data(Bytes::from_static(&[0, 0, 0, 1, 0, 7]), false).expect("an open stream");
    let answer = wait_for("the unfinished call ends", unfinished).await.expect("a status");
    let status = Status::from_header_map(answer.headers()).expect("grpc-status");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    let job = v1::JobSpec { job_id: new_id(), ..echo("later") };
    let request = v1::SubmitStreamRequest { jobs: vec![job], ..v1::SubmitStreamRequest::default() };
    requests.send_data(frame(0, &request.encode_to_vec()).into(), true).expect("the stream is open");
    assert!(wait_for("the stream is answered", read(stream)).await.expect("a whole answer") > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_of_unread_responses_is_not_rendered_ahead() {
    let dev = Dev::start(&["--connection-bytes-max", "8MiB"]).await;
    let mut benign_client = BenignClient::of(&dev);
    let numbers = format!("[{}]", vec!["1"; 100_000].join(","));
    let json = serde_json::from_str(&numbers).expect("JSON");
    let spec = v1::JobSpec { payload: Some(crate::support::json(json)), ..job("demo.echo") };
    let id = benign_client.submit(spec).await.expect("it is accepted");
    benign_client.result(&id).await;
    let before = dev.memory_bytes("VmRSS");
    let mut peer = Peer::connect(&dev.address, 0).await;
    let unread = peer.call_unread("GetResult", &get_result(&id), 60).await;
    let taken = dev.memory_bytes("VmRSS").saturating_sub(before);
    assert!(taken < 8 * MIB + 60 * MIB, "{} MiB", taken / MIB);
    assert!(benign_client.result(&id).await.outcome.is_some());
    drop((unread, peer));
}

/// Returns the 90th percentile of the latency of a benign client.
async fn p90(benign_client: &mut BenignClient, id: &str) -> Duration {
    let mut took = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        benign_client.submit(echo("concurrent")).await.expect("it is accepted");
        benign_client.result(id).await;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    took[90]
}

/// Starts concurrent calls that are read to their ends.
async fn benign(address: &str, id: &str) -> JoinSet<()> {
    let mut load = JoinSet::new();
    for _ in 0..3 {
        let mut peer = Peer::connect(address, 65_535).await;
        let id = id.to_owned();
        load.spawn(async move {
            loop {
                let mut answers = JoinSet::new();
                for _ in 0..20 {
                    answers.spawn(read(peer.call("GetResult", &get_result(&id)).await));
                }
                answers.join_all().await;
            }
        });
    }
    load
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_responses_do_not_slow_down_other_clients() {
    let dev = Dev::start(&["--connection-bytes-max", "16MiB"]).await;
    let mut benign_client = BenignClient::of(&dev);
    let id = benign_client.large_result().await;
    let load = benign(&dev.address, &id).await;
    let with_benign = p90(&mut benign_client, &id).await;
    drop(load);
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut peer = Peer::connect(&dev.address, 0).await;
        let mut answers = Vec::new();
        for _ in 0..300 {
            answers.push(peer.call("GetResult", &get_result(&id)).await);
        }
        held.push((answers, peer));
    }
    let with_attack = p90(&mut benign_client, &id).await;
    println!("p90 {with_benign:?} with a benign load, {with_attack:?} with unread responses");
    assert!(with_attack < 2 * with_benign + Duration::from_millis(20), "{with_benign:?}, {with_attack:?}");
}

#[tokio::test]
async fn connection_limits_are_reported() {
    let server = TestServer::with(|setup| {
        let limits = &mut setup.server.serve.limits;
        (limits.max_connections, limits.max_connections_per_address) = (7, Some(3));
        (limits.connection_bytes_max, limits.connections_bytes_max) = (5 << 20, 6 << 20);
    })
    .await;
    let limits = server.info().await.limits.expect("limits");
    assert_eq!((limits.connections_max, limits.connections_per_address_max), (7, 3));
    assert_eq!((limits.connection_bytes_max, limits.connections_bytes_max), (5 << 20, 6 << 20));
}
