//! [`Server`]: an engine, its workers and the listener, from the start to the graceful shutdown.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::listener::Listeners;
use super::metrics::Connections;
#[cfg(feature = "otel")]
use super::metrics_export::{MetricsExport, MetricsPush};
use super::registry::ServeReport;
use super::serve::{ServeOptions, serve_router};
use super::services::{Services, serve_metrics, stop_serving};
use super::shutdown::Shutdown;
use crate::api::grpc::LogLevelControl;
use crate::engine::Engine;
use crate::error::Error;
use crate::job::{EndCounts, JobState};
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
    /// Reads and changes the level of the log, for GetServerInfo and SetLogLevel. Default none: the level is unknown, and
    /// SetLogLevel is refused with UNSUPPORTED.
    pub log_level: Option<Arc<dyn LogLevelControl>>,
    /// Pushes the metrics to a collector. Default none.
    #[cfg(feature = "otel")]
    pub metrics_export: Option<MetricsExport>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            serve: ServeOptions::default(),
            message_bytes_max: 4 << 20,
            drain_timeout: Duration::from_secs(10),
            log_level: None,
            #[cfg(feature = "otel")]
            metrics_export: None,
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
    pub attempts_aborted: u32,
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
    metrics: Option<Listeners>,
}

impl Server {
    /// A server of this engine.
    pub fn new(engine: Engine, options: ServerOptions) -> Self {
        Self { engine, workers: Vec::new(), options, metrics: None }
    }

    /// Adds a worker that ends with the server.
    pub fn with_worker(mut self, worker: RunningWorker) -> Self {
        self.workers.push(worker);
        self
    }

    /// Serves `/metrics`, `/livez` and `/readyz` on these listeners as well, without a credential and for any host, until the
    /// server has ended.
    pub fn with_metrics_on(mut self, listeners: impl Into<Listeners>) -> Self {
        self.metrics = Some(listeners.into());
        self
    }

    /// Serves until a shutdown is requested. Then it ends within the drain timeout plus one second, even if the disk or
    /// handlers block. The caller closes the log, for example with [`Engine::close_within`].
    ///
    /// # Errors
    ///
    /// `Listener` if the listener cannot be used. `LogFailed` if the log failed, which ends the server.
    pub async fn run(
        mut self,
        listeners: impl Into<Listeners>,
        shutdown: Shutdown,
    ) -> Result<ShutdownReport, ServerError> {
        let connections = Connections::new(&self.options.serve.limits);
        let Services { health, router, sources } =
            Services::new(&self.engine, &self.options, connections.clone()).await;
        let _serving_metrics =
            self.metrics.take().map(|listeners| serve_metrics(listeners, &self.engine, sources.scrape()));
        #[cfg(feature = "otel")]
        let pushing = self.options.metrics_export.take().map(|export| export.start(sources));
        let listener_shutdown = Shutdown::default();
        let mut options = self.options.serve.clone();
        options.limits.drain_grace = options.limits.drain_grace.min(GOAWAY_GRACE);
        options.limits.closing_linger = options.limits.closing_linger.min(GOAWAY_GRACE);
        let mut serving = tokio::spawn(serve_router(
            listeners.into(),
            router,
            options,
            connections,
            listener_shutdown.clone(),
        ));
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
        let attempts_aborted = self.engine.running();
        self.engine.stop();
        listener_shutdown.graceful.cancel();
        let closed = self.close(&listener_shutdown, serving, &shutdown.now);
        #[cfg(feature = "otel")]
        let closed = async { tokio::join!(closed, MetricsPush::stop(pushing)).0 };
        let served = closed.await?;
        let tasks_left = self.workers.iter().map(RunningWorker::left).sum();
        let report = self.report(attempts_aborted, tasks_left, served);
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

    fn report(&self, attempts_aborted: u32, tasks_left: usize, listener: ServeReport) -> ShutdownReport {
        let counts = self.engine.counts();
        let jobs_left =
            counts.get(JobState::Scheduled) + counts.get(JobState::Queued) + counts.get(JobState::Running);
        ShutdownReport { ended: self.engine.ended(), attempts_aborted, jobs_left, tasks_left, listener }
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
