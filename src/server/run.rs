//! [`Server`]: an engine, its workers and the listener, from the start to the graceful shutdown.

use std::io;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::descriptors::Descriptors;
use super::limits::ListenerLimits;
use super::listener::Listeners;
use super::registry::ServeReport;
use super::router::Router;
use super::serve::{ServeOptions, serve_router};
use super::shutdown::Shutdown;
use crate::api::grpc::{self, Api, ConnectionLimits};
use crate::api::http;
use crate::engine::Engine;
use crate::error::Error;
use crate::job::{EndCounts, JobState};
use crate::proto::DESCRIPTORS;
use crate::worker::RunningWorker;

/// Time for open requests and handlers to end before they are aborted. All times here fit the second that a shutdown may
/// take after its drain.
const CLOSE_TIME_MAX: Duration = Duration::from_millis(500);
/// Time for the connection threads to drop aborted requests.
const STOP_TIME_MAX: Duration = Duration::from_millis(200);
/// The same times after [`Shutdown::now`], which ends the server within 100 ms.
const CLOSE_NOW_TIME_MAX: Duration = Duration::from_millis(30);
const STOP_NOW_TIME_MAX: Duration = Duration::from_millis(20);
/// Time for a slow disk if the server has the last handle of an engine that was not closed.
const RELEASE_TIME_MAX: Duration = Duration::from_millis(100);
const RELEASE_NOW_TIME_MAX: Duration = Duration::from_millis(10);
/// Time between a GOAWAY and the closing of a connection at shutdown.
const GOAWAY_GRACE: Duration = Duration::from_millis(300);

/// How a server serves and ends. Start from [`Default`] and set fields.
///
/// ```
/// use std::time::Duration;
///
/// use jobstream::server::ServerOptions;
///
/// let mut options = ServerOptions::default();
/// options.drain_timeout = Duration::from_secs(30);
/// options.serve.limits.max_connections = 1_000;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Options of the listener: limits, connection threads, web origins, hosts.
    pub serve: ServeOptions,
    /// Largest gRPC message or HTTP body that the server reads, in bytes. Default 4 MiB.
    pub message_bytes_max: usize,
    /// Time for running jobs to finish after a graceful shutdown began. Default 10 s.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            serve: ServeOptions::default(),
            message_bytes_max: 4 << 20,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Why a server ended with an error.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The listener cannot be used. Nothing was served.
    Listener(io::Error),
    /// An append or sync of the log failed and ended the server. Later calls got `LOG_FAILED`.
    LogFailed(Error),
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listener(error) => write!(f, "cannot serve: {error}"),
            Self::LogFailed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listener(error) => Some(error),
            Self::LogFailed(error) => Some(error),
        }
    }
}

impl From<io::Error> for ServerError {
    fn from(error: io::Error) -> Self {
        Self::Listener(error)
    }
}

/// The result of a shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShutdownReport {
    /// Jobs that ended since the engine started.
    pub ended: EndCounts,
    /// Attempts that were aborted.
    pub attempts_cut: u32,
    /// Jobs that had not ended, including the jobs of aborted attempts.
    pub jobs_left: u32,
    /// Worker tasks that did not stop in time.
    pub tasks_left: usize,
    /// What the listener aborted and refused.
    pub listener: ServeReport,
}

/// Serves an engine over gRPC and gRPC-Web, with health and reflection.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use jobstream::engine::{Engine, EngineOptions};
/// use jobstream::server::{Server, ServerOptions, Shutdown};
///
/// let engine = Engine::start(EngineOptions::default());
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let shutdown = Shutdown::default();
/// let server = tokio::spawn(Server::new(engine, ServerOptions::default()).run(listener, shutdown.clone()));
/// // Clients submit jobs to the listener's address.
/// shutdown.graceful.cancel();
/// let report = server.await??;
/// assert_eq!(report.jobs_left, 0);
/// # Ok(())
/// # }
/// ```
pub struct Server {
    engine: Engine,
    workers: Vec<RunningWorker>,
    options: ServerOptions,
}

impl Server {
    /// A server of this engine.
    pub fn new(engine: Engine, options: ServerOptions) -> Self {
        Self { engine, workers: Vec::new(), options }
    }

    /// Adds a worker that ends with the server.
    pub fn with_worker(mut self, worker: RunningWorker) -> Self {
        self.workers.push(worker);
        self
    }

