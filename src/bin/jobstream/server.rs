//! Runs a server for `dev` and `serve`: starts engine, worker and server from the config, and stops them at a signal.

mod commands;
mod endpoints;
mod exposure;
mod handlers;
mod identity;
mod log_level;
mod problems;
mod reload;
mod secret_files;
mod supervisor;
mod tls;

use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jobstream::engine::{Engine, EngineOptions};
use jobstream::server::{
    Server, ServerError, ServerOptions, Shutdown, ShutdownReport, raise_descriptor_limit,
};
use jobstream::wal;
use jobstream::worker::{RunningWorker, Worker, command, demo};
use serde_json::json;

use crate::config::{LimitsConfig, ListenAddress, LogConfig, LogFormat, ServerConfig};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::interrupt::Interrupts;
use crate::pages::allow_huge_pages;
use crate::stderr::{self, LogWriter};
use crate::traces::Traces;

use endpoints::Endpoints;
pub(crate) use handlers::Handlers;
use log_level::LogLevel;
pub(crate) use problems::check;
pub(crate) use reload::ReadConfig;
use reload::Reloadable;
pub(crate) use secret_files::warnings;
use supervisor::Supervisor;

/// The hidden argument that starts the orphan guard of a server or worker.
pub(crate) const ORPHAN_GUARD: &str = "__orphan-guard";

/// Timeout for closing the log when the server ends without a signal.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(10);

/// A server that accepts calls.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    /// The addresses it listens on, with their actual port; at least one.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Whether all connections are TLS.
    pub(crate) is_tls: bool,
    /// The directory of the jobs, if there is one.
    pub(crate) data: Option<PathBuf>,
    /// The kinds it serves, in order.
    pub(crate) kinds: Vec<String>,
}

impl Ready {
    /// The addresses, separated by commas; with their scheme if it is https.
    pub(crate) fn listed(&self) -> String {
        self.addresses.iter().map(|address| self.shown(address)).collect::<Vec<_>>().join(", ")
    }

    /// The first address, as clients write it.
    pub(crate) fn first(&self) -> String {
        self.shown(&self.addresses[0])
    }

    fn shown(&self, address: &SocketAddr) -> String {
        if self.is_tls { format!("https://{address}") } else { address.to_string() }
    }
}

/// The totals of a server from start to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    /// How long it ran.
    pub(crate) uptime: Duration,
    /// The jobs that ended, and those that had not ended when it stopped.
    pub(crate) report: ShutdownReport,
    /// Whether the latter are stored for the next start.
    pub(crate) is_durable: bool,
}

/// Runs a server until a signal stops it. `ready` is called once, when calls are accepted. SIGHUP reads the config again by
/// `read_config`, if it is given.
///
/// # Errors
///
/// If the config is invalid, the address cannot be bound, or the server fails.
pub(crate) fn start(
    config: ServerConfig,
    read_config: Option<ReadConfig>,
    ready: impl FnOnce(&Ready) -> Result<()>,
) -> Result<Totals> {
    let log_level = log_to_stderr(&config.log)?;
    config.check()?;
    // Programs inherit the setting, and large ones need huge pages.
    if let Err(error) = allow_huge_pages(!config.commands.is_empty() || !config.exec.is_empty()) {
        tracing::debug!(%error, "cannot choose the size of pages");
    }
    raise_descriptor_limit();
    let runtime = tokio::runtime::Runtime::new().map_err(|error| failed("start its threads", &error))?;
    let totals = runtime.block_on(serve(config, read_config, log_level, ready));
    // A handler that blocks its thread must not delay the exit.
    runtime.shutdown_background();
    totals
}

