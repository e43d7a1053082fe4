//! A server with engine, worker and listener on its own runtime, stopped when dropped.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::time::Duration;

use jobstream::engine::{Engine, EngineOptions};
use jobstream::proto::v1;
use jobstream::proto::v1::admin_service_client::AdminServiceClient;
use jobstream::proto::v1::job_service_client::JobServiceClient;
use jobstream::server::{Server, ServerOptions, Shutdown, ShutdownReport};
use jobstream::worker::{RemoteOptions, RunningWorker, Worker};
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::{Ended, Gate, Watched, test_worker, wait_for, watch_request};

/// The options of a server.
pub(crate) struct Setup {
    pub(crate) engine: EngineOptions,
    pub(crate) server: ServerOptions,
    pub(crate) worker: Worker,
    /// The gate of `test.gate` and other handlers.
    pub(crate) gate: Gate,
}

impl Default for Setup {
    fn default() -> Self {
        let gate = Gate::new();
        let mut server = ServerOptions::default();
        server.serve.connection_threads = NonZeroUsize::new(2).expect("two are not zero");
        Self { engine: EngineOptions::default(), server, worker: test_worker(&gate), gate }
    }
}

/// A running server and a connection that all clients share.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) gate: Gate,
    pub(crate) shutdown: Shutdown,
    ended: Option<oneshot::Receiver<ShutdownReport>>,
    channel: Channel,
    runtime: Option<Runtime>,
}

impl TestServer {
    /// Starts a server with default options.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::default();
        change(&mut setup);
        let Setup { engine, server, worker, gate } = setup;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let shutdown = Shutdown::default();
        let stop_requested = shutdown.clone();
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (report, ended) = oneshot::channel();
        runtime.spawn(async move {
            let engine = Engine::start(engine);
            let worker = worker.start(&engine).expect("valid names");
            let server = Server::new(engine, server).with_worker(worker);
            // The receiver is dropped if the test does not read the report.
            let _ = report.send(server.run(listener, stop_requested).await.expect("the server starts"));
        });
        let channel = connect(address).await;
        Self { address, gate, shutdown, ended: Some(ended), channel, runtime: Some(runtime) }
    }

    /// Returns a client on the shared connection.
    pub(crate) fn jobs(&self) -> JobServiceClient<Channel> {
        client(self.channel.clone())
    }

    /// Returns a client on a new connection.
    pub(crate) async fn new_jobs(&self) -> JobServiceClient<Channel> {
        client(connect(self.address).await)
    }

    pub(crate) fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    /// Returns the shared connection, for other services.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(crate) async fn try_submit(&self, job: v1::JobSpec) -> Result<v1::SubmitResponse, Status> {
        let request = v1::SubmitRequest { job: Some(job), validate_only: false };
        let answer = wait_for("Submit answers", self.jobs().submit(request)).await;
        answer.map(tonic::Response::into_inner)
    }

    /// Submits a job and returns its id.
    pub(crate) async fn submit(&self, job: v1::JobSpec) -> String {
        self.try_submit(job).await.expect("the job is accepted").job_id
    }

    /// Returns the state of a job without a wait.
    pub(crate) async fn peek(&self, id: &str) -> v1::GetResultResponse {
        self.try_result(id, Duration::ZERO).await.expect("the job is known")
    }

    pub(crate) async fn try_result(&self, id: &str, wait: Duration) -> Result<v1::GetResultResponse, Status> {
        let wait = prost_types::Duration::try_from(wait).expect("a short wait");
        let request = v1::GetResultRequest { job_id: id.to_owned(), wait: Some(wait) };
        let answer = wait_for("GetResult answers", self.jobs().get_result(request)).await;
        answer.map(tonic::Response::into_inner)
    }

    /// Waits for the outcome of a job.
    pub(crate) async fn end(&self, id: &str) -> Ended {
        let answer = self.try_result(id, Duration::from_secs(25)).await.expect("the job is known");
        Ended::of(id, &answer)
    }

    pub(crate) async fn run_to_end(&self, job: v1::JobSpec) -> Ended {
        self.end(&self.submit(job).await).await
    }

    pub(crate) async fn get(&self, id: &str) -> v1::Job {
        let request = v1::GetJobRequest { job_id: id.to_owned() };
        let answer = wait_for("GetJob answers", self.jobs().get_job(request)).await;
        answer.expect("the job is known").into_inner().job.expect("a job")
    }

    pub(crate) async fn cancel(&self, id: &str, grace: Duration) -> Result<v1::CancelResponse, Status> {
        let grace = Some(prost_types::Duration::try_from(grace).expect("a short grace"));
        let request = v1::CancelRequest { job_id: id.to_owned(), reason: "a test".to_owned(), grace };
        let answer = wait_for("Cancel answers", self.jobs().cancel(request)).await;
        answer.map(tonic::Response::into_inner)
    }

    pub(crate) async fn delete(&self, id: &str) -> Result<(), Status> {
        let request = v1::DeleteRequest { job_id: id.to_owned() };
        wait_for("Delete answers", self.jobs().delete(request)).await.map(|_| ())
    }

    /// Reads a watch from a sequence to its end.
    pub(crate) async fn watch_all(&self, id: &str, after: u32) -> Watched {
        self.watch(watch_request(id, after)).await.rest().await
    }

    /// Opens a watch.
    pub(crate) async fn watch(&self, request: v1::WatchResultRequest) -> Watched {
        Watched::open(&mut self.jobs(), request).await
    }

    pub(crate) async fn info(&self) -> v1::GetServerInfoResponse {
        let request = v1::GetServerInfoRequest {};
        wait_for("GetServerInfo answers", self.admin().get_server_info(request))
            .await
            .expect("an answer")
            .into_inner()
    }

    /// Pauses the queue, so that its jobs wait.
    pub(crate) async fn pause(&self, queue: &str) {
        let request = v1::PauseQueueRequest { queue: queue.to_owned() };
        wait_for("PauseQueue answers", self.admin().pause_queue(request)).await.expect("a queue name");
    }

    pub(crate) async fn resume(&self, queue: &str) {
        let request = v1::ResumeQueueRequest { queue: queue.to_owned() };
        wait_for("ResumeQueue answers", self.admin().resume_queue(request)).await.expect("a queue");
    }

    /// Waits for the shutdown and returns its report.
    pub(crate) async fn report(&mut self) -> ShutdownReport {
        let ended = self.ended.take().expect("the report is read once");
        wait_for("the server ends", ended).await.expect("the server does not panic")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.now.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Opens a connection.
pub(crate) async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    wait_for("a connection", endpoint.connect()).await.expect("a listening socket")
}

/// Connects a worker and waits until it is connected.
pub(crate) async fn connect_worker(
    worker: Worker,
    channel: impl Into<jobstream::client::Channel>,
) -> RunningWorker {
    let running = worker.connect(channel, RemoteOptions::default()).expect("valid names");
    assert!(wait_for("the worker is connected", running.connected()).await);
    running
}

/// Opens a connection that connects lazily and reconnects.
pub(crate) fn connect_lazy(url: String) -> Channel {
    Endpoint::from_shared(url).expect("an address").connect_lazy()
}

fn client(channel: Channel) -> JobServiceClient<Channel> {
    JobServiceClient::new(channel)
}
