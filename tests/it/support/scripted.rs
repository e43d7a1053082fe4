//! A worker service whose messages are scripted by the test.

use std::net::SocketAddr;
use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::attempt_report::News;
use jobstream::proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::{connect_lazy, new_id, text, wait_for};

/// The capacity of unread messages per direction.
const UNREAD_MAX: usize = 64;

pub(crate) struct ScriptedServer {
    address: SocketAddr,
    streams: mpsc::Receiver<WorkStream>,
    serving: JoinHandle<()>,
}

/// The server's side of a Work stream.
pub(crate) struct WorkStream {
    pub(crate) requests: Streaming<v1::WorkRequest>,
    responses: mpsc::Sender<Result<v1::WorkResponse, Status>>,
}

struct Service(mpsc::Sender<WorkStream>);

#[tonic::async_trait]
impl WorkerService for Service {
    type WorkStream = ReceiverStream<Result<v1::WorkResponse, Status>>;

    async fn work(
        &self,
        request: Request<Streaming<v1::WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let (responses, receiver) = mpsc::channel(UNREAD_MAX);
        let stream = WorkStream { requests: request.into_inner(), responses };
        self.0.send(stream).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn lease(&self, _: Request<v1::LeaseRequest>) -> Result<Response<v1::LeaseResponse>, Status> {
        Err(Status::unimplemented("not in any script"))
    }

    async fn report(&self, _: Request<v1::ReportRequest>) -> Result<Response<v1::ReportResponse>, Status> {
        Err(Status::unimplemented("not in any script"))
    }
}

impl ScriptedServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let (sender, streams) = mpsc::channel(UNREAD_MAX);
        let server =
            tonic::transport::Server::builder().add_service(WorkerServiceServer::new(Service(sender)));
        let serving = tokio::spawn(async move {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            server.serve_with_incoming(incoming).await.expect("the server serves");
        });
        Self { address, streams, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn channel(&self) -> Channel {
        connect_lazy(self.url())
    }

    /// Waits for the next stream. Returns it and its Hello.
    pub(crate) async fn next_hello(&mut self) -> (WorkStream, v1::Hello) {
        let mut stream = wait_for("a worker connects", self.streams.recv()).await.expect("the server serves");
        let greeting = stream.next().await;
        let hello = greeting.hello.clone().expect("the first message is a Hello");
        assert_eq!(greeting, v1::WorkRequest { hello: greeting.hello.clone(), ..Default::default() });
        (stream, hello)
    }

    /// Waits for the next stream and sends this Welcome.
    pub(crate) async fn joined(&mut self, welcome: v1::Welcome) -> (WorkStream, v1::Hello) {
        let (stream, hello) = self.next_hello().await;
        stream.send(v1::WorkResponse { welcome: Some(welcome), ..Default::default() }).await;
        (stream, hello)
    }

    /// Returns whether no worker has opened another stream.
    pub(crate) fn has_no_new_stream(&mut self) -> bool {
        self.streams.try_recv().is_err()
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl WorkStream {
    pub(crate) async fn next(&mut self) -> v1::WorkRequest {
        self.try_next().await.expect("the worker sends a message")
    }

    /// Returns the next message, or `None` once the worker has closed its side.
    pub(crate) async fn try_next(&mut self) -> Option<v1::WorkRequest> {
        wait_for("a message of the worker", self.requests.message()).await.expect("the stream has no error")
    }

    /// Reads this many reports.
    pub(crate) async fn reports(&mut self, count: usize) -> Vec<v1::AttemptReport> {
        let mut reports = Vec::new();
        while reports.len() < count {
            reports.extend(self.next().await.reports);
        }
        reports
    }

    /// Reads the next report that ends an attempt.
    pub(crate) async fn end(&mut self) -> v1::AttemptReport {
        loop {
            let mut reports = self.next().await.reports.into_iter();
            if let Some(end) = reports.find(|report| is_end(report.news.as_ref())) {
                return end;
            }
        }
    }

    /// Reads the leases of the next heartbeat.
    pub(crate) async fn heartbeat(&mut self) -> Vec<String> {
        loop {
            if let Some(heartbeat) = self.next().await.heartbeat {
                return heartbeat.lease_ids;
            }
        }
    }

    pub(crate) async fn send(&self, response: v1::WorkResponse) {
        wait_for("the worker reads", self.responses.send(Ok(response))).await.expect("the stream is open");
    }

    pub(crate) async fn assign(&self, assignments: Vec<v1::Assignment>) {
        self.send(v1::WorkResponse { assignments, ..Default::default() }).await;
    }

    pub(crate) async fn cancel(&self, lease: &str, force_after: Duration, revoked: bool) {
        let force_after = prost_types::Duration::try_from(force_after).ok();
        let cancels = vec![v1::AttemptCancel { lease_id: lease.to_owned(), force_after, revoked }];
        self.send(v1::WorkResponse { cancels, ..Default::default() }).await;
    }

    pub(crate) async fn ack(&self, report_sequence: u64) {
        let ack = Some(v1::ReportAck { report_sequence, refusals: Vec::new() });
        self.send(v1::WorkResponse { ack, ..Default::default() }).await;
    }

    pub(crate) async fn ping(&self) {
        self.send(v1::WorkResponse { ping: Some(v1::Ping {}), ..Default::default() }).await;
    }

    pub(crate) async fn drain(&self, time_left: Duration, server_shutdown: bool) {
        let time_left = prost_types::Duration::try_from(time_left).ok();
        let drain = Some(v1::Drain { time_left, server_shutdown });
        self.send(v1::WorkResponse { drain, ..Default::default() }).await;
    }

    pub(crate) async fn fail(self, status: Status) {
        // The worker may have disconnected.
        let _ = self.responses.send(Err(status)).await;
    }

    /// Reads the remaining messages until the worker closes its side, and ends the stream.
    pub(crate) async fn finish(mut self) -> Vec<v1::WorkRequest> {
        let mut messages = Vec::new();
        while let Some(request) = self.try_next().await {
            if let Some(last) = request.reports.last() {
                self.ack(last.report_sequence).await;
            }
            messages.push(request);
        }
        messages
    }
}

/// Returns terms without timeouts during a test.
pub(crate) fn terms() -> v1::Welcome {
    let span = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    v1::Welcome {
        protocol_version: 1,
        worker_id: "w1".to_owned(),
        server_version: "9.9.9".to_owned(),
        boot_id: "boot".to_owned(),
        lease: span(600),
        ping_interval: span(200),
        accept_timeout: span(5),
        reconnect_grace: span(60),
        standing_lease_ids: Vec::new(),
        acked_report_sequence: 0,
        payload_bytes_max: 1 << 20,
        message_bytes_max: 4 << 20,
        refusals: Vec::new(),
        unknown_report_sequence: 0,
    }
}

/// Returns a first attempt of a kind with a lease of this number.
pub(crate) fn assignment(lease: u128, kind: &str, words: &str) -> v1::Assignment {
    v1::Assignment {
        lease_id: lease_id(lease),
        job_id: new_id(),
        attempt: 1,
        kind: kind.to_owned(),
        queue: "default".to_owned(),
        payload: Some(text(words)),
        time_left: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        ..Default::default()
    }
}

pub(crate) fn lease_id(lease: u128) -> String {
    format!("{lease:032x}")
}

fn is_end(news: Option<&News>) -> bool {
    !matches!(news, None | Some(News::Progress(_) | News::Output(_) | News::Log(_)))
}