async fn serve(
    config: ServerConfig,
    read_config: Option<ReadConfig>,
    log_level: LogLevel,
    ready: impl FnOnce(&Ready) -> Result<()>,
) -> Result<Totals> {
    let listeners = config.listen.bind("--listen")?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>();
    let addresses = addresses.map_err(|error| failed("read its address", &error))?;
    let metrics = config.metrics_listen.as_ref().map(bind_metrics).transpose()?;
    let handlers = Handlers::new(&config)?;
    let mut options = server_options(&config)?;
    options.log_level = Some(Arc::new(log_level.clone()));
    let traces = Traces::start();
    traces.add_to_server(&mut options);
    #[cfg(feature = "otel")]
    crate::metrics_export::add_to(&mut options);
    let exposed = exposure::check(&addresses, &handlers.programs(), &config)?;
    for warning in exposed.into_iter().chain(secret_files::warnings(&config)) {
        tracing::warn!("{warning}");
    }
    let data = config.data.clone();
    let engine = engine(&config)?;
    let (worker, endpoints) = start_worker(&config, handlers, &traces, &engine)?;
    let begun = Instant::now();
    let info = engine.info().await.map_err(|error| log_failed(&error))?;
    let kinds = info.kinds.iter().map(|kind| (**kind).to_owned()).collect();
    let supervisor = Supervisor::of_environment();
    let reloadable = Reloadable::new(&config, read_config, log_level, &options, &addresses, endpoints);
    let interrupts = reloadable.listen_for_signals(supervisor.clone())?;
    let shutdown = shutdown_on(interrupts.clone(), supervisor.clone());
    let mut server = Server::new(engine.clone(), options).with_worker(worker);
    if let Some(listeners) = metrics {
        server = server.with_metrics_on(listeners);
    }
    #[cfg(feature = "mimalloc")]
    tokio::spawn(crate::allocator::keep_purging());
    let is_tls = config.tls.cert.is_some();
    let serving = Ready { addresses, is_tls, data, kinds };
    ready(&serving)?;
    supervisor.ready(&serving.listed());
    tokio::spawn(supervisor.clone().keep_watchdog(engine.clone()));
    let served = server.run(listeners, shutdown).await;
    supervisor.stopping();
    let close_time_max = interrupts.time_left().unwrap_or(CLOSE_TIME_MAX);
    let report = match served {
        Ok(report) => report,
        Err(ServerError::LogFailed(error)) => {
            // Its error names the cause.
            close(&engine, close_time_max).await?;
            return Err(log_failed(&error));
        }
        Err(error) => return Err(failed("serve", &io::Error::other(error))),
    };
    log_shutdown(&report, engine.is_durable());
    tokio::join!(close(&engine, close_time_max), traces.stop(close_time_max)).0?;
    Ok(Totals { uptime: begun.elapsed(), report, is_durable: engine.is_durable() })
}

/// The sockets of the metrics' own address.
fn bind_metrics(address: &ListenAddress) -> Result<Vec<TcpListener>> {
    let listeners = address.bind("--metrics-listen")?;
    for listener in &listeners {
        let address = listener.local_addr().map_err(|error| failed("read its address", &error))?;
        tracing::info!(%address, "serving metrics without a credential");
    }
    Ok(listeners)
}

/// The first signal starts a graceful shutdown, the second ends it at once.
fn shutdown_on(mut interrupts: Interrupts, supervisor: Supervisor) -> Shutdown {
    let shutdown = Shutdown::default();
    let signalled = shutdown.clone();
    tokio::spawn(async move {
        interrupts.next().await;
        tracing::info!("draining: running jobs may finish; another signal ends at once");
        supervisor.stopping();
        signalled.graceful.cancel();
        interrupts.next().await;
        signalled.now.cancel();
    });
    shutdown
}

/// Closes the log; gives up when the disk is too slow.
async fn close(engine: &Engine, within: Duration) -> Result<()> {
    let log = engine.clone();
    // Closing blocks its thread.
    let closed = tokio::task::spawn_blocking(move || log.close_within(within)).await;
    let closed = closed.map_err(|error| failed("close the log", &io::Error::other(error)))?;
    let has_ended = closed.map_err(|error| log_failed(&error))?;
    if !has_ended {
        tracing::warn!("the disk is slow: ended without waiting for it; no acknowledged job is lost");
    }
    Ok(())
}

