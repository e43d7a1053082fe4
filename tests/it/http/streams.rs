//! Event streams and payloads that are not read: their memory is bounded, and other clients are not affected.

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::{Method, Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{Dev, Http, TestServer, read_until, until, wait_for};

const MIB: usize = 1 << 20;
/// Event streams that are open together.
const STREAMS: usize = 10_000;
const STREAMS_PER_CONNECTION: usize = 500;
/// Most memory of an idle event stream, in bytes, with the response that waits to be read.
const STREAM_BYTES_MAX: usize = 16 << 10;

/// Responses of 1 MiB that a connection does not read. Those of two connections are rendered, those of one are shared.
const UNREAD_RESPONSES: usize = 60;

/// An HTTP/2 connection whose responses are read under control of the test.
struct Peer {
    requests: SendRequest<Bytes>,
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
        tokio::spawn(connection);
        Self { requests }
    }

    /// Gets a path on this number of streams. Returns the responses, unread.
    async fn get(&mut self, path: &str, count: usize) -> Vec<Response<RecvStream>> {
        let mut answers = Vec::new();
        for _ in 0..count {
            let request = Request::get(format!("http://localhost{path}")).body(()).expect("a request");
            self.requests = wait_for("capacity", self.requests.clone().ready()).await.expect("it is open");
            answers.push(self.requests.send_request(request, true).expect("a stream").0);
        }
        let mut unread = Vec::new();
        for answer in answers {
            unread.extend(wait_for("an answer begins", answer).await.ok());
        }
        unread
    }
}

/// Reads a stream to its end.
async fn rest(answer: Response<RecvStream>) -> Result<String, h2::Error> {
    let mut body = answer.into_body();
    let mut text = Vec::new();
    while let Some(data) = wait_for("the stream ends", body.data()).await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        text.extend_from_slice(&data);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

async fn submit(http: &Http, job: &str) -> String {
    http.post("/v1/jobs", job).await.json()["jobId"].as_str().expect("an id").to_owned()
}

/// Runs a job beside the others.
async fn run_beside(http: &Http) {
    let answer = http.post("/v1/jobs?wait=30s", r#"{"kind": "demo.echo", "payload": {"text": "x"}}"#).await;
    assert_eq!(answer.json()["result"]["state"], "JOB_STATE_SUCCEEDED", "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_event_streams_take_bounded_memory_and_get_the_end() {
    let dev = Dev::start(&[]).await;
    let http = Http::new(dev.address.parse().expect("an address"), false);
    let id = submit(&http, r#"{"kind": "nobody"}"#).await;
    let before = dev.memory_bytes("VmRSS");
    let mut peers = JoinSet::new();
    for _ in 0..STREAMS / STREAMS_PER_CONNECTION {
        let (mut peer, id) = (Peer::connect(&dev.address, 65_535).await, id.clone());
        peers.spawn(async move {
            let streams = peer.get(&format!("/v1/jobs/{id}/events"), STREAMS_PER_CONNECTION).await;
            (peer, streams)
        });
    }
    let peers = peers.join_all().await;
    let taken = dev.memory_bytes("VmRSS").saturating_sub(before);
    println!("{STREAMS} event streams take {} bytes each", taken / STREAMS);
    assert!(taken < STREAMS * STREAM_BYTES_MAX, "{} MiB", taken / MIB);
    run_beside(&http).await;
    http.send(Method::POST, &format!("/v1/jobs/{id}:cancel"), &[], "").await;
    let mut ended = 0;
    let mut connections = Vec::new();
    for (peer, streams) in peers {
        connections.push(peer);
        for stream in streams {
            let text = rest(stream).await.expect("a complete stream");
            assert!(text.contains("\nid: 2\n") && text.contains("CANCELLED"), "{text}");
            ended += 1;
        }
    }
    assert_eq!(ended, STREAMS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_of_events_gets_a_gap_and_the_rest() {
    let server = TestServer::start().await;
    let http = Http::new(server.address, false);
    let chatter = r#"{"outputs": 200, "output_bytes": 50000, "waits": true}"#;
    let job = format!(r#"{{"kind": "test.chatter", "payload": {{"json": {chatter}}}}}"#);
    let mut peer = Peer::connect(&server.address.to_string(), 16_384).await;
    let id = submit(&http, &job).await;
    let slow = peer.get(&format!("/v1/jobs/{id}/events"), 1).await.remove(0);
    // All events are written before the stream is read.
    server.gate.arrival().await;
    server.gate.open(1);
    let result = http.get(&format!("/v1/jobs/{id}/result?wait=30s")).await.json();
    let last = result["sequence"].as_u64().expect("a sequence");
    let text = rest(slow).await.expect("a complete stream");
    assert!(text.contains("\nevent: gap\n"), "10 MB do not fit the ring of a job");
    let ids: Vec<u64> = text
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .map(|id| id.parse().expect("a number"))
        .collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    assert_eq!((ids.first(), ids.last()), (Some(&1), Some(&last)));
    let resumed =
        http.send(Method::GET, &format!("/v1/jobs/{id}/events"), &[("last-event-id", "1")], "").await;
    let resumed = String::from_utf8_lossy(&resumed.body).into_owned();
    assert!(resumed.contains("\nevent: gap\n") && resumed.contains(&format!("\nid: {last}\n")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_json_and_payloads_are_bounded_per_connection() {
    let dev = Dev::start(&["--connection-bytes-max", "16MiB"]).await;
    let http = Http::new(dev.address.parse().expect("an address"), true);
    let text = "x".repeat(MIB - 100);
    let job = format!(r#"{{"kind": "demo.echo", "payload": {{"text": "{text}"}}}}"#);
    let id = submit(&http, &job).await;
    http.get(&format!("/v1/jobs/{id}/result?wait=30s")).await;
    let before = dev.memory_bytes("VmRSS");
    let mut held = JoinSet::new();
    for path in ["", "/result", "/payload"].map(|part| format!("/v1/jobs/{id}{part}")) {
        let mut peer = Peer::connect(&dev.address, 0).await;
        held.spawn(async move { (peer.get(&path, UNREAD_RESPONSES).await, peer) });
    }
    let held = held.join_all().await;
    let taken = dev.memory_bytes("VmRSS").saturating_sub(before);
    println!("unread responses take {} MiB", taken / MIB);
    assert!(taken < 2 * 16 * MIB + 40 * MIB, "{} MiB", taken / MIB);
    run_beside(&http).await;
    assert_eq!(http.get(&format!("/v1/jobs/{id}/payload")).await.body.len(), text.len());
    drop(held);
}

#[tokio::test]
async fn a_lost_client_cancels_its_run_if_it_said_so() {
    let server = TestServer::start().await;
    for http2 in [false, true] {
        let http = Http::new(server.address, http2);
        let run = r#"{"job": {"kind": "test.gate"}, "cancelOnDisconnect": true}"#;
        let json = [("content-type", "application/json")];
        let (_, _, mut stream) = http.open(Method::POST, "/v1/jobs:run", &json, run).await;
        let text = read_until(&mut stream, "JOB_STATE_RUNNING").await;
        let (_, id) = text.split_once("\"jobId\":\"").expect("an id");
        let id = id[..36].to_owned();
        server.gate.arrival().await;
        drop((stream, http));
        let other = Http::new(server.address, false);
        let path = format!("/v1/jobs/{id}");
        until("the job is cancelled", async || {
            other.get(&path).await.json()["job"]["state"] == "JOB_STATE_CANCELLED"
        })
        .await;
    }
}
