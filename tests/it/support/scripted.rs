//! A server of workers that does only what its test says, word by word.

use std::net::SocketAddr;
use std::time::Duration;

use jobstream::proto::v1;
use jobstream::proto::v1::attempt_report::News;
use jobstream::proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use super::{new_id, text, wait_for};

/// Messages of either side that may lie unread.
const UNREAD_MAX: usize = 64;

pub(crate) struct ScriptedServer {
    address: SocketAddr,
    streams: mpsc::Receiver<WorkStream>,
    serving: JoinHandle<()>,
}

/// One Work stream, as the server sees it.
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

    pub(crate) fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).expect("an address").connect_lazy()
    }

    /// The next stream a worker opens, and its greeting.
    pub(crate) async fn greeted(&mut self) -> (WorkStream, v1::Hello) {
        let mut stream = wait_for("a worker connects", self.streams.recv()).await.expect("the server serves");
        let greeting = stream.next().await;
        let hello = greeting.hello.clone().expect("the first message greets");
        assert_eq!(greeting, v1::WorkRequest { hello: greeting.hello.clone(), ..Default::default() });
        (stream, hello)
    }

    /// The next stream, welcomed with these terms.
    pub(crate) async fn joined(&mut self, welcome: v1::Welcome) -> (WorkStream, v1::Hello) {
        let (stream, hello) = self.greeted().await;
        stream.say(v1::WorkResponse { welcome: Some(welcome), ..Default::default() }).await;
        (stream, hello)
    }

    /// Whether no worker has come back.
    pub(crate) fn is_left_alone(&mut self) -> bool {
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
        self.try_next().await.expect("the worker says more")
    }

    /// `None` once the worker closed its side.
    pub(crate) async fn try_next(&mut self) -> Option<v1::WorkRequest> {
        wait_for("the worker says something", self.requests.message()).await.expect("the stream is whole")
    }

    /// Reports as they come, until there are this many.
    pub(crate) async fn reports(&mut self, count: usize) -> Vec<v1::AttemptReport> {
        let mut reports = Vec::new();
        while reports.len() < count {
            reports.extend(self.next().await.reports);
        }
        reports
    }

    /// The next report that ends an attempt.
    pub(crate) async fn end(&mut self) -> v1::AttemptReport {
        loop {
            let mut reports = self.next().await.reports.into_iter();
            if let Some(end) = reports.find(|report| is_end(report.news.as_ref())) {
                return end;
            }
        }
    }

    /// The leases of the next heartbeat.
    pub(crate) async fn heartbeat(&mut self) -> Vec<String> {
        loop {
            if let Some(heartbeat) = self.next().await.heartbeat {
                return heartbeat.lease_ids;
            }
        }
    }

    pub(crate) async fn say(&self, response: v1::WorkResponse) {
        wait_for("the worker listens", self.responses.send(Ok(response))).await.expect("the stream is open");
    }

    pub(crate) async fn assign(&self, assignments: Vec<v1::Assignment>) {
        self.say(v1::WorkResponse { assignments, ..Default::default() }).await;
    }

    pub(crate) async fn cancel(&self, lease: &str, force_after: Duration, revoked: bool) {
        let force_after = prost_types::Duration::try_from(force_after).ok();
        let cancels = vec![v1::AttemptCancel { lease_id: lease.to_owned(), force_after, revoked }];
        self.say(v1::WorkResponse { cancels, ..Default::default() }).await;
    }

    pub(crate) async fn ack(&self, report_sequence: u64) {
        let ack = Some(v1::ReportAck { report_sequence, refusals: Vec::new() });
        self.say(v1::WorkResponse { ack, ..Default::default() }).await;
    }

    pub(crate) async fn ping(&self) {
        self.say(v1::WorkResponse { ping: Some(v1::Ping {}), ..Default::default() }).await;
    }

    pub(crate) async fn drain(&self, time_left: Duration, server_shutdown: bool) {
        let time_left = prost_types::Duration::try_from(time_left).ok();
        let drain = Some(v1::Drain { time_left, server_shutdown });
        self.say(v1::WorkResponse { drain, ..Default::default() }).await;
    }

    pub(crate) async fn fail(self, status: Status) {
        // The worker may be gone already.
        let _ = self.responses.send(Err(status)).await;
    }

    /// Takes what the worker still says and ends the stream once it closed its side, as a server does.
    pub(crate) async fn see_off(mut self) -> Vec<v1::WorkRequest> {
        let mut said = Vec::new();
        while let Some(request) = self.try_next().await {
            if let Some(last) = request.reports.last() {
                self.ack(last.report_sequence).await;
            }
            said.push(request);
        }
        said
    }
}

/// Terms under which nothing happens by itself during a test.
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
    }
}

/// A first attempt of this kind, under a lease of this number.
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