fn log_failed(error: &jobstream::error::Error) -> Error {
    Error::new(Exit::LogFailed, format!("the log failed: {error}"))
        .hint("acknowledged jobs are stored; those refused with LOG_FAILED may not be")
}

fn start_worker(
    config: &ServerConfig,
    handlers: Handlers,
    traces: &Traces,
    engine: &Engine,
) -> Result<(RunningWorker, Endpoints)> {
    let mut worker = traces.add_to_worker(Worker::new().slots(config.slots.get()));
    if config.demo {
        worker = demo::add_to(worker);
    }
    let (worker, endpoints) = handlers.add_to(worker)?;
    let running = worker.start(engine).map_err(|error| Error::usage(error.to_string()))?;
    Ok((running, endpoints))
}

/// The engine, with the jobs of its directory if it has one.
fn engine(config: &ServerConfig) -> Result<Engine> {
    let options = engine_options(config);
    match &config.data {
        None => Ok(Engine::start(options)),
        Some(directory) => Engine::open(options, directory)
            .map_err(|error| Error::new(Exit::Other, format!("cannot open the log: {error}"))),
    }
}

fn engine_options(config: &ServerConfig) -> EngineOptions {
    let (limits, worker) = (&config.limits, &config.worker);
    let mut options = EngineOptions::within(limits.budget());
    set(&mut options.feed_bytes, limits.feed_bytes);
    set(&mut options.watchers_max, limits.watchers_max.map(NonZeroU32::get));
    options.compaction_bytes = limits.compaction_bytes;
    options.compaction_garbage_percent = limits.compaction_garbage;
    if let Some(bytes_max) = config.data_bytes_max {
        let spares_max = options.log.spares_max;
        options.log = wal::Options::within(bytes_max);
        options.log.spares_max = spares_max;
    }
    set(&mut options.log.segment_bytes, limits.segment_bytes);
    let core = &mut options.core;
    core.payload_bytes_max = size(limits.payload_bytes_max);
    set(&mut core.jobs_max, limits.jobs_max.map(NonZeroU32::get));
    set(&mut core.queues_max, limits.queues_max.map(NonZeroU32::get));
    set(&mut core.job_bytes_max, limits.job_bytes_max);
    core.retention = limits.retention;
    core.idempotency_window = limits.idempotency_window;
    set(&mut core.idempotency_ids_max, limits.idempotency_ids_max);
    set(&mut core.retention_bytes_max, limits.retention_bytes_max);
    set(&mut core.retention_memory_bytes_max, limits.retention_memory_bytes_max);
    core.event_ring_bytes_max = size(limits.event_ring_bytes_max);
    core.lease = worker.lease;
    core.ping_interval = worker.ping_interval;
    core.accept_timeout = worker.accept_timeout;
    core.reconnect_grace = worker.reconnect_grace;
    core.workers_max = limits.workers_max.get() as usize;
    set(&mut core.worker_bytes_max, limits.worker_bytes_max);
    options
}

/// Sets an option if the configuration has a value for it.
fn set<T>(option: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *option = value;
    }
}

fn server_options(config: &ServerConfig) -> Result<ServerOptions> {
    let mut options = plain_options(config);
    tls::load(&config.tls, &mut options)?;
    options.serve.identity = identity::identity(&config.auth)?;
    Ok(options)
}

