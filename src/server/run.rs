//! The whole server: an engine, its workers and the listener, from start to an orderly end.

use std::io;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::router::Router;
use super::serve::{Lifecycle, ServeOptions, serve_router};
use super::tally::ServeReport;
use crate::engine::Engine;
use crate::job::JobState;
use crate::proto::DESCRIPTORS;
use crate::rpc;
use crate::signals::Interrupts;
use crate::worker::RunningWorker;

/// How long open requests and handlers that were told to end get before they are cut; within the second that a shutdown
/// may last beyond its drain.
const CLOSE_TIME_MAX: Duration = Duration::from_millis(600);
const GOAWAY_GRACE: Duration = Duration::from_millis(300);

/// How a server serves and ends.
#[derive(Debug, Clone)]
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
    /// End at once.
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

/// What a shutdown left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
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

    /// Serves until told to end, then ends within the drain timeout and a second.
    ///
    /// # Errors
    ///
    /// When the listener cannot be used; nothing is served then.
    pub async fn run(
        self,
        listener: std::net::TcpListener,
        shutdown: Shutdown,
    ) -> io::Result<ShutdownReport> {
        let (health, router) = router(&self.engine, self.options.message_bytes_max).await;
        let lifecycle = Lifecycle::default();
        let mut options = self.options.serve.clone();
        options.limits.drain_grace = options.limits.drain_grace.min(GOAWAY_GRACE);
        options.limits.closing_linger = options.limits.closing_linger.min(GOAWAY_GRACE);
        let mut serving = tokio::spawn(serve_router(listener, router, options, lifecycle.clone()));
        let failing = async {
            self.engine.log_failure().await;
            stop_serving(&health).await;
            std::future::pending::<()>().await
        };
        tokio::select! {
            () = shutdown.graceful.cancelled() => {}
            () = shutdown.now.cancelled() => {}
            () = failing => {}
            ended = &mut serving => {
                let listener = ended.map_err(io::Error::other)??;
                return Ok(self.report(0, 0, listener));
            }
        }
        stop_serving(&health).await;
        self.engine.drain(self.options.drain_timeout);
        tokio::select! {
            () = self.engine.idle() => {}
            // Whatever running jobs come to is not kept any more.
            _ = self.engine.log_failure() => {}
            () = tokio::time::sleep(self.options.drain_timeout) => {}
            () = shutdown.now.cancelled() => {}
        }
        let attempts_cut = self.engine.running();
        self.engine.stop();
        lifecycle.drain.cancel();
        let (tasks_left, served) = tokio::join!(self.stop_workers(), timeout(CLOSE_TIME_MAX, &mut serving));
        let served = match served {
            Ok(served) => served,
            Err(_) => {
                lifecycle.stop.cancel();
                serving.await
            }
        };
        Ok(self.report(attempts_cut, tasks_left, served.map_err(io::Error::other)??))
    }

    async fn stop_workers(&self) -> usize {
        let mut tasks_left = 0;
        for worker in &self.workers {
            tasks_left += worker.stop(CLOSE_TIME_MAX).await;
        }
        tasks_left
    }

    fn report(&self, attempts_cut: u32, tasks_left: usize, listener: ServeReport) -> ShutdownReport {
        let counts = self.engine.counts();
        let jobs_left =
            counts.get(JobState::Scheduled) + counts.get(JobState::Queued) + counts.get(JobState::Running);
        ShutdownReport { attempts_cut, jobs_left, tasks_left, listener }
    }
}

const SERVICES: [&str; 3] =
    ["jobstream.v1.JobService", "jobstream.v1.WorkerService", "jobstream.v1.AdminService"];

async fn stop_serving(health: &HealthReporter) {
    for service in SERVICES.into_iter().chain([""]) {
        health.set_service_status(service, ServingStatus::NotServing).await;
    }
}

/// Every service there is; reflection lists them all.
async fn router(engine: &Engine, message_bytes_max: usize) -> (HealthReporter, Router) {
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
    let (jobs, others) = rpc::services(engine, message_bytes_max);
    let others = others
        .add_service(health_service)
        .add_service(reflection().build_v1().expect(broken))
        .add_service(reflection().build_v1alpha().expect(broken));
    (health, Router::new(jobs, others, engine))
}