    /// Serves until a shutdown is requested. Then it ends within the drain timeout plus one second, even if the disk or
    /// handlers block. The caller closes the log, for example with [`Engine::close_within`].
    ///
    /// # Errors
    ///
    /// `Listener` if the listener cannot be used. `LogFailed` if the log failed, which ends the server.
    pub async fn run(
        self,
        listeners: impl Into<Listeners>,
        shutdown: Shutdown,
    ) -> Result<ShutdownReport, ServerError> {
        let (health, router) = router(&self.engine, &self.options).await;
        let listener_shutdown = Shutdown::default();
        let mut options = self.options.serve.clone();
        options.limits.drain_grace = options.limits.drain_grace.min(GOAWAY_GRACE);
        options.limits.closing_linger = options.limits.closing_linger.min(GOAWAY_GRACE);
        let mut serving =
            tokio::spawn(serve_router(listeners.into(), router, options, listener_shutdown.clone()));
        tokio::select! {
            () = shutdown.graceful.cancelled() => {}
            () = shutdown.now.cancelled() => {}
            _ = self.engine.log_failure() => {}
            ended = &mut serving => {
                let listener = ended.map_err(io::Error::other)??;
                let report = self.report(0, 0, listener);
                self.release_engine(&shutdown.now).await;
                return Ok(report);
            }
        }
        stop_serving(&health).await;
        self.engine.drain(self.options.drain_timeout);
        let drained = tokio::select! {
            drained = self.engine.idle() => drained,
            error = self.engine.log_failure() => Err(error),
            () = sleep(self.options.drain_timeout) => Ok(()),
            () = shutdown.now.cancelled() => Ok(()),
        };
        let attempts_cut = self.engine.running();
        self.engine.stop();
        listener_shutdown.graceful.cancel();
        let served = self.close(&listener_shutdown, serving, &shutdown.now).await?;
        let tasks_left = self.workers.iter().map(RunningWorker::left).sum();
        let report = self.report(attempts_cut, tasks_left, served);
        self.release_engine(&shutdown.now).await;
        drained.map(|()| report).map_err(ServerError::LogFailed)
    }

    /// Stops the workers and the listener. `now` reduces the time that they have.
    async fn close(
        &self,
        listener_shutdown: &Shutdown,
        mut serving: JoinHandle<io::Result<ServeReport>>,
        now: &CancellationToken,
    ) -> io::Result<ServeReport> {
        self.workers.iter().for_each(RunningWorker::request_stop);
        let mut served = None;
        let ended = async {
            served = Some((&mut serving).await);
            for worker in &self.workers {
                worker.wait().await;
            }
        };
        tokio::select! {
            () = ended => {}
            () = time_limit(CLOSE_TIME_MAX, CLOSE_NOW_TIME_MAX, now) => {}
        }
        if served.is_none() {
            listener_shutdown.now.cancel();
            tokio::select! {
                ended = &mut serving => served = Some(ended),
                () = time_limit(STOP_TIME_MAX, STOP_NOW_TIME_MAX, now) => serving.abort(),
            }
        }
        served.map_or(Ok(ServeReport::default()), |served| served.map_err(io::Error::other)?)
    }

    /// Drops the engine. Dropping the last handle waits for the disk, so a separate thread does it.
    async fn release_engine(self, now: &CancellationToken) {
        let (done, released) = oneshot::channel::<()>();
        let release = move || {
            drop(self);
            drop(done);
        };
        // If the thread cannot be started, the engine is dropped on this one.
        if std::thread::Builder::new().name("release".to_owned()).spawn(release).is_ok() {
            tokio::select! {
                _ = released => {}
                () = time_limit(RELEASE_TIME_MAX, RELEASE_NOW_TIME_MAX, now) => {}
            }
        }
    }

    fn report(&self, attempts_cut: u32, tasks_left: usize, listener: ServeReport) -> ShutdownReport {
        let counts = self.engine.counts();
        let jobs_left =
            counts.get(JobState::Scheduled) + counts.get(JobState::Queued) + counts.get(JobState::Running);
        ShutdownReport { ended: self.engine.ended(), attempts_cut, jobs_left, tasks_left, listener }
    }
}

/// Returns after `usual`, or `after_now` after `now` is cancelled.
async fn time_limit(usual: Duration, after_now: Duration, now: &CancellationToken) {
    tokio::select! {
        () = sleep(usual) => {}
        () = async {
            now.cancelled().await;
            sleep(after_now).await;
        } => {}
    }
}

const HEALTH_SERVICES: [&str; 3] =
    ["jobstream.v1.JobService", "jobstream.v1.WorkerService", "jobstream.v1.AdminService"];

async fn stop_serving(health: &HealthReporter) {
    for service in HEALTH_SERVICES.into_iter().chain([""]) {
        health.set_service_status(service, ServingStatus::NotServing).await;
    }
}

fn connection_limits(limits: &ListenerLimits) -> ConnectionLimits {
    ConnectionLimits {
        bytes_max: limits.connection_bytes_max,
        all_bytes_max: limits.connections_bytes_max,
        max: limits.max_connections.min(Descriptors::now().connections_max),
        per_address_max: limits.max_connections_per_address,
    }
}

/// Builds the router of all services. Reflection lists them all.
async fn router(engine: &Engine, options: &ServerOptions) -> (HealthReporter, Router) {
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in HEALTH_SERVICES {
        health.set_service_status(service, ServingStatus::Serving).await;
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // Tools such as grpcurl decode error details with it.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            // Each reflection version lists only itself by default.
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
    };
    let valid = "the embedded descriptors are complete";
    let limits = connection_limits(&options.serve.limits);
    let api = Api::new(engine.clone(), options.message_bytes_max, limits);
    let (jobs, others) = grpc::services(&api);
    let others = others
        .add_service(health_service.accept_compressed(CompressionEncoding::Gzip))
        .add_service(reflection().build_v1().expect(valid).accept_compressed(CompressionEncoding::Gzip))
        .add_service(reflection().build_v1alpha().expect(valid).accept_compressed(CompressionEncoding::Gzip));
    let router = Router::new(jobs, others, api.call_log().clone(), options.message_bytes_max);
    (health, router.with_http(http::router(&api)))
}
