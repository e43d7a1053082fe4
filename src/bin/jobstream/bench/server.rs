//! The servers under test. Each runs in a child process, so that its CPU time and memory are its own.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process;
use std::thread;

use clap::ValueEnum;
use jobstream::engine::{Engine, EngineOptions};
use jobstream::server::{self, Lifecycle, Server, ServerOptions, Shutdown};
use jobstream::worker::{RemoteOptions, Worker, demo};
use tonic::service::Routes;
use tonic::transport::Endpoint;
use tonic::transport::server::TcpIncoming;

use super::echo::EchoService;
use super::jobs::REMOTE_KIND;
use super::{Failed, Result, overload};
use crate::pages::allow_huge_pages;

/// The queue's bound, in jobs, so that a fast run is not refused.
const JOBS_MAX: u32 = 50_000_000;

/// What a child process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServerKind {
    /// The whole job server, as `dev` starts it.
    Jobs,
    /// The same with a log on disk.
    Durable,
    /// The same with room for few jobs.
    Small,
    /// The echo behind our listener: one runtime a core.
    Echo,
    /// The echo behind tonic's own server, on the multi-thread runtime.
    EchoStock,
    /// No server, but a worker of one.
    Worker,
}

/// Serves on a free port, tells the port on standard output, for each line of standard input how often the process has
/// allocated, and ends when standard input closes. A worker
/// connects to the server whose port is its place and tells that one; the place of a log is its directory.
pub(crate) fn serve(kind: ServerKind, place: &str) -> Result<()> {
    thread::spawn(|| {
        // However reading ends, the parent is gone or done.
        for _ in io::stdin().lines().map_while(Result::ok) {
            if tell(allocations()).is_err() {
                break;
            }
        }
        process::exit(0);
    });
    // The job server goes without them, as `serve` does.
    let is_job_server = matches!(kind, ServerKind::Jobs | ServerKind::Durable | ServerKind::Small);
    allow_huge_pages(!is_job_server);
    if kind == ServerKind::Worker {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(work(place.parse()?));
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    tell(listener.local_addr()?.port())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match kind {
            ServerKind::Jobs => serve_jobs(listener, None).await,
            ServerKind::Durable => serve_jobs(listener, Some(Path::new(place))).await,
            ServerKind::Small => serve_few_jobs(listener).await,
            ServerKind::Echo => serve_echo(listener).await,
            ServerKind::EchoStock => serve_stock_echo(listener).await,
            ServerKind::Worker => Ok(()),
        }
    })
}

/// Tells the parent a number.
fn tell(number: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{number}")
}

/// Blocks that this process has allocated so far, if they are counted.
fn allocations() -> usize {
    #[cfg(feature = "count-allocations")]
    return stats_alloc::INSTRUMENTED_SYSTEM.stats().allocations;
    #[cfg(not(feature = "count-allocations"))]
    0
}

async fn work(port: u16) -> Result<()> {
    let channel = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?.tcp_nodelay(true).connect_lazy();
    let worker = Worker::new().name("bench").inline_handler(REMOTE_KIND, |job| Ok(job.payload));
    let worker = worker.connect(channel, RemoteOptions::default())?;
    if !worker.connected().await {
        return Err(Failed::new("the worker cannot connect").into());
    }
    tell(port)?;
    worker.wait().await;
    Ok(())
}

async fn serve_jobs(listener: TcpListener, directory: Option<&Path>) -> Result<()> {
    let mut options = EngineOptions::default();
    options.core.jobs_max = JOBS_MAX;
    options.core.job_bytes_max = u64::MAX;
    let engine = match directory {
        Some(directory) => Engine::open(options, directory)?,
        None => Engine::start(options),
    };
    serve_engine(listener, engine, Worker::new()).await
}

async fn serve_few_jobs(listener: TcpListener) -> Result<()> {
    let mut options = EngineOptions::default();
    options.core.jobs_max = overload::JOBS_MAX;
    serve_engine(listener, Engine::start(options), Worker::new().slots(overload::SLOTS)).await
}

async fn serve_engine(listener: TcpListener, engine: Engine, worker: Worker) -> Result<()> {
    let worker = demo::add_to(worker).start(&engine)?;
    let server = Server::new(engine, ServerOptions::default()).with_worker(worker);
    server.run(listener, Shutdown::default()).await?;
    Ok(())
}

async fn serve_echo(listener: TcpListener) -> Result<()> {
    let routes = Routes::new(EchoService);
    server::serve(listener, routes, server::ServeOptions::default(), Lifecycle::default()).await?;
    Ok(())
}

async fn serve_stock_echo(listener: TcpListener) -> Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tonic::transport::Server::builder().add_service(EchoService).serve_with_incoming(incoming).await?;
    Ok(())
}
