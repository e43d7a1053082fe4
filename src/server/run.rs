//! The whole server: an engine, its workers and the listener, from start to an orderly end.

use std::io;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::descriptors::Descriptors;
use super::limits::ListenerLimits;
use super::registry::ServeReport;
use super::router::Router;
use super::serve::{Lifecycle, ServeOptions, serve_router};
use crate::engine::Engine;
use crate::error::Error;
use crate::job::{EndCounts, JobState};
use crate::proto::DESCRIPTORS;
use crate::rpc::{self, ConnectionLimits};
use crate::signals::Interrupts;
use crate::worker::RunningWorker;

/// How long open requests and handlers that were told to end get before they are cut; within the second that a shutdown
/// may last beyond its drain.
const CLOSE_TIME_MAX: Duration = Duration::from_millis(500);
/// What the edges get to let go of requests that were cut.
const STOP_TIME_MAX: Duration = Duration::from_millis(200);
/// Both when the caller said `now`: a process has 100 ms to be gone then.
const CLOSE_NOW_TIME_MAX: Duration = Duration::from_millis(30);
const STOP_NOW_TIME_MAX: Duration = Duration::from_millis(20);
/// What a slow disk gets if the server had the last handle of an engine that nobody closed.
const RELEASE_TIME_MAX: Duration = Duration::from_millis(100);
const RELEASE_NOW_TIME_MAX: Duration = Duration::from_millis(10);
const GOAWAY_GRACE: Duration = Duration::from_millis(300);

/// How a server serves and ends. Start from [`Default`] and set fields.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The listener: limits, edge threads, web origins.
    pub serve: ServeOptions,
    /// Largest gRPC message the server reads, in bytes. Default 4 MiB.
    pub message_bytes_max: usize,
    /// How long running jobs may take to finish after a shutdown began. Default 10 s.
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

/// The caller's two words to a running server. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Take no new jobs, let running ones finish within the drain timeout, then end.
    pub graceful: CancellationToken,
    /// End at once: within 100 ms.
    pub now: CancellationToken,
}

impl Shutdown {
    /// Has signals say them: the first SIGINT or SIGTERM the graceful one, the second the other.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn on_signals() -> io::Result<Self> {
        let (mut interrupts, shutdown) = (Interrupts::listen()?, Self::default());
        let told = shutdown.clone();
        tokio::spawn(async move {
            interrupts.next().await;
            tracing::info!("draining: running jobs may finish; another signal ends at once");
            told.graceful.cancel();
            interrupts.next().await;
            told.now.cancel();
        });
        Ok(shutdown)
    }
}

/// Why a server ended with an error.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The listener cannot be used; nothing was served.
    Listener(io::Error),
    /// The first failed append or sync of the log ended the server: every call since then got `LOG_FAILED`.
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

/// What a shutdown left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Jobs that ended since the engine started.
    pub ended: EndCounts,
    /// Attempts that had to be ended by force.
    pub attempts_cut: u32,
    /// Jobs that had not ended, those attempts' jobs included.
    pub jobs_left: u32,
    /// Worker tasks that did not stop in time.
    pub tasks_left: usize,
    /// What the listener cut.
    pub listener: ServeReport,
}

/// Serves an engine over gRPC and gRPC-Web, with health and reflection.
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

    /// Ends this worker too when the server ends.
    pub fn with_worker(mut self, worker: RunningWorker) -> Self {
        self.workers.push(worker);
        self
    }

    /// Serves until a shutdown is requested, then ends within the drain timeout and a second, whatever the disk and the
    /// handlers do. The caller closes the log, for example with [`Engine::close_within`].
    ///
    /// # Errors
    ///
    /// `Listener` if the listener cannot be used; `LogFailed` once the log failed: the server ends by itself.
    pub async fn run(
        self,
        listener: std::net::TcpListener,
        shutdown: Shutdown,
    ) -> Result<ShutdownReport, ServerError> {
        let (health, router) = router(&self.engine, &self.options).await;
        let lifecycle = Lifecycle::default();
        let mut options = self.options.serve.clone();
        options.limits.drain_grace = options.limits.drain_grace.min(GOAWAY_GRACE);
        options.limits.closing_linger = options.limits.closing_linger.min(GOAWAY_GRACE);
        let mut serving = tokio::spawn(serve_router(listener, router, options, lifecycle.clone()));
        tokio::select! {
            () = shutdown.graceful.cancelled() => {}
            () = shutdown.now.cancelled() => {}
            _ = self.engine.log_failure() => {}
            ended = &mut serving => {
                let listener = ended.map_err(io::Error::other)??;
                let report = self.report(0, 0, listener);
                self.release(&shutdown.now).await;
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
        lifecycle.drain.cancel();
        let served = self.close(&lifecycle, serving, &shutdown.now).await?;
        let tasks_left = self.workers.iter().map(RunningWorker::left).sum();
        let report = self.report(attempts_cut, tasks_left, served);
        self.release(&shutdown.now).await;
        drained.map(|()| report).map_err(ServerError::LogFailed)
    }

    /// Ends workers and listener. `now` leaves them less time.
    async fn close(
        &self,
        lifecycle: &Lifecycle,
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
            () = passed(CLOSE_TIME_MAX, CLOSE_NOW_TIME_MAX, now) => {}
        }
        if served.is_none() {
            lifecycle.stop.cancel();
            tokio::select! {
                ended = &mut serving => served = Some(ended),
                () = passed(STOP_TIME_MAX, STOP_NOW_TIME_MAX, now) => serving.abort(),
            }
        }
        served.map_or(Ok(ServeReport::default()), |served| served.map_err(io::Error::other)?)
    }

    /// Lets go of the engine. If nobody else has it, that waits for the disk: on a thread that can be left behind.
    async fn release(self, now: &CancellationToken) {
        let (done, released) = oneshot::channel::<()>();
        let release = move || {
            drop(self);
            drop(done);
        };
        // Without a thread it is dropped here.
        if std::thread::Builder::new().name("release".to_owned()).spawn(release).is_ok() {
            tokio::select! {
                _ = released => {}
                () = passed(RELEASE_TIME_MAX, RELEASE_NOW_TIME_MAX, now) => {}
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

/// Returns after `usual`, or `hurried` after the caller said `now`.
async fn passed(usual: Duration, hurried: Duration, now: &CancellationToken) {
    tokio::select! {
        () = sleep(usual) => {}
        () = async {
            now.cancelled().await;
            sleep(hurried).await;
        } => {}
    }
}

const SERVICES: [&str; 3] =
    ["jobstream.v1.JobService", "jobstream.v1.WorkerService", "jobstream.v1.AdminService"];

async fn stop_serving(health: &HealthReporter) {
    for service in SERVICES.into_iter().chain([""]) {
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

/// Every service there is; reflection lists them all.
async fn router(engine: &Engine, options: &ServerOptions) -> (HealthReporter, Router) {
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in SERVICES {
        health.set_service_status(service, ServingStatus::Serving).await;
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that tools can show the details of errors.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            // Each version lists only itself otherwise.
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
    };
    let broken = "the embedded descriptors are complete";
    let (jobs, others) =
        rpc::services(engine, options.message_bytes_max, connection_limits(&options.serve.limits));
    let others = others
        .add_service(health_service)
        .add_service(reflection().build_v1().expect(broken))
        .add_service(reflection().build_v1alpha().expect(broken));
    (health, Router::new(jobs, others))
}