/// The options that need no file.
fn plain_options(config: &ServerConfig) -> ServerOptions {
    let mut options = ServerOptions::default();
    options.message_bytes_max = size(config.limits.message_bytes_max);
    options.drain_timeout = config.drain_timeout;
    options.serve.cors_origins = config.cors_origins.clone();
    options.serve.allowed_hosts = config.allowed_hosts.clone();
    options.serve.allowed_hosts.extend(config.listen.name().map(str::to_owned));
    let limits = &mut options.serve.limits;
    limits.max_connections = config.limits.connections_max.get() as usize;
    limits.max_connections_per_address = connections_per_address_max(&config.limits);
    limits.idle_timeout = config.limits.connection_idle_timeout;
    limits.connection_bytes_max = size(config.limits.connection_bytes());
    limits.connections_bytes_max = size(config.limits.connections_bytes());
    limits.request_body_timeout = config.limits.request_body_timeout;
    limits.max_concurrent_streams = config.limits.streams_per_connection_max.get();
    options
}

/// Default: a quarter of all connections, so that one address cannot take all of them; at least 16.
fn connections_per_address_max(limits: &LimitsConfig) -> Option<usize> {
    let all = limits.connections_max.get();
    match limits.connections_per_address_max.unwrap_or_else(|| (all / 4).max(all.min(16))) {
        0 => None,
        some => Some(some as usize),
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Writes the library's log to stderr. Returns the handle of its level.
///
/// # Errors
///
/// For an invalid level.
pub(crate) fn log_to_stderr(config: &LogConfig) -> Result<LogLevel> {
    stderr::set_up_log(config.format);
    let filter = log_level::filter(&config.level).map_err(Error::usage)?;
    let format = config.format;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || LogWriter(format))
        // It would write to stderr itself, and panic if stderr is closed.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    let (level, begun) = match format {
        LogFormat::Text => {
            let log = log.with_filter_reloading();
            (LogLevel::new(&config.level, log.reload_handle()), log.try_init())
        }
        LogFormat::Json => {
            let log = log.json().with_filter_reloading();
            (LogLevel::new(&config.level, log.reload_handle()), log.try_init())
        }
    };
    begun.map_err(|error| Error::new(Exit::Other, format!("cannot log: {error}")))?;
    Ok(level)
}

fn log_shutdown(report: &ShutdownReport, is_durable: bool) {
    let ShutdownReport { attempts_aborted, jobs_left, tasks_left, listener, .. } = report;
    if *attempts_aborted > 0 || *jobs_left > 0 || *tasks_left > 0 {
        let consequence = match is_durable {
            true => "they continue after the next start",
            false => "jobs in memory are lost",
        };
        tracing::warn!(
            attempts_aborted,
            jobs_left,
            tasks_left,
            "stopped with unfinished jobs: {consequence}"
        );
    }
    if listener.requests_aborted > 0 {
        let (requests, connections) = (listener.requests_aborted, listener.connections_aborted);
        tracing::warn!(requests, connections, "cut requests that were still open");
    }
}

fn failed(what: &str, error: &io::Error) -> Error {
    Error::new(Exit::Other, format!("the server cannot {what}: {error}"))
}

/// The log format of the process that started this one as its orphan guard, if these are the arguments of a guard.
pub(crate) fn orphan_guard_format(mut args: impl Iterator<Item = String>) -> Option<LogFormat> {
    args.next().filter(|first| first == ORPHAN_GUARD)?;
    let is_json = args.next().is_some_and(|format| format == LogFormat::Json.name());
    Some(if is_json { LogFormat::Json } else { LogFormat::Text })
}

/// Waits for the end of the server or worker that started it, and kills the programs that remain. `format` is that of the
/// log of the process that started it.
pub(crate) fn guard_orphans(format: LogFormat) -> ExitCode {
    stderr::set_up_log(format);
    let (level, message, exit) = match command::run_orphan_guard(io::stdin().lock()) {
        Ok(0) => return ExitCode::SUCCESS,
        Ok(groups) => {
            ("WARN", format!("jobstream was killed; stopped {groups} commands it left"), ExitCode::SUCCESS)
        }
        Err(error) => {
            ("ERROR", format!("jobstream: cannot guard against orphans: {error}"), ExitCode::FAILURE)
        }
    };
    stderr::print_message(level, &json!({ "message": message }), &format!("{message}\n"));
    exit
}
